//! The devices that a source has discovered, and one reading for each at every tick: a plausible
//! temperature, or a fault. Pure.
//!
//! A sensor on a busy bus sometimes returns a wrong value once. So a jump is read a second time, at
//! once: if both reads agree, the jump is real. That does not delay a first hot reading.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rackwatch_core::device::{DeviceId, Range, Role};
use rackwatch_core::quality;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

use crate::source::{DiscoveredDevice, Outcome};

/// Largest difference in kelvin at which two reads of one tick agree.
const AGREEMENT: f64 = 3.0;

/// Every device that a source has discovered since the start.
#[derive(Debug, Default)]
pub(super) struct KnownDevices(BTreeMap<DeviceId, KnownDevice>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct KnownDevice {
    /// Whether the last search found it.
    is_present: bool,
    role: Role,
    range: Option<Range>,
    /// Last temperature, if there ever was one.
    last: Option<Celsius>,
}

impl KnownDevice {
    /// Returns whether `now` is too far from the last temperature to be accepted unconfirmed. Processors do jump, and
    /// are not read twice.
    fn is_jump(&self, now: Celsius) -> bool {
        let is_slow = !matches!(self.role, Role::Cpu | Role::Gpu);
        is_slow && self.last.is_some_and(|last| quality::is_jump(last, now))
    }
}

impl KnownDevices {
    /// Takes the result of a search, and returns whether devices appeared or disappeared.
    pub(super) fn update(&mut self, discovered: &[DiscoveredDevice]) -> bool {
        let before = self.present();
        for known in self.0.values_mut() {
            known.is_present = false;
        }
        for DiscoveredDevice {
            device,
            description,
        } in discovered
        {
            let last = self.0.get(device).and_then(|known| known.last);
            let known = KnownDevice {
                is_present: true,
                role: description.role,
                range: description.range,
                last,
            };
            self.0.insert(device.clone(), known);
        }
        // A device that disappeared before it ever had a temperature is not missed.
        self.0
            .retain(|_, known| known.is_present || known.last.is_some());
        before != self.present()
    }

    fn present(&self) -> BTreeSet<DeviceId> {
        let present = self.0.iter().filter(|(_, known)| known.is_present);
        present.map(|(device, _)| device.clone()).collect()
    }

    /// Returns one reading for each device: the source's outcome, or the reason why there is none.
    ///
    /// If a device has two outcomes, the first counts. Outcomes of unknown devices are ignored.
    pub(super) fn complete(&self, at: Timestamp, outcomes: Vec<Outcome>) -> Vec<Reading> {
        let mut values = HashMap::with_capacity(outcomes.len());
        for (device, value) in outcomes {
            values.entry(device).or_insert(value);
        }
        self.readings(at, |device, known| match values.remove(device) {
            Some(value) => value.and_then(|value| quality::check(known.role, known.range, value)),
            None if !known.is_present => Err(Fault::VANISHED),
            None => Err(Fault::NO_READING),
        })
    }

    /// Returns whether a reading has to be confirmed by a second read.
    pub(super) fn has_jump(&self, readings: &[Reading]) -> bool {
        readings.iter().any(|reading| self.is_jump(reading))
    }

    fn is_jump(&self, reading: &Reading) -> bool {
        let known = self.0.get(&reading.device);
        let value = reading.value.as_ref().ok();
        known
            .zip(value)
            .is_some_and(|(known, value)| known.is_jump(*value))
    }

    /// Compares each jump with a second read: if the second read shows no jump, it replaces the
    /// first; if it shows a different jump, the reading is a fault.
    pub(super) fn confirm(&self, readings: &mut [Reading], reread: Vec<Outcome>) {
        let reread: HashMap<_, _> = reread.into_iter().collect();
        for reading in readings {
            if !self.is_jump(reading) {
                continue;
            }
            let (Ok(first), Some(Ok(second))) = (&reading.value, reread.get(&reading.device))
            else {
                // If the re-read fails, the first value stands: it may be very hot there.
                continue;
            };
            if (first.degrees() - second.degrees()).abs() <= AGREEMENT {
                continue;
            }
            let is_back = self
                .0
                .get(&reading.device)
                .is_some_and(|known| !known.is_jump(*second));
            reading.value = if is_back {
                Ok(*second)
            } else {
                Err(Fault::UNCONFIRMED)
            };
        }
    }

    /// Remembers temperatures, to recognise a jump from them.
    pub(super) fn remember(&mut self, readings: &[Reading]) {
        for reading in readings {
            if let (Ok(value), Some(known)) = (&reading.value, self.0.get_mut(&reading.device)) {
                known.last = Some(*value);
            }
        }
    }

    /// Returns a timeout for each device: the source missed its deadline.
    pub(super) fn timed_out(&self, at: Timestamp) -> Vec<Reading> {
        self.readings(at, |_, _| Err(Fault::TIMEOUT))
    }

    fn readings(
        &self,
        at: Timestamp,
        mut value: impl FnMut(&DeviceId, &KnownDevice) -> Result<Celsius, Fault>,
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

    fn discovered(names: &[&str]) -> Vec<DiscoveredDevice> {
        let devices = names.iter().map(|name| DiscoveredDevice {
            device: DeviceId::new(name).unwrap(),
            description: Description::default(),
        });
        devices.collect()
    }

    fn outcome(name: &str, degrees: f64) -> Outcome {
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
    fn every_device_has_a_temperature_or_a_fault() {
        let mut devices = KnownDevices::default();
        assert!(devices.update(&discovered(&["a", "b", "gone", "hot", "never"])));
        let once = devices.complete(Timestamp::default(), vec![outcome("gone", 30.0)]);
        devices.remember(&once);
        assert!(devices.update(&discovered(&["a", "b", "hot"])));
        assert!(!devices.update(&discovered(&["a", "b", "hot"])));

        let outcomes = vec![
            outcome("a", 20.5),
            outcome("a", 99.0),
            outcome("hot", 150.5),
            outcome("x", 1.0),
        ];
        let readings = devices.complete(Timestamp::default(), outcomes);

        let expected = [
            "a 20.5",
            "b no_reading",
            "gone vanished",
            "hot out_of_range",
        ];
        assert_eq!(texts(readings), expected);
    }

    /// Returns the reading of an inlet at 22 °C that reads `first`, and at once `second`.
    fn read_twice(first: f64, second: Option<f64>) -> String {
        let mut devices = KnownDevices::default();
        let mut inlet = discovered(&["a"]);
        inlet[0].description.role = Role::Inlet;
        devices.update(&inlet);
        let usual = devices.complete(Timestamp::default(), vec![outcome("a", 22.0)]);
        assert!(!devices.has_jump(&usual));
        devices.remember(&usual);
        let mut readings = devices.complete(Timestamp::default(), vec![outcome("a", first)]);
        assert!(devices.has_jump(&readings));
        let reread = second.map(|degrees| outcome("a", degrees));
        devices.confirm(&mut readings, reread.into_iter().collect());
        texts(readings).remove(0)
    }

    #[test]
    fn a_jump_needs_two_reads_that_agree() {
        assert_eq!(read_twice(40.0, Some(40.5)), "a 40");
        assert_eq!(read_twice(64.0, Some(22.1)), "a 22.1");
        assert_eq!(read_twice(64.0, Some(-12.0)), "a unconfirmed");
        assert_eq!(read_twice(40.0, None), "a 40");
    }

    #[test]
    fn a_missed_deadline_is_a_timeout_for_each_device() {
        let mut devices = KnownDevices::default();
        devices.update(&discovered(&["a", "b"]));
        assert_eq!(
            texts(devices.timed_out(Timestamp::default())),
            ["a timeout", "b timeout"]
        );
    }
}
