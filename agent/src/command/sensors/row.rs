//! One sensor of the list, as table cells and as JSON.

use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Verdict};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;
use serde_json::json;

/// One sensor of the list.
pub(super) struct SensorRow {
    pub(super) device: DeviceId,
    pub(super) description: Description,
    /// Whether the operator has switched it off.
    pub(super) off: bool,
    pub(super) value: Result<Celsius, Fault>,
    pub(super) took: Duration,
}

impl SensorRow {
    /// Returns the cells of the table, left to right.
    pub(super) fn cells(&self) -> [String; 7] {
        let value = match &self.value {
            _ if self.off => "off".to_owned(),
            Ok(temperature) => format!("{:.1} °C", temperature.degrees()),
            Err(fault) => format!("!{fault}"),
        };
        [
            self.device.to_string(),
            self.description.source.clone(),
            self.description.role.to_string(),
            value,
            limits(self.description.limits),
            self.description
                .verdict
                .map_or("-", Verdict::name)
                .to_owned(),
            format!("{:.1} ms", self.took.as_secs_f64() * 1_000.0),
        ]
    }

    /// Returns the JSON object.
    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "device_id": self.device,
            "description": self.description,
            "off": self.off,
            "temperature": self.value.as_ref().ok(),
            "fault": self.value.as_ref().err().map(Fault::as_str),
            "read_us": u64::try_from(self.took.as_micros()).ok(),
        })
    }
}

/// Returns limits as text, such as `max 42, crit 47`.
fn limits(limits: HardwareLimits) -> String {
    let parts = [
        ("min", limits.low_critical),
        ("max", limits.high_warning),
        ("crit", limits.high_critical),
    ];
    let known: Vec<_> = parts
        .iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name} {limit}")))
        .collect();
    let duration = match limits.lasting {
        Duration::ZERO => String::new(),
        lasting => format!(" for {}", humantime::format_duration(lasting)),
    };
    if known.is_empty() {
        "-".to_owned()
    } else {
        known.join(", ") + &duration
    }
}
