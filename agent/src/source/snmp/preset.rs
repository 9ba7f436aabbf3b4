//! The objects of known kinds of devices, and the meaning of their values. Pure.
//!
//! Object identifiers come from Schneider Electric's `PowerNet-MIB` and `NETBOTZV2-MIB`. Their tables
//! express an absent sensor in several ways: as a status, as -1, or as a missing row.

use std::collections::BTreeMap;

use rackwatch_core::device::Role;
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;
use serde::Deserialize;

/// An object identifier, number by number.
pub(super) type Oid = Vec<u64>;

/// Root of PowerNet-MIB: 1.3.6.1.4.1.318.1.1.
const POWERNET: [u64; 9] = [1, 3, 6, 1, 4, 1, 318, 1, 1];

/// A known kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// APC `InRow` coolers: rack inlet, supply and return air, entering and leaving fluid.
    ApcInrow,
    /// Universal sensors of APC UPS cards and `NetBotz` 200.
    ApcUio,
    /// Temperature probes of APC rack PDUs (rPDU2).
    ApcPdu2,
    /// Probes of APC environmental monitors and cards (IEM).
    ApcIem,
    /// Temperature sensors of `NetBotz` 320 to 570.
    Netbotz,
    /// Any device: only the configured `sensors`.
    #[default]
    Custom,
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Degrees Celsius, after scaling.
    #[default]
    C,
    /// Degrees Fahrenheit, after scaling.
    F,
}

/// One object that holds a temperature.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// Object identifier of the instance.
    pub(super) oid: Oid,
    /// Name in device ids.
    pub(super) name: String,
    /// Role of the device.
    pub(super) role: Role,
    /// Multiplier from raw value to degrees.
    pub(super) scale: f64,
    /// Unit of the scaled value.
    pub(super) unit: Unit,
    /// Raw values that mean "no reading".
    pub(super) invalid: Vec<i64>,
}

/// A table with a temperature in each row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// Column that holds the temperatures.
    pub(super) values: Oid,
    /// Column of states, and the states that mean "no sensor".
    pub(super) status: Option<(Oid, &'static [i64])>,
    /// Column of units, where 2 is Fahrenheit.
    pub(super) units: Option<Oid>,
    /// Name in device ids, before the row.
    pub(super) name: &'static str,
    /// Role of the devices in the table.
    pub(super) role: Role,
    /// Multiplier from raw value to degrees.
    pub(super) scale: f64,
    /// Raw values that mean "no reading".
    pub(super) invalid: &'static [i64],
}

impl Preset {
    /// Returns the single objects to read.
    pub(super) fn scalars(self) -> Vec<Scalar> {
        if self != Self::ApcInrow {
            return Vec::new();
        }
        // airIRRCUnitStatus…Metric: tenths of a degree.
        let at = |number, name: &str, role| Scalar {
            oid: powernet(&[13, 3, 2, 2, 2, number, 0]),
            name: name.to_owned(),
            role,
            scale: 0.1,
            unit: Unit::C,
            invalid: vec![-1],
        };
        vec![
            at(7, "rack_inlet", Role::Inlet),
            at(9, "supply_air", Role::Supply),
            at(11, "return_air", Role::Return),
            at(24, "fluid_in", Role::Other),
            at(26, "fluid_out", Role::Other),
        ]
    }

    /// Returns the table to walk.
    pub(super) fn table(self) -> Option<Table> {
        let table = |values, name, scale| Table {
            values,
            status: None,
            units: None,
            name,
            role: Role::Ambient,
            scale,
            invalid: &[],
        };
        Some(match self {
            // uioSensorStatusTemperatureDegC: -1 is invalid, which hides a real -1.
            Self::ApcUio => Table {
                invalid: &[-1],
                ..table(powernet(&[25, 1, 2, 1, 6]), "uio", 1.0)
            },
            // rPDU2SensorTempHumidityStatusTempC, with …TempStatus: 1 is notPresent.
            Self::ApcPdu2 => Table {
                status: Some((powernet(&[26, 10, 2, 2, 1, 9]), &[1])),
                invalid: &[-1],
                ..table(powernet(&[26, 10, 2, 2, 1, 8]), "probe", 0.1)
            },
            // iemStatusProbeCurrentTemp, with …Status: 1 is disconnected, and …TempUnits.
            Self::ApcIem => Table {
                status: Some((powernet(&[10, 2, 3, 2, 1, 3]), &[1])),
                units: Some(powernet(&[10, 2, 3, 2, 1, 5])),
                invalid: &[-1],
                ..table(powernet(&[10, 2, 3, 2, 1, 4]), "probe", 1.0)
            },
            // tempSensorValueInt.
            Self::Netbotz => {
                let column = |number| vec![1, 3, 6, 1, 4, 1, 5528, 100, 4, 1, 1, 1, number];
                table(column(8), "sensor", 1.0)
            }
            Self::ApcInrow | Self::Custom => return None,
        })
    }
}

fn powernet(rest: &[u64]) -> Oid {
    [&POWERNET, rest].concat()
}

