//! The state of a device's data: whether its last value still says anything.

use std::time::Duration;

use serde::Serialize;

/// Age at which a reading is stale, unless three intervals of its device are longer.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// The state of a device's data. Only [`DataState::Live`] data may be shown as the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataState {
    /// A good reading arrived lately.
    Live,
    /// The device cannot be read.
    Faulty,
    /// Readings arrive that no rule looks at, because the description of an agent's device is missing or refused.
    NotEvaluated,
    /// No reading has arrived for a while.
    Stale,
    /// Its agent has stopped, or has removed the device.
    Withdrawn,
    /// No reading is known.
    #[default]
    Unknown,
}

/// The facts about a device's data.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct DataFacts {
    /// The age of the last reading; none if none is known.
    pub age: Option<Duration>,
    /// The interval at which the device is read; zero if it is unknown.
    pub interval: Duration,
    /// The last reading is a fault.
    pub is_faulty: bool,
    /// An agent sends its readings, and no valid description says what it measures.
    pub is_undescribed: bool,
    /// An alert says that the device, its target or its agent sends no data.
    pub is_absent: bool,
    /// Its agent announced a stop, or that it removed the device.
    pub is_leaving: bool,
}

impl DataState {
    /// All states, the best first.
    pub const ALL: [Self; 6] = [
        Self::Live,
        Self::Faulty,
        Self::NotEvaluated,
        Self::Stale,
        Self::Withdrawn,
        Self::Unknown,
    ];

    /// Returns the state that follows from the facts.
    pub fn of(facts: DataFacts) -> Self {
        let limit = STALE_AFTER.max(facts.interval * 3);
        match facts.age {
            _ if facts.is_leaving => Self::Withdrawn,
            _ if facts.is_absent => Self::Stale,
            None => Self::Unknown,
            Some(age) if age > limit => Self::Stale,
            Some(_) if facts.is_undescribed => Self::NotEvaluated,
            Some(_) if facts.is_faulty => Self::Faulty,
            Some(_) => Self::Live,
        }
    }

    /// Returns the word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Faulty => "faulty",
            Self::NotEvaluated => "not_evaluated",
            Self::Stale => "stale",
            Self::Withdrawn => "withdrawn",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_good_reading_is_live() {
        let fresh = DataFacts {
            age: Some(Duration::from_secs(2)),
            interval: Duration::from_secs(1),
            ..DataFacts::default()
        };
        let of = DataState::of;
        assert_eq!(of(fresh), DataState::Live);
        let old = DataFacts {
            age: Some(Duration::from_secs(100)),
            ..fresh
        };
        assert_eq!(of(old), DataState::Stale);
        let slow = DataFacts {
            interval: Duration::from_mins(5),
            ..old
        };
        assert_eq!(of(slow), DataState::Live);
        let faulty = DataFacts {
            is_faulty: true,
            ..fresh
        };
        assert_eq!(of(faulty), DataState::Faulty);
        let undescribed = DataFacts {
            is_undescribed: true,
            ..faulty
        };
        assert_eq!(of(undescribed), DataState::NotEvaluated);
        let silent = DataFacts {
            age: old.age,
            ..undescribed
        };
        assert_eq!(of(silent), DataState::Stale);
        let absent = DataFacts {
            is_absent: true,
            ..faulty
        };
        assert_eq!(of(absent), DataState::Stale);
        let leaving = DataFacts {
            is_leaving: true,
            ..absent
        };
        assert_eq!(of(leaving), DataState::Withdrawn);
        assert_eq!(of(DataFacts::default()), DataState::Unknown);
    }
}
