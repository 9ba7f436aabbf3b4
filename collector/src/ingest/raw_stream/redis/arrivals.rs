//! Checks of arriving entries: pending under the consumer of another program, pending after their commit, or
//! with ids ahead of Redis' clock. Also what else is read beside them: that clock, and resolutions.

use std::time::{Duration, Instant};

use rackwatch_core::keys;

use super::super::{Entry, RawStreamError, ResolvedByHand};
use super::{RedisRawStream, refused};
use crate::claims;
use crate::optional_key::unless_wrong_type;

/// Interval of warnings that ids are ahead of Redis' clock.
const AHEAD_WARNING_INTERVAL: Duration = Duration::from_mins(10);

impl RedisRawStream {
    /// Takes over what other consumers have pending, to be read first.
    pub(super) async fn claim_from_others(&mut self) -> Result<(), RawStreamError> {
        let refused = |error| refused(&self.keys, "take over pending entries", error);
        let (group, consumer) = (keys::DETECTOR_GROUP, keys::DETECTOR_CONSUMER);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            match claims::take_over(&mut connection, &self.keys.raw, group, consumer).await {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    self.reader.read_pending_first();
                    return Ok(());
                }
                Err(error) => self.commands.recover(&error).await.map_err(refused)?,
            }
        }
    }

    /// Acknowledges and drops entries that a commit covers already: a client may have claimed them
    /// again. Progress never goes back.
    pub(super) async fn drop_committed(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<Vec<Entry>, RawStreamError> {
        let committed = self.committed;
        let (old, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.id <= committed);
        if old.is_empty() {
            return Ok(entries);
        }
        tracing::warn!(
            stream = self.keys.raw,
            entries = old.len(),
            "committed entries were pending again, acknowledged them"
        );
        let mut ack = redis::cmd("XACK");
        ack.arg(&self.keys.raw).arg(keys::DETECTOR_GROUP);
        for entry in &old {
            ack.arg(entry.id.to_string());
        }
        self.query::<()>("acknowledge committed entries", &ack)
            .await?;
        Ok(entries)
    }

    /// Reads which alerts people resolved, however long that takes.
    pub(super) async fn read_resolutions(&mut self) -> Result<Vec<ResolvedByHand>, RawStreamError> {
        let refused = |error| refused(&self.keys, "read resolutions", error);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            let (waiting, key) = (&mut self.resolutions, &self.keys.resolutions);
            match unless_wrong_type(waiting.read(&mut connection, key).await) {
                Ok(requests) => return Ok(requests),
                Err(error) => self.commands.recover(&error).await.map_err(refused)?,
            }
        }
    }

    /// Reads Redis' clock, however long that takes.
    pub(super) async fn read_clock(&mut self) -> Result<(), RawStreamError> {
        let refused = |error| refused(&self.keys, "read the clock", error);
        loop {
            let mut connection = self.commands.connection().await.map_err(refused)?;
            match self.clock.read(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(error) => self.commands.recover(&error).await.map_err(refused)?,
            }
        }
    }

    /// Logs ids ahead of Redis' clock, once in a while.
    pub(super) fn report_ahead(&mut self, entries: &[Entry]) {
        let ahead = entries.iter().map(|entry| entry.ahead).max();
        let Some(ahead) = ahead.filter(|ahead| !ahead.is_zero()) else {
            return;
        };
        let is_recent = |reported: Instant| reported.elapsed() < AHEAD_WARNING_INTERVAL;
        if !self.ahead_reported.is_some_and(is_recent) {
            self.ahead_reported = Some(Instant::now());
            tracing::warn!(
                stream = self.keys.raw,
                ?ahead,
                "ids of entries are ahead of redis' clock, taking the clock for their arrival"
            );
        }
    }
}
