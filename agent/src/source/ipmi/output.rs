//! Parses the output of `ipmitool`. Pure.
//!
//! Its commands print four table formats, each of them also as CSV with `-c`:
//!
//! ```text
//! Inlet Temp       | 04h | ok  |  7.1 | 23 degrees C                          sdr elist, sdr type
//! Inlet Temp       | 23 degrees C      | ok                                   sdr
//! Inlet Temp       | 23.000 | degrees C | ok | na | 3.0 | 8.0 | 42.0 | 47.0 | na    sensor
//! Inlet Temp,23,degrees C,ok,7.1,System Board,Temperature,,,,…,0.000,255.000  -v -c sdr
//! ```
//!
//! An absent reading shows as a word (`No Reading`, `Disabled`, `Not Readable`, `na`), as the state
//! `ns`, or as an impossible number: these become faults, never temperatures. A line that makes no
//! sense is skipped, so one odd sensor does not hide the others.

use rackwatch_core::device::{HardwareLimits, Range, Verdict};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;

use crate::source::component;

/// Most sensors of one target: big chassis have some hundreds.
const MAX_SENSORS: usize = 2_000;
/// Longest name in characters. A sensor data record holds 16 bytes (IPMI 2.0, table 43-1); tools
/// may add to them.
const LONGEST_NAME: usize = 64;

/// One sensor, with the properties that its line shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Vendor's name, which is not unique: Dell has two sensors named `Temp`.
    pub name: String,
    /// Sensor number, if the line has it.
    pub number: Option<u8>,
    /// Entity and instance, if the line has them: (3, 1) is the first processor (IPMI 2.0, table
    /// 43-13).
    pub entity: Option<(u8, u8)>,
    /// Outcome of the read; `None` for a sensor without reading whose unit is unknown.
    pub value: Option<Result<Celsius, Fault>>,
    /// Thresholds of the BMC.
    pub limits: HardwareLimits,
    /// Range that the sensor can measure.
    pub range: Option<Range>,
    /// The BMC's own verdict.
    pub verdict: Option<Verdict>,
}

impl Row {
    fn new(name: &str) -> Option<Self> {
        let name: String = name
            .chars()
            .filter(|c| !c.is_control() && *c != '\u{fffd}')
            .take(LONGEST_NAME)
            .collect();
        let name = name.trim().to_owned();
        (!name.is_empty()).then_some(Self {
            name,
            number: None,
            entity: None,
            value: None,
            limits: HardwareLimits::default(),
            range: None,
            verdict: None,
        })
    }
}

/// Returns the sensors that are, or may be, temperatures.
pub fn parse(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(parse_line);
    rows.filter(|row| !is_relative(row))
        .take(MAX_SENSORS)
        .collect()
}

/// Returns whether a sensor counts from a limit: a margin, or one of Intel's digital thermal sensors,
/// which count degrees below the point where the processor slows down.
fn is_relative(row: &Row) -> bool {
    let is_below = |value: &Celsius| value.degrees() <= 0.0;
    let is_dts = row.name.to_ascii_lowercase().contains("dts");
    component::is_margin(&row.name)
        || is_dts && matches!(&row.value, Some(Ok(value)) if is_below(value))
}

fn parse_line(line: &str) -> Option<Row> {
    let cells: Vec<&str> = if line.contains('|') {
        line.split('|').map(str::trim).collect()
    } else {
        line.split(',').map(str::trim).collect()
    };
    match (cells.as_slice(), line.contains('|')) {
        ([name, number, state, entity, reading], true) => {
            let mut row = Row::new(name)?;
            row.number = hexadecimal(number.strip_suffix('h')?);
            row.entity = instance(entity);
            row.value = with_unit(reading, state)?;
            row.verdict = verdict(state);
            Some(row)
        }
        ([name, reading, state], true) => {
            let mut row = Row::new(name)?;
            row.value = with_unit(reading, state)?;
            row.verdict = verdict(state);
            Some(row)
        }
        // `sensor` also prints discrete sensors, which have no unit of temperature.
        ([name, value, unit, state, _, low, _, warning, critical, _], _) => {
            let mut row = Row::new(name)?;
            row.value = value_of(value, unit, state)?;
            row.verdict = verdict(state);
            row.limits = limits(unit, low, warning, critical);
            Some(row)
        }
        ([name, value, unit, state], false) => {
            let mut row = Row::new(name)?;
            row.value = value_of(value, unit, state)?;
            row.verdict = verdict(state);
            Some(row)
        }
        (cells, false) if cells.len() >= 18 => verbose(cells),
        _ => None,
    }
}

