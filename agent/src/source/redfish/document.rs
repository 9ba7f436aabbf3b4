//! Parses Redfish documents (DMTF DSP2046: `Thermal` 1.7, `ThermalMetrics` 1.3, `Sensor` 1.9,
//! `EnvironmentMetrics` 1.3). Pure.
//!
//! Boards omit unknown values, send `null`, or send a number as text. A sensor without reading has a
//! fault; a document of another type has no sensors.

use std::time::Duration;

use rackwatch_core::device::{HardwareLimits, Range, Role, Verdict};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;
use serde_json::Value;

use crate::source::component;

/// Most sensors of one document.
const MAX_SENSORS: usize = 1_000;
/// Longest name in characters; longer ones are cut.
const LONGEST_NAME: usize = 64;

/// One sensor in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Identity among the sensors of the BMC: the address of the resource.
    pub key: String,
    /// Name that the vendor gave it.
    pub name: String,
    /// Role of the device.
    pub role: Role,
    /// Temperature, or the reason for its absence.
    pub value: Result<Celsius, Fault>,
    /// Thresholds of the BMC.
    pub limits: HardwareLimits,
    /// Range that the sensor can measure.
    pub range: Option<Range>,
    /// The BMC's own verdict.
    pub verdict: Option<Verdict>,
}

/// Returns the addresses of a collection's members, and of its next page.
pub fn members(collection: &Value) -> (Vec<String>, Option<String>) {
    let each = array(collection, "Members").filter_map(link);
    let next = collection.get("Members@odata.nextLink");
    let next = next
        .or_else(|| collection.get("@odata.nextLink"))
        .and_then(Value::as_str);
    (
        each.map(str::to_owned).take(MAX_SENSORS).collect(),
        next.map(str::to_owned),
    )
}

/// Returns the address of the resource that a member of a document links to.
pub(super) fn linked(document: &Value, name: &str) -> Option<String> {
    document.get(name).and_then(link).map(str::to_owned)
}

fn link(value: &Value) -> Option<&str> {
    value.get("@odata.id").and_then(Value::as_str)
}

/// Returns whether a service can return a collection together with its members.
pub(super) fn expands(root: &Value) -> bool {
    let query = root
        .get("ProtocolFeaturesSupported")
        .and_then(|features| features.get("ExpandQuery"));
    let is = |name| {
        query
            .and_then(|query| query.get(name))
            .and_then(Value::as_bool)
            == Some(true)
    };
    is("NoLinks") || is("ExpandAll")
}

/// Returns all temperatures of a chassis from the old `Thermal`.
pub fn thermal(address: &str, document: &Value) -> Vec<Sensor> {
    let each = array(document, "Temperatures")
        .take(MAX_SENSORS)
        .enumerate();
    let is_margin =
        |entry: &Value| text(entry, "Name").is_some_and(|name| component::is_margin(&name));
    // An entry without `MemberId` is identified by its index, so the filter comes after it.
    let each = each.filter(|(_, entry)| !is_margin(entry));
    each.map(|(index, entry)| {
        let id = text(entry, "MemberId").unwrap_or_else(|| index.to_string());
        let name = text(entry, "Name").unwrap_or_else(|| format!("Temperature {id}"));
        let limit = |name| number(entry, name);
        let (least, most) = (limit("MinReadingRangeTemp"), limit("MaxReadingRangeTemp"));
        Sensor {
            key: format!("{address}#/Temperatures/{id}"),
            role: role(text(entry, "PhysicalContext").as_deref(), &name),
            name,
            value: value(entry, "ReadingCelsius"),
            limits: HardwareLimits {
                low_critical: limit("LowerThresholdCritical"),
                high_warning: limit("UpperThresholdNonCritical"),
                high_critical: limit("UpperThresholdCritical")
                    .or_else(|| limit("UpperThresholdFatal")),
                ..HardwareLimits::default()
            },
            range: range(least, most),
            verdict: verdict(entry),
        }
    })
    .collect()
}

