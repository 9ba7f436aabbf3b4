//! Entries and ids of one program, read back by another without loss.

use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, EndedBy, Resolution, Severity};
use rackwatch_core::incident::{Cause, IncidentId};
use rackwatch_core::wire::{self, Fields, Reason};

use super::{alert, alerts, at, celsius};

/// Returns the fields as Redis hands them out.
fn arrived(fields: Vec<(&'static str, String)>) -> Fields {
    let bytes = |(name, value): (&str, String)| (name.as_bytes().to_vec(), value.into_bytes());
    fields.into_iter().map(bytes).collect()
}

#[test]
fn alert_records_of_every_kind_read_back() {
    for mut record in alerts() {
        record.historical = record.kind() == AlertKind::HighTemp;
        // Entries have two decimals.
        record.rate = record.rate.map(|rate| (rate * 10.0).round() / 10.0);
        let fields = wire::alert::encode(&record);
        let again = wire::alert::decode(&arrived(fields.clone())).unwrap();
        assert_eq!(wire::alert::encode(&again), fields);
        assert_eq!(again, record, "{}", record.kind());
    }
}

/// Other programs write the first five fields only, or leave fields empty.
#[test]
fn an_alert_record_with_few_fields_has_the_rest_from_its_times() {
    let resolved = AlertRecord {
        resolution: Some(Resolution {
            duration: Duration::from_secs(130),
            peak: None,
            ended_by: EndedBy::Readings,
        }),
        ..alert(AlertKind::HighTemp, AlertState::Firing, Severity::Critical)
    };
    let mut fields = wire::alert::encode(&resolved);
    fields.retain(|(name, _)| !["duration_ms", "role", "rack"].contains(name));
    let again = wire::alert::decode(&arrived(fields)).unwrap();
    assert_eq!(again.started, at(0));
    assert_eq!(again.resolution, resolved.resolution, "its own times");
    assert_eq!(
        (again.rack.as_str(), again.temperature),
        ("", Some(celsius(33.1)))
    );
}

#[test]
fn an_alert_record_with_a_wrong_field_is_refused_by_its_name() {
    let record = alert(AlertKind::HighTemp, AlertState::Firing, Severity::Critical);
    let refusal = |name: &'static str, value: &str| {
        let mut fields = wire::alert::encode(&record);
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value.to_owned()));
        wire::alert::decode(&arrived(fields)).unwrap_err()
    };
    for name in ["type", "severity", "state"] {
        assert_eq!(refusal(name, "odd"), Reason::Missing(name));
    }
    for name in ["threshold", "u", "rate", "window_ms", "duration_ms"] {
        assert_eq!(refusal(name, "odd"), Reason::NotText(name));
    }
    assert!(matches!(
        refusal("temperature", "odd"),
        Reason::BadTemperature(_)
    ));
    assert_eq!(refusal("timestamp", "0"), Reason::BadTimestamp);
}

#[test]
fn causes_read_back_from_their_kind_and_name() {
    let name = "x".to_owned();
    let all = [
        Cause::Sensor(name.clone()),
        Cause::Agent(name.clone()),
        Cause::Target(name.clone()),
        Cause::Rack(name.clone()),
        Cause::Cooler(name.clone()),
        Cause::Row(name.clone()),
        Cause::Room(name),
        Cause::Site(String::new()),
    ];
    for cause in all {
        let (kind, name) = cause.parts();
        assert_eq!(Cause::from_parts(kind, name), Some(cause.clone()));
    }
    assert_eq!(Cause::from_parts("galaxy", "x"), None);
}

#[test]
fn an_incident_id_is_known_by_all_and_typed_by_its_first_digits() {
    let id = IncidentId::from_wire("fb6020c1d2e3f405");
    assert_eq!((id.as_str(), id.short()), ("fb6020c1d2e3f405", "fb6020"));
    assert_eq!(id.to_string(), id.as_str());
}
