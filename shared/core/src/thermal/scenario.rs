//! Scenarios: the size of a simulated hall, and its scheduled faults.
//!
//! In: numbers and a text such as `demo` or `cooler-trip@30s/5m,stuck:inlet-R1-2@1m/2m`. Out: a checked [`Scenario`], or
//! the reason why it is invalid.

use std::time::Duration;

use super::faults::{Effect, ScheduledFault, Target};
use super::plant::Plant;
use crate::device::DeviceId;

/// A simulated hall: its size, its seed, and its scheduled faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    racks: usize,
    sensors: usize,
    seed: u64,
    faults: Vec<ScheduledFault>,
    plant: Plant,
}

/// The reason why a scenario is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No racks, no sensors, or more than [`Scenario::MAX_SENSORS`].
    #[error(
        "{racks} racks and {sensors} sensors: expected at least one rack, and from one sensor a rack up to 1000000 sensors"
    )]
    Size {
        /// The requested number of racks.
        racks: usize,
        /// The requested number of sensors.
        sensors: usize,
    },
    /// A text other than `quiet`, `demo` or a list of faults.
    #[error(
        "{0:?} is not a scenario: expected quiet, demo, or FAULT[:TARGET]@START/DURATION[/EVERY],... with one of cooling-loss, cooler-trip, fan-failure, blocked-tile, load-step, door, hot-spot, missing-panel, cold-spot, step, stuck, dropout, offset, hang, reboot, no-data, clock-jump"
    )]
    Spec(String),
    /// A text other than a duration such as `500ms`, `30s`, `5m` or `2h`.
    #[error("{0:?} is not a duration: expected a number and ms, s, m, h or d, as in 30s")]
    Duration(String),
    /// A fault with an unknown target.
    #[error("{0:?} is neither a rack nor a sensor of this hall")]
    Target(String),
    /// A fault that would start again before it ends.
    #[error("{0:?} would start again before it ends")]
    Overlap(String),
}

impl Scenario {
    /// Largest number of sensors: ten times the largest site that the design aims at.
    pub const MAX_SENSORS: usize = 1_000_000;

    /// Describes a hall of `racks` racks with `sensors` sensors in total, and the faults of `spec`:
    ///
    /// - `quiet`: none;
    /// - `demo`: within ten seconds an inlet crosses 28 °C, then 32 °C, and is back below 27.5 °C half a minute after
    ///   the start. A cold spot, a step and a dropout follow. All repeats every four minutes, at other sensors;
    /// - a list such as `cooler-trip@30s/5m,stuck:inlet-R1-2@1m/2m`: the first begins after 30 s and lasts 5 minutes.
    ///   The target is a rack, a sensor or `*`. Without a target, faults of racks are everywhere, and others at the
    ///   first sensor. A third duration is the interval of repeats.
    ///
    /// # Errors
    ///
    /// Fails if the numbers are out of range, or if `spec` is invalid.
    pub fn new(racks: usize, sensors: usize, seed: u64, spec: &str) -> Result<Self, ScenarioError> {
        if racks == 0 || sensors < racks || sensors > Self::MAX_SENSORS {
            return Err(ScenarioError::Size { racks, sensors });
        }
        let mut scenario = Self {
            racks,
            sensors,
            seed,
            faults: Vec::new(),
            plant: Plant::plain(),
        };
        scenario.faults = match spec.trim() {
            "quiet" => Vec::new(),
            "demo" => demo(sensors),
            list => list
                .split(',')
                .map(|item| scenario.fault(item.trim()))
                .collect::<Result<_, _>>()?,
        };
        Ok(scenario)
    }

    /// Replaces the properties of the hall.
    #[must_use]
    pub fn within(self, plant: Plant) -> Self {
        Self { plant, ..self }
    }

    /// Returns the properties of the hall.
    pub fn plant(&self) -> &Plant {
        &self.plant
    }

    /// Returns the number of racks.
    pub fn racks(&self) -> usize {
        self.racks
    }

    /// Returns the seed of all random numbers.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the scheduled faults.
    pub fn faults(&self) -> &[ScheduledFault] {
        &self.faults
    }

    /// Returns the number of sensors in the rack with index `rack`. The first racks may have one more.
    pub(super) fn sensors_of(&self, rack: usize) -> usize {
        self.sensors / self.racks + usize::from(rack < self.sensors % self.racks)
    }

    /// Returns the inlet ids of a rack, as targets name them.
    pub(super) fn devices_of(&self, rack: usize) -> Vec<DeviceId> {
        let count = self.sensors_of(rack);
        (0..count).map(|n| device_id(rack, n)).collect()
    }

