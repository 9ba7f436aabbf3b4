//! Incident records as fields of `rackwatch:incidents`.
//!
//! First `incident_id`, `event`, `severity`, `title`, `cause`, `cause_name`, `first`, `since`,
//! `timestamp`, `racks`, `devices`, `device_count`, `alerts`, `open`; then `notification_id`
//! if the record asks for a notification, and the optional fields. Lists are joined by commas (`list`).

use super::fields::{Fields, Lookup, timestamp};
use super::reason::Reason;
use super::{alert, field, list};
use crate::alert::Severity;
use crate::device::{DeviceId, Role};
use crate::incident::{Cause, Event, IncidentId, IncidentRecord};
use crate::subject::Subject;

/// Returns the fields of the entry for `record`.
pub fn encode(record: &IncidentRecord) -> Vec<(&'static str, String)> {
    let (cause, cause_name) = record.cause.parts();
    let mut fields = vec![
        ("incident_id", record.id.to_string()),
        ("event", record.event.to_string()),
        ("severity", record.severity.to_string()),
        ("title", record.title.clone()),
        ("cause", cause.to_owned()),
        ("cause_name", cause_name.to_owned()),
        ("first", record.first.to_string()),
        ("since", record.since.to_string()),
        (field::TIMESTAMP, record.at.to_string()),
        ("racks", list::join(&record.racks)),
        (
            "devices",
            list::join(record.devices.iter().map(Subject::as_str)),
        ),
        ("device_count", record.device_count.to_string()),
        ("alerts", record.alerts.to_string()),
        ("open", record.open.to_string()),
    ];
    let some = |text: String| (!text.is_empty()).then_some(text);
    let roles = record.roles.iter().map(|role| role.name());
    let more = [
        ("notification_id", record.notification_id.clone()),
        ("rooms", some(list::join(&record.rooms))),
        ("roles", some(list::join(roles))),
        ("until", record.until.map(|at| at.to_string())),
        (
            "stale",
            (record.stale > 0).then(|| record.stale.to_string()),
        ),
        ("peak", record.peak.map(|t| t.to_string())),
        (
            "left_min_ms",
            record.left_ms.map(|(min, _)| min.to_string()),
        ),
        (
            "left_max_ms",
            record.left_ms.map(|(_, max)| max.to_string()),
        ),
        ("acked_by", record.acked_by.clone()),
    ];
    let more = more.into_iter();
    fields.extend(more.filter_map(|(name, value)| Some((name, value?))));
    fields
}

/// Reads a record back.
///
/// # Errors
///
/// Returns the reason, which names the wrong field.
pub fn decode(fields: &Fields) -> Result<IncidentRecord, Reason> {
    let lookup = Lookup::new(fields)?;
    let optional = |name| lookup.optional(name);
    let time = |name| timestamp(lookup.need(name)?);
    let count = |name| alert::number(lookup.need(name)?, name);
    let left = |name| {
        optional(name)?
            .map(|text| alert::number(text, name))
            .transpose()
    };
    let list = |name| Ok(list::split(optional(name)?.unwrap_or_default()));
    let subject = |text: &str| {
        let id = DeviceId::new(text).map_err(Reason::BadDevice)?;
        Ok(Subject::from(id))
    };
    let cause_name = optional("cause_name")?.unwrap_or_default();
    Ok(IncidentRecord {
        id: IncidentId::from_wire(lookup.need("incident_id")?),
        event: alert::word(&lookup, "event", &Event::ALL, Event::name)?,
        notification_id: optional("notification_id")?.map(str::to_owned),
        severity: alert::word(&lookup, "severity", &Severity::ALL, Severity::name)?,
        title: lookup.need("title")?.to_owned(),
        cause: Cause::from_parts(lookup.need("cause")?, cause_name)
            .ok_or(Reason::Missing("cause"))?,
        first: subject(lookup.need("first")?)?,
        since: time("since")?,
        until: optional("until")?.map(timestamp).transpose()?,
        at: lookup.timestamp()?,
        racks: list("racks")?,
        rooms: list("rooms")?,
        // A role of a newer version is left out.
        roles: list("roles")?
            .iter()
            .filter_map(|name| Role::ALL.into_iter().find(|role| role.name() == name))
            .collect(),
        devices: list("devices")?
            .iter()
            .map(|id| subject(id))
            .collect::<Result<_, _>>()?,
        device_count: count("device_count")?,
        alerts: count("alerts")?,
        open: count("open")?,
        stale: optional("stale")?
            .map(|text| alert::number(text, "stale"))
            .transpose()?
            .unwrap_or(0),
        peak: optional("peak")?.map(alert::celsius).transpose()?,
        left_ms: left("left_min_ms")?.zip(left("left_max_ms")?),
        acked_by: optional("acked_by")?.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_named_with_a_comma_is_one_rack() {
        let racks = ["B07, left", r"a\b", r"c\,d", "B08"]
            .map(str::to_owned)
            .to_vec();
        let fields: Fields = [
            ("incident_id", "i1"),
            ("event", "opened"),
            ("severity", "critical"),
            ("title", "too hot"),
            ("cause", "rack"),
            ("cause_name", "B07, left"),
            ("first", "inlet-1"),
            ("since", "1"),
            ("timestamp", "2"),
            ("racks", r"B07\, left,a\\b,c\\\,d,B08"),
            ("device_count", "1"),
            ("alerts", "1"),
            ("open", "1"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        let record = decode(&fields).unwrap();
        assert_eq!(record.racks, racks);
        let encoded = encode(&record);
        assert!(
            encoded.contains(&("racks", r"B07\, left,a\\b,c\\\,d,B08".to_owned())),
            "{encoded:?}"
        );
    }
}
