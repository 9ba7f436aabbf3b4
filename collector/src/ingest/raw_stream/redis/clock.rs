//! Redis' own clock, read now and then and continued by this host's monotonic clock.
//!
//! The id of an entry usually is its arrival by Redis' clock. After an explicit id, or after that clock was set
//! back, ids are ahead of it: then the clock decides.

use std::time::{Duration, Instant};

use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_runtime::clock;
use rackwatch_runtime::redis::{Connection, server_time};
use redis::RedisResult;

/// Interval at which the clock is read: as long as a step of it may go unnoticed.
const INTERVAL: Duration = Duration::from_secs(5);
/// Distance above which an id is ahead of the clock: far more than the time since the clock was read can
/// account for.
const AHEAD: Duration = Duration::from_mins(1);

/// The last reading of Redis' clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RedisClock(Option<(Instant, Timestamp)>);

impl RedisClock {
    /// Returns whether the clock was not read for a while.
    pub(super) fn is_due(self) -> bool {
        self.0.is_none_or(|(read, _)| read.elapsed() >= INTERVAL)
    }

    /// Reads the clock.
    pub(super) async fn read(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let time = server_time(connection).await?;
        self.0 = Some((Instant::now(), time));
        Ok(())
    }

    /// Returns the time by Redis' clock; by this host's if it was never read.
    pub(super) fn now(self) -> Timestamp {
        self.0
            .map_or_else(clock::now, |(read, time)| time.plus(read.elapsed()))
    }

    /// Returns by how much `id` is ahead of the clock; zero up to a minute.
    pub(super) fn ahead(self, id: StreamId) -> Duration {
        let arrived = Timestamp::from_millis(id.ms).unwrap_or(Timestamp::MAX);
        let ahead = arrived.since(self.now());
        if ahead > AHEAD { ahead } else { Duration::ZERO }
    }
}