/// Returns the values in `ThermalMetrics`, keyed by the addresses of the sensors if it has them.
pub fn metrics(address: &str, document: &Value) -> Vec<Sensor> {
    let listed: Vec<&Value> = array(document, "TemperatureReadingsCelsius")
        .take(MAX_SENSORS)
        .collect();
    let summary = document
        .get("TemperatureSummaryCelsius")
        .and_then(Value::as_object);
    let excerpt = |place: &str, entry: &Value| {
        let name = text(entry, "DeviceName")
            .or_else(|| text(entry, "PhysicalContext"))
            .unwrap_or_else(|| place.to_owned());
        let context = text(entry, "PhysicalContext").unwrap_or_else(|| place.to_owned());
        Sensor {
            key: text(entry, "DataSourceUri").unwrap_or_else(|| format!("{address}#{place}")),
            role: role(Some(&context), &name),
            name,
            value: value(entry, "Reading"),
            limits: HardwareLimits::default(),
            range: None,
            verdict: verdict(entry),
        }
    };
    if listed.is_empty() {
        let each = summary.into_iter().flatten();
        return each
            .filter(|(_, entry)| entry.is_object())
            .map(|(place, entry)| excerpt(place, entry))
            .collect();
    }
    let each = listed.into_iter().enumerate();
    each.map(|(index, entry)| excerpt(&format!("/{index}"), entry))
        .filter(|sensor| !component::is_margin(&sensor.name))
        .collect()
}

/// Returns the temperature of a chassis from `EnvironmentMetrics`.
pub fn environment(address: &str, document: &Value) -> Option<Sensor> {
    let entry = document
        .get("TemperatureCelsius")
        .filter(|entry| entry.is_object())?;
    let name = text(document, "Name").unwrap_or_else(|| "Temperature".to_owned());
    Some(Sensor {
        key: text(entry, "DataSourceUri")
            .unwrap_or_else(|| format!("{address}#TemperatureCelsius")),
        role: role(None, &name),
        name,
        value: value(entry, "Reading"),
        limits: HardwareLimits::default(),
        range: None,
        verdict: verdict(entry),
    })
}

/// Returns the sensor in a `Sensor` document if it measures a temperature.
pub fn sensor(document: &Value) -> Option<Sensor> {
    let kind = text(document, "ReadingType");
    let unit = text(document, "ReadingUnits");
    let is_temperature = match (kind.as_deref(), unit.as_deref()) {
        (Some(kind), _) => kind == "Temperature",
        (None, unit) => unit.is_some_and(|unit| ["Cel", "C", "Celsius"].contains(&unit)),
    };
    // Counted from elsewhere than zero: a rise or a margin (DSP2046, `ReadingBasis`).
    let basis = text(document, "ReadingBasis");
    let is_relative = basis.is_some_and(|basis| basis != "Zero");
    let name = text(document, "Name").or_else(|| text(document, "Id"))?;
    if !is_temperature || is_relative || component::is_margin(&name) {
        return None;
    }
    let range = range(
        number(document, "ReadingRangeMin"),
        number(document, "ReadingRangeMax"),
    );
    Some(Sensor {
        key: link(document)?.to_owned(),
        role: role(text(document, "PhysicalContext").as_deref(), &name),
        name,
        value: value(document, "Reading"),
        limits: thresholds(document),
        range,
        verdict: verdict(document),
    })
}

/// Returns the thresholds of a `Sensor` that are active in their direction.
fn thresholds(document: &Value) -> HardwareLimits {
    let mut lasting = Duration::ZERO;
    let mut limit = |names: &[&str], direction: &str| {
        let each = names
            .iter()
            .filter_map(|name| document.get("Thresholds")?.get(*name));
        let mut active = each.filter(|threshold| match text(threshold, "Activation") {
            None => true,
            Some(activation) => activation == direction || activation == "Either",
        });
        let (reading, threshold) = active.find_map(|threshold| {
            let reading = number(threshold, "Reading")?;
            Some((reading, threshold))
        })?;
        let lasts = text(threshold, "DwellTime").and_then(|text| duration(&text));
        lasting = lasting.max(lasts.unwrap_or_default());
        Some(reading)
    };
    let low_critical = limit(
        &["LowerCritical", "LowerCriticalUser", "LowerFatal"],
        "Decreasing",
    );
    let high_warning = limit(&["UpperCaution", "UpperCautionUser"], "Increasing");
    let high_critical = limit(
        &["UpperCritical", "UpperCriticalUser", "UpperFatal"],
        "Increasing",
    );
    HardwareLimits {
        low_critical,
        high_warning,
        high_critical,
        lasting,
    }
}

