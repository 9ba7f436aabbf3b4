//! What was last logged about reaching Redis, so that each change is logged once.

use std::error::Error;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use redis::RedisError;
use tracing::{debug, info, warn};

use super::error::ConnectError;

/// What Redis does not do at the moment.
#[derive(Debug, Default)]
pub(super) struct Outage {
    away: Option<Since<Discriminant<ConnectError>>>,
    refusing: Option<Since<String>>,
}

#[derive(Debug)]
struct Since<R> {
    began: Instant,
    /// Every reason that was logged: they may alternate for hours.
    reasons: Vec<R>,
}

impl<R: PartialEq> Since<R> {
    /// Whether this reason is new, in an outage that perhaps begins.
    fn is_new(outage: &mut Option<Self>, reason: R) -> bool {
        let since = outage.get_or_insert_with(|| Self {
            began: Instant::now(),
            reasons: Vec::new(),
        });
        let is_new = !since.reasons.contains(&reason);
        if is_new {
            since.reasons.push(reason);
        }
        is_new
    }

    /// How long it took.
    fn length(&self) -> String {
        humantime::format_duration(round(self.began.elapsed())).to_string()
    }
}

impl Outage {
    /// A try to connect failed: logs it unless one has failed for the same reason since all was well.
    pub(super) fn failed(&mut self, error: &ConnectError) {
        if Since::is_new(&mut self.away, discriminant(error)) {
            let error = with_causes(error);
            warn!(error, "no connection to redis, trying until there is one");
        }
    }

    /// A try succeeded: logs how long it took if any failed before.
    pub(super) fn ended(&mut self, endpoint: &str) {
        if let Some(since) = self.away.take() {
            info!(
                endpoint,
                outage = since.length(),
                "connected to redis again"
            );
        } else {
            debug!(endpoint, "connected to redis");
        }
    }

    /// Redis refused with this code: logs it unless it has done so since all was well.
    pub(super) fn refused(&mut self, code: &str, error: &RedisError) {
        if Since::is_new(&mut self.refusing, code.to_owned()) {
            warn!(%error, "redis refuses what it is sent, trying until it takes it");
        }
    }

    /// Redis took what it was sent.
    pub(super) fn accepted(&mut self) {
        if let Some(since) = self.refusing.take() {
            info!(outage = since.length(), "redis takes everything again");
        }
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
