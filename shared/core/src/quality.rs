//! Plausibility: whether a number can be a temperature of its sensor, before any rule sees it.
//!
//! Sensors and their drivers report "no reading" as numbers: 0 (IPMI), -1 (APC's MIBs), -128 and 127 (the
//! ends of a byte), 255, millions (a register that was not ready). None of these counts as a temperature.
//! Such a reading is a fault like any other, and a lasting fault is an alert of its own.

use crate::device::{Range, Role};
use crate::reading::Fault;
use crate::units::Celsius;

/// The hottest plausible reading, in °C: silicon switches itself off at 100 to 115 °C, and 127 is a code.
const HOTTEST: f64 = 125.0;
/// The coldest plausible air, in °C: outside air that a cooler takes in. Chips and disks stay above 0 °C.
const COLDEST_AIR: f64 = -40.0;
/// Codes for "no reading" between [`COLDEST_AIR`] and [`HOTTEST`].
const CODES: [f64; 2] = [0.0, -1.0];

/// The change from one reading to the next, in kelvin, beyond which it must be confirmed: air and drives take minutes
/// for it, and single bad samples of cheap sensors are 40 K off and more.
const JUMP: f64 = 10.0;

/// Returns whether a temperature is too far from the last one of its sensor to be believed unconfirmed.
pub fn is_jump(last: Celsius, now: Celsius) -> bool {
    (now.degrees() - last.degrees()).abs() > JUMP
}

/// Returns `value` if it is plausible for the role, and within the hardware's range if there is one.
///
/// # Errors
///
/// [`Fault::NO_READING`] if `value` is a code, [`Fault::OUT_OF_RANGE`] if it is too hot or too cold.
pub fn check(role: Role, range: Option<Range>, value: Celsius) -> Result<Celsius, Fault> {
    let degrees = value.degrees();
    let is_code = CODES
        .iter()
        .any(|code| (degrees - code).abs() < f64::EPSILON);
    if is_code {
        return Err(Fault::NO_READING);
    }
    let coldest = match role {
        Role::Cpu | Role::Gpu | Role::Memory | Role::Disk => 0.0,
        Role::Inlet | Role::Exhaust | Role::Ambient | Role::Supply | Role::Return | Role::Other => {
            COLDEST_AIR
        }
    };
    let is_beyond = |range: Range| value < range.least || value > range.most;
    if range.and_then(Range::plausible).is_some_and(is_beyond)
        || degrees > HOTTEST
        || degrees < coldest
    {
        return Err(Fault::OUT_OF_RANGE);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_not_temperatures() {
        let check = |role, degrees| check(role, None, Celsius::new(degrees).unwrap());
        for role in Role::ALL {
            for bogus in [0.0, -1.0, -128.0, 127.0, 255.0, 129.0, -273.15] {
                assert!(check(role, bogus).is_err(), "{role} {bogus}");
            }
            for good in [5.0, 22.5, 0.1, 61.0] {
                assert!(check(role, good).is_ok(), "{role} {good}");
            }
        }
        // 3.9 million is beyond any temperature.
        Celsius::new(3_892_314.0).unwrap_err();
        assert!(check(Role::Supply, -5.0).is_ok());
        assert!(check(Role::Cpu, -5.0).is_err());
        assert!(check(Role::Cpu, 105.0).is_ok());
    }

    #[test]
    fn a_value_outside_the_hardwares_range_is_a_fault() {
        let celsius = |degrees| Celsius::new(degrees).unwrap();
        let range = |least, most| {
            Some(Range {
                least: celsius(least),
                most: celsius(most),
            })
        };
        let is_ok = |range, degrees| check(Role::Inlet, range, celsius(degrees)).is_ok();
        assert!(is_ok(range(5.0, 60.0), 59.9));
        assert!(!is_ok(range(5.0, 60.0), 60.5));
        assert!(!is_ok(range(5.0, 60.0), 4.0));
        // An implausible range counts as unknown.
        assert!(is_ok(range(0.0, 0.0), 22.0));
        assert!(is_ok(range(90.0, 10.0), 22.0));
    }

    #[test]
    fn limits_themselves_are_plausible() {
        let celsius = |degrees| Celsius::new(degrees).unwrap();
        let range = Some(Range {
            least: celsius(5.0),
            most: celsius(60.0),
        });
        for good in [5.0, 60.0] {
            assert!(check(Role::Inlet, range, celsius(good)).is_ok(), "{good}");
        }
        for (good, bad) in [(HOTTEST, 125.01), (COLDEST_AIR, -40.01)] {
            assert!(check(Role::Inlet, None, celsius(good)).is_ok(), "{good}");
            let fault = check(Role::Inlet, None, celsius(bad)).unwrap_err();
            assert_eq!(fault, Fault::OUT_OF_RANGE, "{bad}");
        }
    }
}