impl Scalar {
    /// Interprets a raw value; `None` means that the device lacks the object.
    pub(super) fn value(&self, number: Option<i64>) -> Result<Celsius, Fault> {
        let number = number.ok_or(Fault::NO_READING)?;
        temperature(number, self.scale, self.unit, &self.invalid)
    }
}

impl Table {
    /// Returns the columns to walk, temperatures first.
    pub(super) fn columns(&self) -> Vec<&Oid> {
        let status = self.status.as_ref().map(|(column, _)| column);
        [Some(&self.values), status, self.units.as_ref()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Interprets the walked cells, and returns the index and value of each row.
    pub(super) fn rows(&self, cells: &BTreeMap<Oid, i64>) -> Vec<(String, Result<Celsius, Fault>)> {
        let cell = |column: &Oid, row: &[u64]| cells.get(&[column, row].concat()).copied();
        let values = cells.range(self.values.clone()..);
        let of_column = values.take_while(|(oid, _)| oid.starts_with(&self.values));
        of_column
            .map(|(oid, number)| {
                let row = &oid[self.values.len()..];
                let status = self.status.as_ref();
                let is_absent = status.is_some_and(|(column, absent)| {
                    cell(column, row).is_some_and(|status| absent.contains(&status))
                });
                let units = self.units.as_ref().and_then(|column| cell(column, row));
                let unit = if units == Some(2) { Unit::F } else { Unit::C };
                let value = if is_absent {
                    Err(Fault::NO_READING)
                } else {
                    temperature(*number, self.scale, unit, self.invalid)
                };
                let index: Vec<_> = row.iter().map(u64::to_string).collect();
                (index.join("."), value)
            })
            .collect()
    }
}

fn temperature(number: i64, scale: f64, unit: Unit, invalid: &[i64]) -> Result<Celsius, Fault> {
    if invalid.contains(&number) {
        return Err(Fault::NO_READING);
    }
    // Rounded to a hundredth, so 243 tenths are exactly 24.3.
    let degrees = number as f64 * scale;
    let celsius = match unit {
        Unit::C => degrees,
        Unit::F => (degrees - 32.0) * 5.0 / 9.0,
    };
    Celsius::new((celsius * 100.0).round() / 100.0).map_err(|_| Fault::OUT_OF_RANGE)
}

/// Parses an object identifier of 2 to 128 numbers, with or without a leading dot.
pub(super) fn parse_oid(text: &str) -> Option<Oid> {
    let text = text.strip_prefix('.').unwrap_or(text);
    let numbers: Option<Oid> = text.split('.').map(|part| part.parse().ok()).collect();
    numbers.filter(|numbers| (2..=128).contains(&numbers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(cells: &[(&str, i64)]) -> BTreeMap<Oid, i64> {
        let cells = cells.iter();
        cells
            .map(|(oid, number)| {
                (
                    parse_oid(&format!("1.3.6.1.4.1.318.1.1.{oid}")).unwrap(),
                    *number,
                )
            })
            .collect()
    }

    fn shown(preset: Preset, cells: &[(&str, i64)]) -> Vec<String> {
        let rows = preset.table().unwrap().rows(&walked(cells));
        let text = |(row, value): (String, Result<Celsius, Fault>)| match value {
            Ok(value) => format!("{row} {value}"),
            Err(fault) => format!("{row} !{fault}"),
        };
        rows.into_iter().map(text).collect()
    }

    #[test]
    fn absent_sensors_have_no_temperature() {
        let uio = [("25.1.2.1.6.1.1", 23), ("25.1.2.1.6.2.1", -1)];
        assert_eq!(shown(Preset::ApcUio, &uio), ["1.1 23", "2.1 !no_reading"]);
        let pdu = [
            ("26.10.2.2.1.8.1", 254),
            ("26.10.2.2.1.9.1", 4),
            ("26.10.2.2.1.8.2", 0),
            ("26.10.2.2.1.9.2", 1),
        ];
        assert_eq!(shown(Preset::ApcPdu2, &pdu), ["1 25.4", "2 !no_reading"]);
        let iem = [
            ("10.2.3.2.1.4.1", 77),
            ("10.2.3.2.1.5.1", 2),
            ("10.2.3.2.1.3.1", 2),
            ("10.2.3.2.1.4.2", 77),
            ("10.2.3.2.1.3.2", 1),
        ];
        assert_eq!(shown(Preset::ApcIem, &iem), ["1 25", "2 !no_reading"]);
    }

    #[test]
    fn coolers_report_tenths_of_a_degree() {
        let inlet = &Preset::ApcInrow.scalars()[0];
        assert_eq!(inlet.value(Some(243)).unwrap().to_string(), "24.3");
        assert_eq!(inlet.value(Some(-1)), Err(Fault::NO_READING));
        assert_eq!(inlet.value(None), Err(Fault::NO_READING));
        assert_eq!(inlet.value(Some(i64::MAX)), Err(Fault::OUT_OF_RANGE));
    }

    #[test]
    fn object_identifiers_are_numbers() {
        assert_eq!(parse_oid(".1.3.6"), Some(vec![1, 3, 6]));
        assert_eq!(parse_oid("1.3.x"), None);
        assert_eq!(parse_oid("1"), None);
    }
}
