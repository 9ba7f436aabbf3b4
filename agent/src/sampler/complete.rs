//! Makes what a source said complete: a reading for every device that it ever found. Pure.

use std::collections::{BTreeMap, HashMap};

use rackwatch_core::device::DeviceId;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

use crate::source::{Found, Outcome};

/// Temperatures that a device in a data centre can have, in °C: the range of industrial parts.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -40.0..=150.0;

/// Every device that a source found since the start, and whether it was there the last time.
#[derive(Debug, Default)]
pub(super) struct Roster(BTreeMap<DeviceId, Presence>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Gone,
}

/// Devices came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed;

impl Roster {
    /// Takes the result of a search.
    pub(super) fn discovered(&mut self, found: &[Found]) -> Option<Changed> {
        let before = self.0.clone();
        for presence in self.0.values_mut() {
            *presence = Presence::Gone;
        }
        for found in found {
            self.0.insert(found.device.clone(), Presence::Here);
        }
        (before != self.0).then_some(Changed)
    }

    /// One reading for each device: what the source said, or why there is nothing.
    ///
    /// Of two outcomes for one device the first counts; devices that were not found do not.
    pub(super) fn complete(&self, at: Timestamp, outcomes: Vec<Outcome>) -> Vec<Reading> {
        let mut said = HashMap::with_capacity(outcomes.len());
        for (device, value) in outcomes {
            said.entry(device).or_insert(value);
        }
        self.each(at, |device, presence| match said.remove(device) {
            Some(value) => value.and_then(plausible),
            None if presence == Presence::Gone => Err(Fault::VANISHED),
            None => Err(Fault::NO_READING),
        })
    }

    /// The readings when the source did not answer in time.
    pub(super) fn timed_out(&self, at: Timestamp) -> Vec<Reading> {
        self.each(at, |_, _| Err(Fault::TIMEOUT))
    }

    fn each(
        &self,
        at: Timestamp,
        mut value: impl FnMut(&DeviceId, Presence) -> Result<Celsius, Fault>,
    ) -> Vec<Reading> {
        let readings = self.0.iter().map(|(device, presence)| Reading {
            device: device.clone(),
            at,
            value: value(device, *presence),
        });
        readings.collect()
    }
}

fn plausible(temperature: Celsius) -> Result<Celsius, Fault> {
    if PLAUSIBLE.contains(&temperature.degrees()) {
        Ok(temperature)
    } else {
        Err(Fault::OUT_OF_RANGE)
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::device::Description;

    use super::*;

    fn found(names: &[&str]) -> Vec<Found> {
        let found = names.iter().map(|name| Found {
            device: DeviceId::new(name).unwrap(),
            description: Description::default(),
        });
        found.collect()
    }

    fn said(name: &str, degrees: f64) -> Outcome {
        let celsius = Celsius::new(degrees).unwrap();
        (DeviceId::new(name).unwrap(), Ok(celsius))
    }

    fn texts(readings: Vec<Reading>) -> Vec<String> {
        let text = |reading: Reading| match reading.value {
            Ok(celsius) => format!("{} {celsius}", reading.device),
            Err(fault) => format!("{} {fault}", reading.device),
        };
        readings.into_iter().map(text).collect()
    }

    #[test]
    fn every_device_has_a_reading_or_a_fault() {
        let mut roster = Roster::default();
        assert_eq!(roster.discovered(&found(&["a", "b", "gone", "hot"])), Some(Changed));
        assert_eq!(roster.discovered(&found(&["a", "b", "hot"])), Some(Changed));
        assert_eq!(roster.discovered(&found(&["a", "b", "hot"])), None);

        let outcomes = vec![said("a", 20.5), said("a", 99.0), said("hot", 150.5), said("x", 1.0)];
        let readings = roster.complete(Timestamp::default(), outcomes);

        let expected = ["a 20.5", "b no_reading", "gone vanished", "hot out_of_range"];
        assert_eq!(texts(readings), expected);
    }

    #[test]
    fn a_missed_deadline_is_a_timeout_of_each_device() {
        let mut roster = Roster::default();
        roster.discovered(&found(&["a", "b"]));
        assert_eq!(texts(roster.timed_out(Timestamp::default())), ["a timeout", "b timeout"]);
    }
}
