//! The current trouble with Redis, so that the log gets each change once.

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;
use tracing::{debug, info, warn};

use super::error::ConnectError;
use crate::error::chain;

/// The current outage. Every task names the key that it needs: on a cluster one node may be away while
/// others answer, and the outage ends when all answer.
#[derive(Debug, Default)]
pub(super) struct Outage {
    away: Trouble<Discriminant<ConnectError>>,
    refusing: Trouble<String>,
}

#[derive(Debug)]
struct Trouble<R> {
    since: Option<Since<R>>,
    /// Keys of the tasks for which it goes on.
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
    /// Adds a failure; returns whether the trouble begins or has a new reason.
    fn is_new(&mut self, home: &Arc<str>, reason: R) -> bool {
        self.homes.insert(Arc::clone(home));
        Since::is_new(&mut self.since, reason)
    }

    /// Ends it for one task; returns its duration if it has ended for all.
    fn end(&mut self, home: &Arc<str>) -> Option<String> {
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
    /// Reasons that were logged: they may alternate for hours.
    reasons: Vec<R>,
}

impl<R: PartialEq> Since<R> {
    /// Adds a reason, and begins the outage if there is none; returns whether the reason is new.
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

    /// Returns its duration as text.
    fn length(&self) -> String {
        humantime::format_duration(round(self.began.elapsed())).to_string()
    }
}

impl Outage {
    /// Records a failed try to connect. Logs it if the reason is new in this outage.
    pub(super) fn failed(&mut self, home: &Arc<str>, error: &ConnectError) {
        if self.away.is_new(home, discriminant(error)) {
            let error = chain(error);
            warn!(error, "no connection to redis, will retry");
        }
    }

    /// Records that a try succeeded. Logs the duration of the outage if it has ended.
    pub(super) fn ended(&mut self, home: &Arc<str>, endpoint: &str) {
        if let Some(outage) = self.away.end(home) {
            info!(endpoint, outage, "connected to redis again");
        } else {
            debug!(endpoint, "connected to redis");
        }
    }

    /// Records that a task no longer tries to connect.
    pub(super) fn given_up(&mut self, home: &Arc<str>) {
        self.away.end(home);
    }

    /// Records that Redis refused a command with this code. Logs it if the code is new in this outage.
    pub(super) fn refused(&mut self, home: &Arc<str>, code: &str, error: &RedisError) {
        if self.refusing.is_new(home, code.to_owned()) {
            warn!(%error, "redis refuses writes, will retry");
        }
    }

    /// Records that Redis accepted a command. Logs the duration of the outage if it has ended.
    pub(super) fn accepted(&mut self, home: &Arc<str>) {
        if let Some(outage) = self.refusing.end(home) {
            info!(outage, "redis is accepting writes again");
        }
    }
}

/// Rounds a duration to milliseconds.
fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
