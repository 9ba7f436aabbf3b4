//! Reports of errors to the operator, and exit codes.

use std::io;
use std::process::ExitCode;

use anyhow::Error;
use rackwatch_core::thermal::ScenarioError;
use rackwatch_runtime::config::ConfigError;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::logging::{self, LogError};
use rackwatch_runtime::redis::{ConnectError, Remedy};

use crate::sampler::SamplerError;

/// Exit code of a failure.
pub(super) const FAILED: u8 = 1;

/// Exit code for wrong arguments or a wrong configuration.
const WRONG_USAGE: u8 = 2;

/// Writes an error and its causes to stderr, and returns the exit code.
pub(super) fn report(error: &Error) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader of the output is done, as in `sensors | head`.
        return ExitCode::SUCCESS;
    }
    logging::remark(&format!("error: {}", chain(error.as_ref())));
    ExitCode::from(if is_wrong_usage(error) {
        WRONG_USAGE
    } else {
        FAILED
    })
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

fn is_wrong_usage(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<LogError>()
            || cause.is::<ScenarioError>()
            || matches!(cause.downcast_ref(), Some(SamplerError::NoSource))
            || cause
                .downcast_ref::<ConnectError>()
                .is_some_and(|error| error.remedy() == Remedy::Fatal)
    })
}
