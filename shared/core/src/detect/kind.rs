//! Kinds of anomalies: the words for them, and how alerts of a kind are read.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::format_duration;
use crate::units::Celsius;

/// A kind of trouble: only alerts of one family can have one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Hot, or becoming hot.
    Heat,
    /// Cold, or becoming cold.
    Cold,
    /// Sensors and agents that deliver no usable readings.
    NoData,
    /// A single sensor with implausible readings.
    Sensor,
}

/// The side of a limit on which a temperature is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Too hot.
    Above,
    /// Too cold.
    Below,
}

impl Side {
    /// Returns whether `value` is strictly beyond `limit`: 28.0 is not above 28.0.
    pub fn beyond(self, value: Celsius, limit: Celsius) -> bool {
        match self {
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }
}

/// The temperature that an alert of a kind remembers as its peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peak {
    /// The hottest reading of the episode.
    Highest,
    /// The coldest reading of the episode.
    Lowest,
    /// The reading furthest along the change that was found, which may point either way.
    Farthest,
    /// None: the temperature is irrelevant to this kind.
    None,
}

impl Peak {
    /// Returns the function that picks the more extreme of two temperatures, the peak so far first.
    ///
    /// `change` is the change of the newest finding, in kelvin; `None` while nothing is found.
    pub fn further(self, change: Option<f64>) -> fn(Celsius, Celsius) -> Celsius {
        match (self, change) {
            (Self::Lowest, _) => Celsius::min,
            (Self::Farthest, Some(change)) if change < 0.0 => Celsius::min,
            (Self::Highest, _) | (Self::Farthest, Some(_)) => Celsius::max,
            // Without a finding the direction is unknown, so the peak stays.
            (Self::Farthest, None) | (Self::None, _) => |peak, _| peak,
        }
    }
}

/// The words for a kind, and the rules for reading its alerts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KindInfo {
    /// The value of `type` on the wire and in rules.
    pub name: &'static str,
    /// A few words for lists and charts, such as `too hot`.
    pub title: &'static str,
    /// The first words of an incident that this kind names.
    pub headline: &'static str,
    /// The same where the change points down, for kinds that go either way.
    pub headline_below: Option<&'static str>,
    /// Among the kinds of an incident, the one with the highest rank names it.
    pub rank: u8,
    /// The family of its alerts, unless the change points down.
    pub family: Family,
    /// The temperature that its alerts remember.
    pub peak: Peak,
    /// The side on which its thresholds are temperature limits; `None` where they are not.
    pub side: Option<Side>,
    /// The family of incidents for which such a fast change is the way back.
    pub recovery_of: Option<Family>,
    /// The unit of its thresholds.
    pub unit: &'static str,
    /// The reason to look at a sensor while this kind fires; `None` where the sensor is fine.
    pub symptom: Option<&'static str>,
}

impl KindInfo {
    /// Creates a kind with these names, and defaults for the rest.
    pub const fn new(name: &'static str, title: &'static str, family: Family) -> Self {
        Self {
            name,
            title,
            headline: title,
            headline_below: None,
            rank: 0,
            family,
            peak: Peak::None,
            side: None,
            recovery_of: None,
            unit: "°C",
            symptom: None,
        }
    }

    /// Returns the family of an alert with this change, in kelvin.
    pub fn family_of(&self, change: Option<f64>) -> Family {
        if self.peak == Peak::Farthest && change.is_some_and(|change| change < 0.0) {
            return Family::Cold;
        }
        self.family
    }

    /// Returns the first words of an incident of `family` that this kind names; `None` where its
    /// alerts are never of that family.
    pub fn headline_in(&self, family: Family) -> Option<&'static str> {
        match self.headline_below {
            Some(headline) if family == Family::Cold && self.family != Family::Cold => {
                Some(headline)
            }
            _ => (family == self.family).then_some(self.headline),
        }
    }
}

/// The fields that kinds add to a record, as the wire and JSON show them side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// The field `change`, in kelvin.
    pub change: Option<f64>,
    /// The field `window_ms`.
    pub window: Option<Duration>,
    /// The field `reason`.
    pub reason: Option<String>,
    /// The fields `left_min_ms` and `left_max_ms`.
    pub left: Option<(Duration, Duration)>,
    /// The field `skew_ms`.
    pub skew_ms: Option<i64>,
}

/// The part of a record that only its kind has.
pub trait Payload: Clone + fmt::Debug + PartialEq {
    /// Returns the payload that these fields hold; `None` if one is missing. Fields of other kinds are
    /// ignored.
    fn from_extras(extras: Extras) -> Option<Self>;

    /// Returns the payload as fields.
    fn extras(&self) -> Extras;
}

/// The payload of kinds without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPayload {}

impl Payload for NoPayload {
    fn from_extras(_extras: Extras) -> Option<Self> {
        None
    }

    fn extras(&self) -> Extras {
        match *self {}
    }
}

/// A change of temperature within a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePayload {
    /// The change in kelvin: of swings its size, of drifts with its sign.
    pub change: f64,
    /// The time in which it happened.
    pub window: Duration,
}

impl Payload for ChangePayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        let (change, window) = extras.change.zip(extras.window)?;
        Some(Self { change, window })
    }

    fn extras(&self) -> Extras {
        Extras {
            change: Some(self.change),
            window: Some(self.window),
            ..Extras::default()
        }
    }
}

/// The numbers that records of every kind have, from which words are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlertFacts {
    /// The record is about the beginning or worsening of an episode, not its end.
    pub is_firing: bool,
    /// The reading behind the record.
    pub temperature: Option<Celsius>,
    /// The threshold that was crossed, in the unit of the kind.
    pub threshold: f64,
    /// Rate of change, in kelvin per minute.
    pub rate: Option<f64>,
}

/// The words that follow the temperature in the line of a firing alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phrase {
    /// The words, with the punctuation that separates them from what stands before.
    pub text: String,
    /// The words already name rate and duration.
    pub is_complete: bool,
}

impl From<String> for Phrase {
    fn from(text: String) -> Self {
        Self {
            text,
            is_complete: false,
        }
    }
}

/// A kind of anomaly. Every registered kind has one, also those that no rule can configure.
pub trait AnomalyKind {
    /// Its name, title, and other words.
    const INFO: KindInfo;

    /// The fields that its records add to the common ones. A firing record of ours has it, a resolved one does not.
    type Payload: Payload;

    /// Returns the words that follow the temperature of a firing alert, such as ` > 32.0`.
    fn phrase(payload: Option<&Self::Payload>, facts: &AlertFacts) -> Phrase;

    /// Returns the words that stand in for the temperature of a record without one.
    fn without_temperature(_payload: Option<&Self::Payload>, _facts: &AlertFacts) -> String {
        "no temperature".to_owned()
    }
}

/// Returns `, +3.2 °C<relation>` with the window in which the change was seen, where one is known:
/// `, +6.2 °C within 5m`.
pub(super) fn change_phrase(
    change: f64,
    relation: &str,
    window: Option<(&str, Duration)>,
) -> String {
    let mut text = format!(", {change:+.1} °C{relation}");
    if let Some((word, window)) = window {
        // Writing to a String cannot fail.
        let _ok = write!(text, " {word} {}", format_duration(window));
    }
    text
}
