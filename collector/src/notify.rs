//! Telling people. One file a channel; each takes records from a feed, tells them, and only then has them
//! acknowledged: the console and files tell every alert, `outbox` sends incidents to where people are.

pub mod console;
pub mod file;
pub mod line;
pub mod outbox;
pub mod webhook;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rackwatch_core::alert::AlertRecord;

use crate::failpoint;
use crate::feed::{Fed, Feed};
use crate::log::LogError;

/// Somewhere to tell alerts.
pub trait Teller: Send {
    /// Tells one record. What cannot be told is logged by the teller; it must not stop the rest.
    fn tell(&mut self, record: &AlertRecord);

    /// What was told so far has reached where it is to go.
    fn flush(&mut self);
}

/// Everyone who tells alerts; clones are the same ones. The feeds of several partitions share them.
#[derive(Clone)]
pub struct Tellers(Arc<Mutex<Vec<Box<dyn Teller>>>>);

impl fmt::Debug for Tellers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tellers").finish()
    }
}

impl Tellers {
    /// These.
    pub fn new(tellers: Vec<Box<dyn Teller>>) -> Self {
        Self(Arc::new(Mutex::new(tellers)))
    }

    /// One more.
    pub fn add(&mut self, teller: Box<dyn Teller>) {
        let mut tellers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tellers.push(teller);
    }

    /// All records of `alerts` told by all of them.
    fn tell(&self, alerts: &[Fed<AlertRecord>]) {
        let mut tellers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in alerts {
            match &alert.record {
                Ok(record) => tellers.iter_mut().for_each(|teller| teller.tell(record)),
                Err(reason) => {
                    tracing::warn!(entry = %alert.id, reason, "alert record cannot be told");
                }
            }
        }
        for teller in &mut *tellers {
            teller.flush();
        }
    }
}

/// Tells every record of `feed`, until the feed ends.
pub async fn run(
    mut feed: impl Feed<Record = AlertRecord>,
    tellers: Tellers,
) -> Result<(), LogError> {
    loop {
        let alerts = match feed.next().await {
            Ok(alerts) => alerts,
            Err(LogError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        if alerts.is_empty() {
            continue;
        }
        failpoint::pass("before told");
        tellers.tell(&alerts);
        failpoint::pass("before acknowledged");
        let ids: Vec<_> = alerts.iter().map(|alert| alert.id).collect();
        match feed.done(&ids).await {
            Err(LogError::Stopped) => return Ok(()),
            other => other?,
        }
        failpoint::pass("after acknowledged");
    }
}
