//! Telling people. One file a channel; each takes records from the alert feed, tells them, and
//! only then has them acknowledged.

pub mod console;
pub mod file;
pub mod line;

use crate::feed::AlertFeed;
use crate::log::LogError;
use rackwatch_core::alert::AlertRecord;

/// Somewhere to tell alerts.
pub trait Teller: Send {
    /// Tells one record. What cannot be told is logged by the teller; it must not stop the rest.
    fn tell(&mut self, record: &AlertRecord);

    /// What was told so far has reached where it is to go.
    fn flush(&mut self);
}

/// Tells every record of `feed` to every teller, until the feed ends.
pub async fn run(
    mut feed: impl AlertFeed,
    mut tellers: Vec<Box<dyn Teller>>,
) -> Result<(), LogError> {
    loop {
        let alerts = match feed.next().await {
            Ok(alerts) => alerts,
            Err(LogError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut ids = Vec::with_capacity(alerts.len());
        for alert in alerts {
            ids.push(alert.id);
            match alert.record {
                Ok(record) => tellers.iter_mut().for_each(|teller| teller.tell(&record)),
                Err(reason) => {
                    tracing::warn!(entry = %alert.id, reason, "alert record cannot be told");
                }
            }
        }
        for teller in &mut tellers {
            teller.flush();
        }
        match feed.done(&ids).await {
            Err(LogError::Stopped) => return Ok(()),
            other => other?,
        }
    }
}
