//! The outbox of one notifier: incidents that people are to be told of, sent until they arrive.
//!
//! Promise: each at least once, in order, with the same key however often it is sent. What was not sent stays
//! pending in the notifier's consumer group, so that a restart or another collector goes on with it. What the
//! receiver refuses for good is logged and left: it must not hold up the rest.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_runtime::backoff::{self, Backoff};
use tokio_util::sync::CancellationToken;

use crate::failpoint;
use crate::feed::Feed;
use crate::log::LogError;

/// The wait after the first failed try.
const FIRST: Duration = Duration::from_secs(1);
/// A receiver may ask for so much patience at most.
const LONGEST: Duration = Duration::from_hours(1);

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It arrived.
    Arrived,
    /// It is worth another try, in so long if the receiver says so.
    Later {
        /// Why it did not arrive.
        why: String,
        /// What the receiver asks for.
        after: Option<Duration>,
    },
    /// Another try would be refused too.
    Refused {
        /// Why.
        why: String,
    },
}

/// Somewhere to send incidents.
#[async_trait]
pub trait Channel: Send {
    /// What it is called.
    fn name(&self) -> &str;

    /// Tries once to send `record`; `key` names what people are told, the same at each try.
    async fn send(&mut self, record: &IncidentRecord, key: &str) -> Sent;
}

/// Sends what `feed` has until told to stop.
///
/// # Errors
///
/// When Redis refuses for a reason that does not pass.
pub async fn run(
    mut feed: impl Feed<Record = IncidentRecord>,
    mut channel: Box<dyn Channel>,
    retry_max: Duration,
    stop: CancellationToken,
) -> Result<(), LogError> {
    let mut backoff = Backoff::new(FIRST, retry_max);
    loop {
        let records = match feed.next().await {
            Ok(records) => records,
            Err(LogError::Stopped) => return Ok(()),
            Err(error) => return Err(error),
        };
        for fed in records {
            let sent = match &fed.record {
                Ok(record) => deliver(record, &mut *channel, &mut backoff, &stop).await,
                Err(reason) => {
                    tracing::warn!(entry = %fed.id, reason, "incident cannot be understood");
                    true
                }
            };
            if !sent {
                return Ok(());
            }
            failpoint::pass(failpoint::SENT);
            match feed.done(&[fed.id]).await {
                Err(LogError::Stopped) => return Ok(()),
                other => other?,
            }
        }
    }
}

/// Sends one record however long it takes; false where the stop came first.
async fn deliver(
    record: &IncidentRecord,
    channel: &mut dyn Channel,
    backoff: &mut Backoff,
    stop: &CancellationToken,
) -> bool {
    // What nobody is to be told of is a change that only other programs follow.
    let Some(key) = &record.tell else {
        return true;
    };
    let mut failing = false;
    loop {
        let Some(sent) = stop.run_until_cancelled(channel.send(record, key)).await else {
            return false;
        };
        let (why, after) = match sent {
            Sent::Arrived => {
                if failing {
                    tracing::info!(notifier = channel.name(), key, "it takes incidents again");
                }
                backoff.reset();
                return true;
            }
            Sent::Refused { why } => {
                tracing::error!(
                    notifier = channel.name(),
                    key,
                    why,
                    "it refuses an incident, which is not sent again"
                );
                backoff.reset();
                return true;
            }
            Sent::Later { why, after } => (why, after),
        };
        if !failing {
            tracing::warn!(
                notifier = channel.name(),
                key,
                why,
                "an incident cannot be sent, tried until it arrives"
            );
            failing = true;
        }
        let pause = backoff.next_jittered(backoff::random());
        let pause = after.map_or(pause, |after| after.clamp(FIRST, LONGEST));
        tracing::debug!(
            notifier = channel.name(),
            key,
            why,
            ?pause,
            "tried again later"
        );
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return false;
        }
    }
}
