//! Kinds of alerts, and what a record of each kind adds to the common fields.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Celsius;

/// The kind of an alert: the field `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The temperature is above a limit.
    HighTemp,
    /// The temperature is below a limit.
    LowTemp,
    /// The temperature rose by much within a window.
    Spike,
    /// The temperature fell by much within a window.
    Drop,
    /// The temperature crept away from the sensor's long-term average.
    Drift,
    /// A rack heats up so fast that its cooling must have failed.
    Runaway,
    /// A sensor left its usual distance from the others in its rack.
    Outlier,
    /// A sensor repeats one value while its neighbours move.
    StuckSensor,
    /// A sensor can no longer be read.
    SensorFault,
    /// No more data arrives from a sensor, a target or an agent.
    NoData,
    /// A clock is wrong, or was set back.
    ClockSkew,
}

impl AlertKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::HighTemp,
        Self::LowTemp,
        Self::Spike,
        Self::Drop,
        Self::Drift,
        Self::Runaway,
        Self::Outlier,
        Self::StuckSensor,
        Self::SensorFault,
        Self::NoData,
        Self::ClockSkew,
    ];

    /// The kinds that a configured rule may have. The engine itself watches for the others.
    pub const RULES: [Self; 10] = [
        Self::HighTemp,
        Self::LowTemp,
        Self::Spike,
        Self::Drop,
        Self::Drift,
        Self::Runaway,
        Self::Outlier,
        Self::StuckSensor,
        Self::SensorFault,
        Self::NoData,
    ];

    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::HighTemp => "high_temp",
            Self::LowTemp => "low_temp",
            Self::Spike => "spike",
            Self::Drop => "drop",
            Self::Drift => "drift",
            Self::Runaway => "runaway",
            Self::Outlier => "outlier",
            Self::StuckSensor => "stuck_sensor",
            Self::SensorFault => "sensor_fault",
            Self::NoData => "no_data",
            Self::ClockSkew => "clock_skew",
        }
    }

    /// Returns which temperature of an episode is its peak.
    pub fn peak(self) -> Peak {
        match self {
            Self::HighTemp | Self::Spike | Self::Runaway => Peak::Highest,
            Self::LowTemp | Self::Drop => Peak::Lowest,
            Self::Drift | Self::Outlier => Peak::Farthest,
            Self::StuckSensor | Self::SensorFault | Self::NoData | Self::ClockSkew => Peak::None,
        }
    }

    /// Returns whether a resolved record has a peak.
    pub fn has_peak(self) -> bool {
        self.peak() != Peak::None
    }
}

/// The temperature that counts as the peak of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peak {
    /// The highest temperature of the episode.
    Highest,
    /// The lowest temperature of the episode.
    Lowest,
    /// The highest or the lowest, depending on the side of the newest finding.
    Farthest,
    /// None: the kind does not look at temperatures.
    None,
}

impl Peak {
    /// Returns the function that picks the more extreme of the peak so far and a new temperature. `change` is
    /// that of the newest finding; none if there is no finding.
    pub fn further(self, change: Option<f64>) -> fn(Celsius, Celsius) -> Celsius {
        match (self, change) {
            (Self::Lowest, _) => Celsius::min,
            (Self::Farthest, Some(change)) if change < 0.0 => Celsius::min,
            (Self::Highest, _) | (Self::Farthest, Some(_)) => Celsius::max,
            (Self::Farthest | Self::None, _) => |peak, _| peak,
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The part of a record that depends on its kind.
///
/// A firing record of ours has the payload of its kind; a resolved one has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// Detail of [`AlertKind::HighTemp`], which adds nothing.
    HighTemp,
    /// Detail of [`AlertKind::LowTemp`], which adds nothing.
    LowTemp,
    /// The rise of a [`AlertKind::Spike`].
    Spike(Option<Swing>),
    /// The fall of a [`AlertKind::Drop`].
    Drop(Option<Swing>),
    /// The departure of a [`AlertKind::Drift`].
    Drift(Option<Drift>),
    /// The rise of a rack, of [`AlertKind::Runaway`].
    Runaway(Option<Runaway>),
    /// The departure of an [`AlertKind::Outlier`].
    Outlier(Option<Outlier>),
    /// The neighbours' range, of [`AlertKind::StuckSensor`].
    StuckSensor(Option<StuckSensor>),
    /// The fault, of [`AlertKind::SensorFault`].
    SensorFault(Option<SensorFault>),
    /// Detail of [`AlertKind::NoData`], which adds nothing.
    NoData,
    /// The error, of [`AlertKind::ClockSkew`].
    ClockSkew(Option<ClockSkew>),
}

/// A fast change of temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Swing {
    /// The size of the change, in kelvin.
    pub change: f64,
    /// The window in which the temperature changed.
    pub window: Duration,
}

/// A departure from the long-term average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// The difference from the average, in kelvin; negative where the sensor became colder.
    pub change: f64,
    /// The time that the average covers.
    pub window: Duration,
}

