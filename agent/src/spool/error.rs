//! Errors of the spool.

use std::io;
use std::time::Duration;

/// A failed spool operation.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk refused an operation.
    #[error("cannot {operation} {file}")]
    Disk {
        /// The operation, as a verb such as `read`.
        operation: &'static str,
        /// The file or folder.
        file: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another agent holds the lock of the folder.
    #[error("another agent uses this folder: give each agent its own spool.path")]
    InUse,
    /// A record exceeds the size limit of the whole spool.
    #[error("a record of {size} bytes exceeds spool.max_bytes = {limit}: raise the limit")]
    TooLarge {
        /// Size of the record in bytes.
        size: u64,
        /// Size limit of the spool in bytes.
        limit: u64,
    },
    /// The spool thread could not be started.
    #[error("cannot start the spool thread")]
    Start {
        /// Error of the operating system.
        source: io::Error,
    },
    /// The disk did not answer in time, or earlier commands still wait for it.
    #[error("the disk did not answer within {}", humantime::format_duration(*.0))]
    NoAnswer(Duration),
    /// The spool thread ended, which only a panic can cause while the agent runs.
    #[error("the spool thread ended")]
    ThreadEnded,
}

impl SpoolError {
    /// Returns a function for `map_err` that reports a failed `operation` on `file`.
    pub(crate) fn disk(
        operation: &'static str,
        file: impl Into<String>,
    ) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Disk {
            operation,
            file,
            source,
        }
    }
}
