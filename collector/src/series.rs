//! The temperatures of every device over time: raw readings and one-minute roll-ups.
//!
//! In: batches of readings that the partition read from the stream, before it evaluates or
//! acknowledges them. Out: the same readings under `sensor:<device>:temp`, their minutes under
//! `…:1m:avg`, `…:1m:min`, `…:1m:max`, and ranges of both for the dashboard.
//!
//! Promise: when [`Series::store`] returned, the batch and all minutes that it completed or
//! changed are in the backend. Storing a batch again changes nothing, because the first value of a
//! (device, timestamp) stays; so a batch is simply stored again after a crash or a lost connection.
//! A reading that a backend cannot take (its key has another type, or it is older than the
//! retention) is refused alone, with the reason. Readings are lost when Redis itself loses them,
//! and when they are older than the retention. The minute that is open when a collector stops is
//! computed by its successor from the raw readings, once the device reports again.
//!
//! Retention counts back from a device's newest reading. One timestamp from the far future would make
//! the backend refuse every right one, so the caller must reject those.
//!
//! A `Series` belongs to one ownership term of a partition. Open a new one after another collector
//! owned it: minutes are only right if all readings of the device came through the same `Series`.

pub mod config;
pub(crate) mod history;
mod backend;
mod memory;
mod open;
mod plain;
mod reply;
mod rollup;
mod storage;
mod timeseries;
mod wrong_keys;

use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use redis::RedisError;

pub use config::{SeriesBackend, SeriesConfig};
pub use open::{InMemory, open};
pub(crate) use open::{are_time_series, is_missing};
pub use storage::Series;
pub(crate) use wrong_keys::{REFUSED, REFUSED_MINUTE, SeriesContent, WrongKey, wrong_keys};

/// A temperature of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Device that measured it.
    pub device: DeviceId,
    /// Time of the measurement, by the agent's clock.
    pub at: Timestamp,
    /// Temperature that was measured.
    pub value: Celsius,
}

/// Temperatures in order of time.
pub type Samples = Vec<(Timestamp, Celsius)>;

/// The outcome of storing a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Number of points written. `TimeSeries` reports repeated points like new ones: there both
    /// count.
    pub written: usize,
    /// Number of points that were stored before.
    pub duplicates: usize,
    /// Points that the backend refused: index in the batch, and reason.
    pub refused: Vec<(usize, String)>,
    /// The device of each roll-up value that the backend refused, although it took the readings.
    pub minutes_refused: Vec<DeviceId>,
}

/// A way to make one temperature of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Arithmetic mean of all.
    Average,
    /// Lowest temperature of all.
    Minimum,
    /// Highest temperature of all.
    Maximum,
}

impl Aggregate {
    /// Every aggregate, in the order in which roll-ups are written.
    pub const ALL: [Self; 3] = [Self::Average, Self::Minimum, Self::Maximum];

    /// Returns the word in the names of keys and in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Average => "avg",
            Self::Minimum => "min",
            Self::Maximum => "max",
        }
    }
}

/// The resolution of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Raw readings, one sample each.
    Raw,
    /// Raw readings aggregated in buckets of this width, counted from 1970.
    Buckets(Duration, Aggregate),
    /// One-minute roll-ups, which are kept longer than raw readings.
    Minutes(Aggregate),
}

/// The reason why series could not be stored or read at all. Storing the same again completes what was
/// half done.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// Redis refused, or could not be reached.
    #[error("cannot {what}")]
    Redis {
        /// Operation that failed, such as "write series".
        what: &'static str,
        /// Error of the command.
        source: RedisError,
    },
    /// Redis sent a reply of another kind.
    #[error("cannot {what}: unexpected reply: {answer}")]
    Reply {
        /// Operation that failed, such as "write series".
        what: &'static str,
        /// Beginning of the reply, or the mismatch in the number of replies.
        answer: String,
    },
    /// The series of one device cannot be read.
    #[error("cannot read the series of {device}: {reason}")]
    Unreadable {
        /// Device whose series it is.
        device: DeviceId,
        /// Text of the reply.
        reason: String,
    },
    /// The configuration asks for `TimeSeries`, and this Redis has none.
    #[error(
        "series.backend is \"timeseries\", but this Redis has no TS.* commands: set it to \"auto\" or \"plain\""
    )]
    NoTimeSeries,
}

impl SeriesError {
    /// Returns the error of the command, which decides whether to connect again; none if Redis replied.
    pub fn redis(&self) -> Option<&RedisError> {
        match self {
            Self::Redis { source, .. } => Some(source),
            _ => None,
        }
    }
}
