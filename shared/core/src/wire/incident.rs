//! Incident records as fields of `rackwatch:incidents`.
//!
//! First `incident_id`, `event`, `severity`, `title`, `cause`, `cause_name`, `first`, `since`,
//! `timestamp`, `racks`, `devices` (joined by commas), `device_count`, `alerts`, `open`; then `notification_id`
//! if the record asks for a notification, and the optional fields.

use super::fields::{Fields, Lookup, timestamp};
use super::reason::Reason;
use super::{alert, field};
use crate::alert::Severity;
use crate::device::{DeviceId, Role};
use crate::incident::{Cause, Event, IncidentId, IncidentRecord};
use crate::subject::Subject;

/// Returns the fields of the entry for `record`.
pub fn encode(record: &IncidentRecord) -> Vec<(&'static str, String)> {
    let devices: Vec<_> = record.devices.iter().map(Subject::as_str).collect();
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
        ("racks", record.racks.join(",")),
        ("devices", devices.join(",")),
        ("device_count", record.device_count.to_string()),
        ("alerts", record.alerts.to_string()),
        ("open", record.open.to_string()),
    ];
    let some = |text: String| (!text.is_empty()).then_some(text);
    let roles: Vec<_> = record.roles.iter().map(|role| role.name()).collect();
    let more = [
        ("notification_id", record.notification_id.clone()),
        ("rooms", some(record.rooms.join(","))),
        ("roles", some(roles.join(","))),
        ("until", record.until.map(|at| at.to_string())),
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
    let list = |name| {
        Ok(optional(name)?
            .unwrap_or_default()
            .split(',')
            .filter(|s| !s.is_empty()))
    };
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
        racks: list("racks")?.map(str::to_owned).collect(),
        rooms: list("rooms")?.map(str::to_owned).collect(),
        // A role of a newer version is left out.
        roles: list("roles")?
            .filter_map(|name| Role::ALL.into_iter().find(|role| role.name() == name))
            .collect(),
        devices: list("devices")?.map(subject).collect::<Result<_, _>>()?,
        device_count: count("device_count")?,
        alerts: count("alerts")?,
        open: count("open")?,
        peak: optional("peak")?.map(alert::celsius).transpose()?,
        left_ms: left("left_min_ms")?.zip(left("left_max_ms")?),
        acked_by: optional("acked_by")?.map(str::to_owned),
    })
}
