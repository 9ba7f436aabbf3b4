//! Fuzzes the parsers of Redfish documents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rackwatch_agent::source::redfish::{environment, members, metrics, sensor, sensors, thermal};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let all = thermal("/t", &document)
        .into_iter()
        .chain(metrics("/m", &document))
        .chain(sensors(&document))
        .chain(sensor(&document))
        .chain(environment("/e", &document));
    for sensor in all {
        assert!(!sensor.name.is_empty() && !sensor.key.is_empty());
    }
    let _members = members(&document);
});