/// Parses a line of `-v -c sdr`: name, value, unit, state, entity, its name, type, three nominal
/// values, upper thresholds from the outermost in, lower ones alike, range.
fn verbose(cells: &[&str]) -> Option<Row> {
    let [name, value, unit, state, entity, ..] = cells else {
        return None;
    };
    let mut row = Row::new(name)?;
    let is_temperature = cells.get(6) == Some(&"Temperature");
    row.value = match value_of(value, unit, state) {
        None if is_temperature => Some(Err(Fault::NO_READING)),
        value => value?,
    };
    row.entity = instance(entity);
    row.verdict = verdict(state);
    let cell = |index: usize| cells.get(index).copied().unwrap_or_default();
    row.limits = limits(unit, cell(14), cell(12), cell(11));
    let bound = |index| degrees(cell(index), unit);
    row.range = match (bound(16), bound(17)) {
        (Some(least), Some(most)) => Some(Range { least, most }),
        _ => None,
    };
    Some(row)
}

/// Parses `23 degrees C`, `No Reading`, `Disabled`, `0x01` or `1200 RPM`. Returns `None` for another
/// unit.
#[expect(
    clippy::option_option,
    reason = "the outer one is whether the line counts at all"
)]
fn with_unit(reading: &str, state: &str) -> Option<Option<Result<Celsius, Fault>>> {
    if let Some((value, unit)) = reading.split_once(' ')
        && is_degrees(unit)
    {
        return value_of(value, unit, state);
    }
    match unread(reading) {
        Some(fault) => Some(Some(Err(fault))),
        None if reading.is_empty() => Some(None),
        None => None,
    }
}

#[expect(
    clippy::option_option,
    reason = "the outer one is whether the line counts at all"
)]
fn value_of(value: &str, unit: &str, state: &str) -> Option<Option<Result<Celsius, Fault>>> {
    if !is_degrees(unit) {
        // A sensor without reading may lack its unit too.
        let fault = unread(value).filter(|_| unit.is_empty() || unread(unit).is_some());
        return fault.map(|fault| Some(Err(fault)));
    }
    if let Some(fault) = unread(value) {
        return Some(Some(Err(fault)));
    }
    if is_unread_state(state) {
        return Some(Some(Err(Fault::NO_READING)));
    }
    Some(Some(degrees(value, unit).ok_or(Fault::GARBLED)))
}

/// Returns whether a state means that there is no reading: `ns` or `na`. `nr` (non-recoverable),
/// `cr` and `nc` are verdicts on a reading; boards give them for absent probes too, so the number
/// decides.
fn is_unread_state(state: &str) -> bool {
    ["ns", "na", "nil"].contains(&state.to_ascii_lowercase().as_str())
}

/// Returns the verdict that a state expresses.
fn verdict(state: &str) -> Option<Verdict> {
    match state.to_ascii_lowercase().as_str() {
        "ok" => Some(Verdict::Ok),
        "nc" => Some(Verdict::Warning),
        "cr" | "nr" => Some(Verdict::Critical),
        _ => None,
    }
}

/// Returns the fault that a word for an absent reading expresses.
fn unread(text: &str) -> Option<Fault> {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "no reading" | "na" | "n/a" | "ns" | "not available" | "unavailable" => {
            Some(Fault::NO_READING)
        }
        "disabled" | "not present" => Some(Fault::DISABLED),
        "not readable" | "error" | "unknown" => Some(Fault::SENSOR_FAULT),
        _ => None,
    }
}

fn is_degrees(unit: &str) -> bool {
    unit == "degrees C" || unit == "degrees F" || unit == "degrees K"
}

fn degrees(value: &str, unit: &str) -> Option<Celsius> {
    // Rust would parse "inf" and "nan" too.
    let is_decimal = !value.is_empty() && value.bytes().all(|b| b"0123456789+-.".contains(&b));
    let value: f64 = value.parse().ok().filter(|_| is_decimal)?;
    let celsius = match unit {
        "degrees F" => (value - 32.0) * 5.0 / 9.0,
        "degrees K" => value - 273.15,
        _ => value,
    };
    Celsius::new(celsius).ok()
}

fn limits(unit: &str, low: &str, warning: &str, critical: &str) -> HardwareLimits {
    let limit = |text| degrees(text, unit);
    HardwareLimits {
        low_critical: limit(low),
        high_warning: limit(warning),
        high_critical: limit(critical),
        ..HardwareLimits::default()
    }
}

fn hexadecimal(text: &str) -> Option<u8> {
    u8::from_str_radix(text, 16).ok()
}

/// Parses entity and instance, such as `7.1`.
fn instance(text: &str) -> Option<(u8, u8)> {
    let (entity, instance) = text.split_once('.')?;
    Some((entity.parse().ok()?, instance.parse().ok()?))
}