    fn fault(&self, item: &str) -> Result<ScheduledFault, ScenarioError> {
        let not_a_spec = || ScenarioError::Spec(item.to_owned());
        let (what, when) = item.split_once('@').ok_or_else(not_a_spec)?;
        let (word, target) = match what.split_once(':') {
            Some((word, target)) => (word, Some(target)),
            None => (what, None),
        };
        let effect = Effect::ALL
            .into_iter()
            .find(|effect| effect.name() == word)
            .ok_or_else(not_a_spec)?;
        let times = when
            .split('/')
            .map(duration)
            .collect::<Result<Vec<_>, _>>()?;
        let (start, duration, every) = match times[..] {
            [start, duration] => (start, duration, None),
            [start, duration, every] => (start, duration, Some(every)),
            _ => return Err(not_a_spec()),
        };
        if every.is_some_and(|every| every <= duration) {
            return Err(ScenarioError::Overlap(item.to_owned()));
        }
        Ok(ScheduledFault {
            effect,
            target: self.target(effect, target)?,
            start,
            duration,
            every,
        })
    }

    fn target(&self, effect: Effect, text: Option<&str>) -> Result<Target, ScenarioError> {
        let Some(text) = text else {
            return Ok(if effect.is_of_racks() {
                Target::Everywhere
            } else {
                Target::Device(device_id(0, 0))
            });
        };
        if text == "*" {
            return Ok(Target::Everywhere);
        }
        if (0..self.racks).any(|rack| rack_name(rack) == text) {
            return Ok(Target::Rack(text.to_owned()));
        }
        // A cooler serves a rack, not a sensor.
        if effect.is_of_racks() {
            return Err(ScenarioError::Target(text.to_owned()));
        }
        (0..self.racks)
            .flat_map(|rack| self.devices_of(rack))
            .find(|device| device.as_str() == text)
            .map(Target::Device)
            .ok_or_else(|| ScenarioError::Target(text.to_owned()))
    }
}

/// Returns the name of the rack with index `rack`.
pub(super) fn rack_name(rack: usize) -> String {
    format!("R{}", rack + 1)
}

/// Returns the id of sensor `n` of a rack, both counted from 0.
pub(super) fn device_id(rack: usize, n: usize) -> DeviceId {
    DeviceId::sanitized(&format!("inlet-{}-{}", rack_name(rack), n + 1))
}

/// Returns the faults of `demo`. They take turns, so that they do not overlap even with one sensor. Each round targets
/// other sensors.
fn demo(sensors: usize) -> Vec<ScheduledFault> {
    // Effect, first sensor, start and duration in seconds. A dropout is only worth an alert after
    // 60 s, so it lasts longer than that.
    [
        (Effect::HotSpot, 0, 2, 13),
        (Effect::ColdSpot, sensors / 2, 60, 25),
        (Effect::Step, sensors / 4, 115, 4),
        (Effect::Dropout, sensors - 1, 130, 80),
    ]
    .into_iter()
    .map(|(effect, sensor, start, duration)| ScheduledFault {
        effect,
        target: Target::Rotating(sensor),
        start: Duration::from_secs(start),
        duration: Duration::from_secs(duration),
        every: Some(Duration::from_mins(4)),
    })
    .collect()
}

fn duration(text: &str) -> Result<Duration, ScenarioError> {
    let wrong = || ScenarioError::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_is_read() {
        let scenario = Scenario::new(
            2,
            4,
            1,
            "cooler-trip@30s/5m, stuck:inlet-R1-2@1m/2m/1h,dropout:R2@500ms/1h",
        )
        .unwrap();
        let [trip, stuck, dropout] = scenario.faults() else {
            panic!("{scenario:?}")
        };
        assert_eq!(trip.target, Target::Everywhere);
        assert_eq!(trip.start, Duration::from_secs(30));
        assert_eq!(trip.duration, Duration::from_mins(5));
        assert_eq!(stuck.target, Target::Device(device_id(0, 1)));
        assert_eq!(stuck.every, Some(Duration::from_hours(1)));
        assert_eq!(dropout.target, Target::Rack("R2".into()));
    }

    #[test]
    fn an_invalid_scenario_is_refused_with_the_reason() {
        let spec = |spec| Scenario::new(2, 4, 1, spec).unwrap_err();
        assert!(matches!(spec(""), ScenarioError::Spec(_)));
        assert!(matches!(spec("fire@1s/1s"), ScenarioError::Spec(_)));
        assert!(matches!(spec("stuck@1s"), ScenarioError::Spec(_)));
        assert!(matches!(spec("stuck@1s/1"), ScenarioError::Duration(_)));
        assert!(matches!(spec("stuck@1s/é"), ScenarioError::Duration(_)));
        assert!(matches!(
            spec("stuck@1s/9999999999999999999d"),
            ScenarioError::Duration(_)
        ));
        assert!(matches!(spec("stuck:R3@1s/1s"), ScenarioError::Target(_)));
        assert!(matches!(
            spec("cooler-trip:inlet-R1-1@1s/1s"),
            ScenarioError::Target(_)
        ));
        assert!(matches!(spec("stuck@1s/2m/1m"), ScenarioError::Overlap(_)));
        assert!(matches!(
            Scenario::new(2, 1, 1, "quiet"),
            Err(ScenarioError::Size { .. })
        ));
    }
}