/// A rack that heats up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runaway {
    /// The mean rise of the rack's sensors, in kelvin.
    pub change: f64,
    /// The time in which they rose.
    pub window: Duration,
    /// The least and the greatest estimate of the time until the first sensor is critical.
    pub left: Option<(Duration, Duration)>,
}

/// A departure from the other sensors of a rack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// The difference from the usual distance, in kelvin; negative where the sensor became colder.
    pub change: f64,
}

/// A value that does not change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StuckSensor {
    /// The range, in kelvin, over which the neighbours moved meanwhile.
    pub neighbours: f64,
}

/// A sensor that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorFault {
    /// The fault as its agent named it, such as `timeout`.
    pub reason: String,
}

/// The error of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// Milliseconds that the clock is ahead of Redis' clock, or of its own former time; negative where it
    /// is behind.
    pub ms: i64,
}

/// The fields of all payloads, as the wire and JSON show them side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// The field `change`, in kelvin.
    pub change: Option<f64>,
    /// The field `window_ms`, as a duration.
    pub window: Option<Duration>,
    /// The field `reason`, one word.
    pub reason: Option<String>,
    /// The fields `left_min_ms` and `left_max_ms`.
    pub left: Option<(Duration, Duration)>,
    /// The field `skew_ms`, in milliseconds.
    pub skew_ms: Option<i64>,
}

impl Detail {
    /// Returns the detail of `kind` with the payload that `extras` holds for it, if it is complete. Fields of
    /// other kinds are ignored.
    pub fn new(kind: AlertKind, extras: Extras) -> Self {
        let Extras {
            change,
            window,
            reason,
            left,
            skew_ms,
        } = extras;
        let within = change.zip(window);
        let swing = within.map(|(change, window)| Swing { change, window });
        match kind {
            AlertKind::HighTemp => Self::HighTemp,
            AlertKind::LowTemp => Self::LowTemp,
            AlertKind::Spike => Self::Spike(swing),
            AlertKind::Drop => Self::Drop(swing),
            AlertKind::Drift => {
                Self::Drift(within.map(|(change, window)| Drift { change, window }))
            }
            AlertKind::Runaway => Self::Runaway(within.map(|(change, window)| Runaway {
                change,
                window,
                left,
            })),
            AlertKind::Outlier => Self::Outlier(change.map(|change| Outlier { change })),
            AlertKind::StuckSensor => {
                Self::StuckSensor(change.map(|neighbours| StuckSensor { neighbours }))
            }
            AlertKind::SensorFault => {
                Self::SensorFault(reason.map(|reason| SensorFault { reason }))
            }
            AlertKind::NoData => Self::NoData,
            AlertKind::ClockSkew => Self::ClockSkew(skew_ms.map(|ms| ClockSkew { ms })),
        }
    }

    /// Returns the kind of this detail.
    pub fn kind(&self) -> AlertKind {
        match self {
            Self::HighTemp => AlertKind::HighTemp,
            Self::LowTemp => AlertKind::LowTemp,
            Self::Spike(_) => AlertKind::Spike,
            Self::Drop(_) => AlertKind::Drop,
            Self::Drift(_) => AlertKind::Drift,
            Self::Runaway(_) => AlertKind::Runaway,
            Self::Outlier(_) => AlertKind::Outlier,
            Self::StuckSensor(_) => AlertKind::StuckSensor,
            Self::SensorFault(_) => AlertKind::SensorFault,
            Self::NoData => AlertKind::NoData,
            Self::ClockSkew(_) => AlertKind::ClockSkew,
        }
    }

    /// Returns the payload as fields.
    pub fn extras(&self) -> Extras {
        let none = Extras::default();
        match self {
            Self::HighTemp | Self::LowTemp | Self::NoData => none,
            Self::Spike(payload) | Self::Drop(payload) => Extras {
                change: payload.map(|swing| swing.change),
                window: payload.map(|swing| swing.window),
                ..none
            },
            Self::Drift(payload) => Extras {
                change: payload.map(|drift| drift.change),
                window: payload.map(|drift| drift.window),
                ..none
            },
            Self::Runaway(payload) => Extras {
                change: payload.map(|runaway| runaway.change),
                window: payload.map(|runaway| runaway.window),
                left: payload.and_then(|runaway| runaway.left),
                ..none
            },
            Self::Outlier(payload) => Extras {
                change: payload.map(|outlier| outlier.change),
                ..none
            },
            Self::StuckSensor(payload) => Extras {
                change: payload.map(|stuck| stuck.neighbours),
                ..none
            },
            Self::SensorFault(payload) => Extras {
                reason: payload.as_ref().map(|fault| fault.reason.clone()),
                ..none
            },
            Self::ClockSkew(payload) => Extras {
                skew_ms: payload.map(|skew| skew.ms),
                ..none
            },
        }
    }
}
