//! Makes what a source said complete: a reading for every device that it ever found, of which each is a
//! temperature that can be meant, or a fault. Pure.
//!
//! A sensor on a busy bus says now and then what it never read: the next read is fine. So a jump is read
//! once more before it is believed, at once: a first hot reading is not held back, and one that is there
//! twice is true.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rackwatch_core::device::{DeviceId, Range, Role};
use rackwatch_core::quality;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

use crate::source::{Found, Outcome};

/// A change by more kelvin from one reading to the next is a jump. Air and drives take minutes for it;
/// processors do not, and are not asked twice.
const JUMP: f64 = 10.0;
/// Two readings at once that differ by more kelvin say nothing.
const AGREES: f64 = 3.0;

/// Every device that a source found since the start.
#[derive(Debug, Default)]
pub(super) struct Roster(BTreeMap<DeviceId, Known>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    /// It was there the last time.
    here: bool,
    role: Role,
    range: Option<Range>,
    /// What it read last, if ever.
    last: Option<Celsius>,
}

impl Known {
    /// Whether this is too much of a change to be believed at once.
    fn jumps(&self, now: Celsius) -> bool {
        let is_slow = !matches!(self.role, Role::Cpu | Role::Gpu);
        let change = self.last.map(|last| (now.degrees() - last.degrees()).abs());
        is_slow && change.is_some_and(|change| change > JUMP)
    }
}

/// Devices came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed;

impl Roster {
    /// Takes the result of a search.
    pub(super) fn discovered(&mut self, found: &[Found]) -> Option<Changed> {
        let here = |roster: &Self| -> BTreeSet<DeviceId> {
            let here = roster.0.iter().filter(|(_, known)| known.here);
            here.map(|(device, _)| device.clone()).collect()
        };
        let before = here(self);
        for known in self.0.values_mut() {
            known.here = false;
        }
        for Found {
            device,
            description,
        } in found
        {
            let last = self.0.get(device).and_then(|known| known.last);
            let known = Known {
                here: true,
                role: description.role,
                range: description.range,
                last,
            };
            self.0.insert(device.clone(), known);
        }
        // What never read well and is there no more was never there.
        self.0.retain(|_, known| known.here || known.last.is_some());
        (before != here(self)).then_some(Changed)
    }

    /// One reading for each device: what the source said, or why there is nothing.
    ///
    /// Of two outcomes for one device the first counts; devices that were not found do not.
    pub(super) fn complete(&self, at: Timestamp, outcomes: Vec<Outcome>) -> Vec<Reading> {
        let mut said = HashMap::with_capacity(outcomes.len());
        for (device, value) in outcomes {
            said.entry(device).or_insert(value);
        }
        self.each(at, |device, known| match said.remove(device) {
            Some(value) => value.and_then(|value| quality::check(known.role, known.range, value)),
            None if !known.here => Err(Fault::VANISHED),
            None => Err(Fault::NO_READING),
        })
    }

    /// Whether some of these should be read once more before they are believed.
    pub(super) fn doubts(&self, readings: &[Reading]) -> bool {
        readings.iter().any(|reading| self.is_doubtful(reading))
    }

    fn is_doubtful(&self, reading: &Reading) -> bool {
        let known = self.0.get(&reading.device);
        let value = reading.value.as_ref().ok();
        known
            .zip(value)
            .is_some_and(|(known, value)| known.jumps(*value))
    }

    /// Takes what was said when it was read again at once: a jump that is not there any more was none, and
    /// what says something else each time says nothing.
    pub(super) fn confirm(&self, readings: &mut [Reading], again: Vec<Outcome>) {
        let again: HashMap<_, _> = again.into_iter().collect();
        for reading in readings {
            if !self.is_doubtful(reading) {
                continue;
            }
            let (Ok(first), Some(Ok(second))) = (&reading.value, again.get(&reading.device)) else {
                // Who cannot say it twice is believed: it may be very hot there.
                continue;
            };
            if (first.degrees() - second.degrees()).abs() <= AGREES {
                continue;
            }
            let was_none = self
                .0
                .get(&reading.device)
                .is_some_and(|known| !known.jumps(*second));
            reading.value = if was_none {
                Ok(*second)
            } else {
                Err(Fault::UNCONFIRMED)
            };
        }
    }

    /// Keeps what was read, to know a jump from it.
    pub(super) fn note(&mut self, readings: &[Reading]) {
        for reading in readings {
            if let (Ok(value), Some(known)) = (&reading.value, self.0.get_mut(&reading.device)) {
                known.last = Some(*value);
            }
        }
    }

    /// The readings when the source did not answer in time.
    pub(super) fn timed_out(&self, at: Timestamp) -> Vec<Reading> {
        self.each(at, |_, _| Err(Fault::TIMEOUT))
    }

    fn each(
        &self,
        at: Timestamp,
        mut value: impl FnMut(&DeviceId, &Known) -> Result<Celsius, Fault>,
    ) -> Vec<Reading> {
        let readings = self.0.iter().map(|(device, known)| Reading {
            device: device.clone(),
            at,
            value: value(device, known),
        });
        readings.collect()
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
        assert_eq!(
            roster.discovered(&found(&["a", "b", "gone", "hot", "never"])),
            Some(Changed)
        );
        let once = roster.complete(Timestamp::default(), vec![said("gone", 30.0)]);
        roster.note(&once);
        assert_eq!(roster.discovered(&found(&["a", "b", "hot"])), Some(Changed));
        assert_eq!(roster.discovered(&found(&["a", "b", "hot"])), None);

        let outcomes = vec![
            said("a", 20.5),
            said("a", 99.0),
            said("hot", 150.5),
            said("x", 1.0),
        ];
        let readings = roster.complete(Timestamp::default(), outcomes);

        let expected = [
            "a 20.5",
            "b no_reading",
            "gone vanished",
            "hot out_of_range",
        ];
        assert_eq!(texts(readings), expected);
    }

    /// What is read of an inlet that said 22 °C, then `first` and at once `second`.
    fn read_twice(first: f64, second: Option<f64>) -> String {
        let mut roster = Roster::default();
        let mut inlet = found(&["a"]);
        inlet[0].description.role = Role::Inlet;
        roster.discovered(&inlet);
        let usual = roster.complete(Timestamp::default(), vec![said("a", 22.0)]);
        assert!(!roster.doubts(&usual));
        roster.note(&usual);
        let mut readings = roster.complete(Timestamp::default(), vec![said("a", first)]);
        assert!(roster.doubts(&readings));
        let again = second.map(|degrees| said("a", degrees));
        roster.confirm(&mut readings, again.into_iter().collect());
        texts(readings).remove(0)
    }

    #[test]
    fn a_jump_is_believed_when_it_is_there_twice() {
        assert_eq!(read_twice(40.0, Some(40.5)), "a 40");
        assert_eq!(read_twice(64.0, Some(22.1)), "a 22.1");
        assert_eq!(read_twice(64.0, Some(-12.0)), "a unconfirmed");
        assert_eq!(read_twice(40.0, None), "a 40");
    }

    #[test]
    fn a_missed_deadline_is_a_timeout_of_each_device() {
        let mut roster = Roster::default();
        roster.discovered(&found(&["a", "b"]));
        assert_eq!(
            texts(roster.timed_out(Timestamp::default())),
            ["a timeout", "b timeout"]
        );
    }
}
