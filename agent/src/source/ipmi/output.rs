//! What `ipmitool` prints, understood. Pure.
//!
//! Its commands print in four layouts, and each of them as CSV with `-c`:
//!
//! ```text
//! Inlet Temp       | 04h | ok  |  7.1 | 23 degrees C                          sdr elist, sdr type
//! Inlet Temp       | 23 degrees C      | ok                                   sdr
//! Inlet Temp       | 23.000 | degrees C | ok | na | 3.0 | 8.0 | 42.0 | 47.0 | na    sensor
//! Inlet Temp,23,degrees C,ok,7.1,System Board,Temperature,,,,…,0.000,255.000  -v -c sdr
//! ```
//!
//! A reading that is not there is said in words (`No Reading`, `Disabled`, `Not Readable`, `na`), by the state
//! `ns`, or as a number that is none: those become faults, never temperatures. Whatever cannot be understood
//! is left out, line by line: one odd sensor must not hide the others.

use rackwatch_core::device::{HardwareLimits, Range, Verdict};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;

use crate::source::component;

/// So many sensors of one target are looked at; big chassis have some hundreds.
const MOST: usize = 2_000;
/// Names are 16 bytes in a sensor data record (IPMI 2.0, table 43-1); tools may add to them.
const LONGEST_NAME: usize = 64;

/// One sensor, as far as its line tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The name that its vendor gave it. Not unique: Dell has two that are called `Temp`.
    pub name: String,
    /// The sensor's number, where it is told.
    pub number: Option<u8>,
    /// Entity and instance, such as (3, 1) for the first processor (IPMI 2.0, table 43-13), where they are told.
    pub entity: Option<(u8, u8)>,
    /// What it says; none where it does not say of what unit that is, as most that are not read.
    pub value: Option<Result<Celsius, Fault>>,
    /// What it calls too hot or too cold.
    pub limits: HardwareLimits,
    /// What it can read at all.
    pub range: Option<Range>,
    /// What its board says of it.
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

/// The sensors of an output that are, or may be, temperatures.
pub fn parse(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(line);
    rows.filter(|row| !is_relative(row)).take(MOST).collect()
}

/// Whether a sensor says how far it is from a limit: as a margin, or as Intel's digital thermal sensors count, in
/// degrees below the one at which the processor slows down.
fn is_relative(row: &Row) -> bool {
    let is_below = |value: &Celsius| value.degrees() <= 0.0;
    let is_dts = row.name.to_ascii_lowercase().contains("dts");
    component::is_margin(&row.name)
        || is_dts && matches!(&row.value, Some(Ok(value)) if is_below(value))
}

fn line(line: &str) -> Option<Row> {
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
        // `sensor` also has readings of discrete sensors: those have no unit of temperature.
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

/// `-v -c sdr`: name, value, unit, state, entity, its name, type, three nominal values, upper thresholds from
/// the outermost in, lower ones alike, range.
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

/// `23 degrees C`, `No Reading`, `Disabled`, `0x01`, `1200 RPM`. None at all where that is of another unit.
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
        // What is not read may not say its unit either.
        let silent = unread(value).filter(|_| unit.is_empty() || unread(unit).is_some());
        return silent.map(|fault| Some(Err(fault)));
    }
    if let Some(fault) = unread(value) {
        return Some(Some(Err(fault)));
    }
    if is_unread_state(state) {
        return Some(Some(Err(Fault::NO_READING)));
    }
    Some(Some(degrees(value, unit).ok_or(Fault::GARBLED)))
}

/// `ns` (no such reading), `na` and `uncertain states` of `sdr` and `sensor`. `nr` (non-recoverable), `cr` and `nc` are
/// verdicts on a reading that is there, and boards give them for probes that are not: the number decides.
fn is_unread_state(state: &str) -> bool {
    ["ns", "na", "nil"].contains(&state.to_ascii_lowercase().as_str())
}

/// What a state says of the reading beside it.
fn verdict(state: &str) -> Option<Verdict> {
    match state.to_ascii_lowercase().as_str() {
        "ok" => Some(Verdict::Ok),
        "nc" => Some(Verdict::Warning),
        "cr" | "nr" => Some(Verdict::Critical),
        _ => None,
    }
}

/// The words for a reading that is not there.
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
    // "inf" and "nan" are numbers for Rust.
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

/// `7.1`.
fn instance(text: &str) -> Option<(u8, u8)> {
    let (entity, instance) = text.split_once('.')?;
    Some((entity.parse().ok()?, instance.parse().ok()?))
}
