//! Entries that are pending under a consumer of another program, taken over.
//!
//! Each consumer group of ours has one consumer name. A client that reads from the group under another
//! name, by hand or in a tool, makes entries pending that no collector would ever read: whatever must
//! follow them in order would wait for ever. Only the holder of the lease takes entries over.

use std::time::{Duration, Instant};

use rackwatch_runtime::redis::{Connection, is_no_group};
use redis::RedisResult;

/// Interval at which a reader looks for such entries: a delay that an alert can bear.
const INTERVAL: Duration = Duration::from_secs(5);
/// Entries taken over by one command.
const PAGE: usize = 1000;

/// The summary form of XPENDING: count, smallest and greatest id, and the count of each consumer.
type PendingSummary = (
    u64,
    Option<String>,
    Option<String>,
    Option<Vec<(String, u64)>>,
);

/// The next time to look for entries of other consumers; due from the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NextLook(Option<Instant>);

impl NextLook {
    /// Returns whether it is time to look, and if so starts the next interval.
    pub(crate) fn take_due(&mut self) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }

    /// Makes the next look due at once.
    pub(crate) fn hurry(&mut self) {
        self.0 = None;
    }
}

/// Makes entries of `stream` that are pending under other consumers of `group` pending under
/// `consumer`. Logs each other consumer. Returns the number of entries; 0 without such a group.
pub(crate) async fn take_over(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    consumer: &str,
) -> RedisResult<usize> {
    let mut summary = redis::cmd("XPENDING");
    summary.arg(stream).arg(group);
    let consumers = match summary.query_async::<PendingSummary>(connection).await {
        Ok((.., consumers)) => consumers.unwrap_or_default(),
        Err(error) if is_no_group(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut all = 0;
    for (other, _) in consumers.iter().filter(|(name, _)| name != consumer) {
        let (claimed, trimmed) = claim(connection, (stream, group), other, consumer).await?;
        tracing::warn!(
            stream,
            group,
            consumer = other,
            claimed,
            trimmed,
            "another consumer had entries pending, took them over"
        );
        all += claimed;
    }
    Ok(all)
}

/// Claims all entries of one consumer for another. Returns the number of entries, and of those that
/// were trimmed from the stream meanwhile and are gone.
async fn claim(
    connection: &mut Connection,
    (stream, group): (&str, &str),
    from: &str,
    to: &str,
) -> RedisResult<(usize, usize)> {
    let (mut claimed, mut pending) = (0, 0);
    let mut start = "-".to_owned();
    loop {
        let mut page = redis::cmd("XPENDING");
        page.arg(stream)
            .arg(group)
            .arg(&start)
            .arg("+")
            .arg(PAGE)
            .arg(from);
        let page: Vec<(String, String, u64, u64)> = page.query_async(connection).await?;
        let Some((last, ..)) = page.last() else {
            return Ok((claimed, pending - claimed));
        };
        start = format!("({last}");
        pending += page.len();
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(stream).arg(group).arg(to).arg(0);
        for (id, ..) in &page {
            claim.arg(id);
        }
        // Redis 7.0 and newer drop pending entries that are no longer in the stream.
        let ids: Vec<String> = claim.arg("JUSTID").query_async(connection).await?;
        claimed += ids.len();
    }
}