/// Parses a duration such as `PT1M30.5S`. Redfish durations have no years or months (DSP0266,
/// section 5.2, "Duration values").
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (days, time) = text.split_once('T').unwrap_or((text, ""));
    let (mut seconds, mut number) = (0.0, String::new());
    for (part, units) in [
        (days, &[('D', 86_400.0)][..]),
        (time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)]),
    ] {
        for character in part.chars() {
            if character.is_ascii_digit() || character == '.' {
                number.push(character);
                continue;
            }
            let (_, unit) = units.iter().find(|(name, _)| *name == character)?;
            seconds += number.parse::<f64>().ok()? * unit;
            number.clear();
        }
    }
    if !number.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Returns the verdict that a sensor's `Health` expresses.
fn verdict(entry: &Value) -> Option<Verdict> {
    match text(entry.get("Status")?, "Health")?.as_str() {
        "OK" => Some(Verdict::Ok),
        "Warning" => Some(Verdict::Warning),
        "Critical" => Some(Verdict::Critical),
        _ => None,
    }
}

/// Returns the sensors of a collection that was read together with its members.
pub fn sensors(collection: &Value) -> Vec<Sensor> {
    array(collection, "Members")
        .take(MAX_SENSORS)
        .filter_map(sensor)
        .collect()
}

fn array<'v>(document: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    let each = document.get(name).and_then(Value::as_array);
    each.into_iter().flatten()
}

fn text(document: &Value, name: &str) -> Option<String> {
    let text = document.get(name)?.as_str()?;
    let visible = text.chars().filter(|c| !c.is_control());
    let most = if name.ends_with("Uri") {
        512
    } else {
        LONGEST_NAME
    };
    let text: String = visible.take(most).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns a number, also from text.
fn degrees(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => Celsius::parse(text.trim()).ok().map(Celsius::degrees),
        _ => None,
    }
}

fn number(document: &Value, name: &str) -> Option<Celsius> {
    let value = document.get(name).and_then(degrees)?;
    Celsius::new(value).ok()
}

fn range(least: Option<Celsius>, most: Option<Celsius>) -> Option<Range> {
    let (least, most) = least.zip(most)?;
    Some(Range { least, most })
}

/// Returns the temperature or fault of an entry. Bad `Health` is not a fault: the number decides.
fn value(entry: &Value, name: &str) -> Result<Celsius, Fault> {
    let state = entry.get("Status").and_then(|status| text(status, "State"));
    let is_off = [
        "Absent",
        "Disabled",
        "StandbyOffline",
        "UnavailableOffline",
        "Deferring",
    ];
    if state.is_some_and(|state| is_off.contains(&state.as_str())) {
        return Err(Fault::DISABLED);
    }
    match entry.get(name) {
        None | Some(Value::Null) => Err(Fault::NO_READING),
        Some(value) => {
            let value = degrees(value).ok_or(Fault::GARBLED)?;
            Celsius::new(value).map_err(|_| Fault::OUT_OF_RANGE)
        }
    }
}

/// Returns a sensor's role: by its `PhysicalContext`, else by its name.
fn role(context: Option<&str>, name: &str) -> Role {
    match context.unwrap_or_default() {
        "Intake" => Role::Inlet,
        "Exhaust" => Role::Exhaust,
        "Room" | "Ambient" => Role::Ambient,
        "CPU" | "CPUSubsystem" => Role::Cpu,
        "GPU" | "GPUSubsystem" | "Accelerator" => Role::Gpu,
        "Memory" | "MemorySubsystem" => Role::Memory,
        "StorageDevice" | "StorageBay" | "StorageSubsystem" | "SSD" => Role::Disk,
        _ => component::role_on_board(name),
    }
}
