//! What was last logged about reaching Redis, so that each change is logged once.

use std::error::Error;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::error::ConnectError;

/// An outage, or none.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<Since>);

#[derive(Debug)]
struct Since {
    began: Instant,
    reason: Discriminant<ConnectError>,
}

impl Outage {
    /// A try failed: logs it unless the last one failed for the same reason.
    pub(super) fn failed(&mut self, error: &ConnectError) {
        let reason = discriminant(error);
        let began = match &self.0 {
            Some(since) if since.reason == reason => return,
            Some(since) => since.began,
            None => Instant::now(),
        };
        self.0 = Some(Since { began, reason });
        warn!(
            error = with_causes(error),
            "no connection to redis, trying until there is one"
        );
    }

    /// A try succeeded: logs how long it took if any failed before.
    pub(super) fn ended(&mut self, endpoint: &str) {
        let Some(Since { began, .. }) = self.0.take() else {
            debug!(endpoint, "connected to redis");
            return;
        };
        let outage = humantime::format_duration(round(began.elapsed())).to_string();
        info!(endpoint, outage, "connected to redis again");
    }
}

/// To milliseconds: nobody reads the rest.
fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// The whole chain in one line, as it is handled here.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
