//! What was last logged about reaching Redis, so that each change is logged once.

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;
use tracing::{debug, info, warn};

use super::error::ConnectError;
use crate::error::chain;

/// What Redis does not do at the moment. Whoever asks says for which key: on a cluster one server may
/// be away while others answer, and that is one outage.
#[derive(Debug, Default)]
pub(super) struct Outage {
    away: Trouble<Discriminant<ConnectError>>,
    refusing: Trouble<String>,
}

#[derive(Debug)]
struct Trouble<R> {
    since: Option<Since<R>>,
    /// For whom it is not over.
    homes: BTreeSet<Arc<str>>,
}

impl<R> Default for Trouble<R> {
    fn default() -> Self {
        Self {
            since: None,
            homes: BTreeSet::new(),
        }
    }
}

impl<R: PartialEq> Trouble<R> {
    /// Whether it begins, or has a new reason.
    fn is_new(&mut self, home: &Arc<str>, reason: R) -> bool {
        self.homes.insert(Arc::clone(home));
        Since::is_new(&mut self.since, reason)
    }

    /// How long it took, where it is over for everybody.
    fn over(&mut self, home: &Arc<str>) -> Option<String> {
        self.homes.remove(home);
        if !self.homes.is_empty() {
            return None;
        }
        self.since.take().map(|since| since.length())
    }
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
    pub(super) fn failed(&mut self, home: &Arc<str>, error: &ConnectError) {
        if self.away.is_new(home, discriminant(error)) {
            let error = chain(error);
            warn!(error, "no connection to redis, trying until there is one");
        }
    }

    /// A try succeeded: logs how long it took if any failed before.
    pub(super) fn ended(&mut self, home: &Arc<str>, endpoint: &str) {
        if let Some(outage) = self.away.over(home) {
            info!(endpoint, outage, "connected to redis again");
        } else {
            debug!(endpoint, "connected to redis");
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn given_up(&mut self, home: &Arc<str>) {
        self.away.over(home);
    }

    /// Redis refused with this code: logs it unless it has done so since all was well.
    pub(super) fn refused(&mut self, home: &Arc<str>, code: &str, error: &RedisError) {
        if self.refusing.is_new(home, code.to_owned()) {
            warn!(%error, "redis refuses what it is sent, trying until it takes it");
        }
    }

    /// Redis took what it was sent.
    pub(super) fn accepted(&mut self, home: &Arc<str>) {
        if let Some(outage) = self.refusing.over(home) {
            info!(outage, "redis takes everything again");
        }
    }
}

/// To milliseconds: nobody reads the rest.
fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
