//! Alert sinks: where every alert record goes, such as the console and files.
//!
//! Promise: each record at least once. It is acknowledged after all sinks have written it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::alert::AlertRecord;

use crate::failpoint;
use crate::feed::{Feed, FeedEntry};
use crate::stage::StageError;

/// A destination for alert records.
pub trait AlertSink: Send {
    /// Writes one record. A sink logs its own failures, so that they do not stop the other sinks.
    fn write(&mut self, record: &AlertRecord);

    /// Makes everything written so far durable.
    fn flush(&mut self);
}

/// All alert sinks of this collector. Clones share them: several partitions write to the same sinks.
#[derive(Clone)]
pub struct AlertSinks(Arc<Mutex<Vec<Box<dyn AlertSink>>>>);

impl fmt::Debug for AlertSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AlertSinks").finish()
    }
}

impl AlertSinks {
    /// Wraps `sinks`, to be written in this order.
    pub fn new(sinks: Vec<Box<dyn AlertSink>>) -> Self {
        Self(Arc::new(Mutex::new(sinks)))
    }

    /// Adds a sink behind the others.
    pub fn add(&mut self, sink: Box<dyn AlertSink>) {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.push(sink);
    }

    /// Writes every record of `alerts` to every sink.
    fn write(&self, alerts: &[FeedEntry<AlertRecord>]) {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in alerts {
            match &alert.record {
                Ok(record) => sinks.iter_mut().for_each(|sink| sink.write(record)),
                Err(reason) => {
                    tracing::warn!(entry = %alert.id, reason, "cannot decode an alert record, skipping it");
                }
            }
        }
        for sink in &mut *sinks {
            sink.flush();
        }
    }
}

/// Writes every record of `feed` to `sinks`, until the feed ends.
///
/// # Errors
///
/// When Redis refuses a command for a reason that will not pass.
pub async fn run(
    mut feed: impl Feed<Record = AlertRecord>,
    sinks: AlertSinks,
) -> Result<(), StageError> {
    loop {
        let alerts = match feed.next().await {
            Ok(alerts) => alerts,
            Err(StageError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        if alerts.is_empty() {
            continue;
        }
        failpoint::pass("before alerts written");
        sinks.write(&alerts);
        failpoint::pass("before acknowledged");
        let ids: Vec<_> = alerts.iter().map(|alert| alert.id).collect();
        match feed.acknowledge(&ids).await {
            Err(StageError::Stopped) => return Ok(()),
            other => other?,
        }
        failpoint::pass("after acknowledged");
    }
}
