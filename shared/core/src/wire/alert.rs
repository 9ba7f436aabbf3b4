//! Alert records as fields of `anomaly_alerts`.
//!
//! First `type`, `device_id`, `temperature`, `timestamp`, `threshold`; then `severity`, `state`, `alert_id`,
//! `rule`, `rack`; then the fields that the kind adds.

use std::time::Duration;

use super::field;
use super::fields::{Fields, Lookup, timestamp};
use super::reason::Reason;
use crate::alert::{
    AlertId, AlertKind, AlertRecord, AlertState, Detail, EndedBy, Extras, Resolution, Severity,
};
use crate::device::{DeviceId, Role};
use crate::subject::Subject;
use crate::time::Timestamp;
use crate::units::Celsius;

/// Returns the fields of the entry for `record`, in the order of the contract.
pub fn encode(record: &AlertRecord) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("type", record.kind().to_string()),
        (field::DEVICE_ID, record.subject.to_string()),
        (
            field::TEMPERATURE,
            record
                .temperature
                .map_or_else(String::new, |t| t.to_string()),
        ),
        (field::TIMESTAMP, record.at.to_string()),
        ("threshold", record.threshold.to_string()),
        ("severity", record.severity.to_string()),
        ("state", record.state().to_string()),
        ("alert_id", record.id.to_string()),
        ("rule", record.rule.clone()),
        ("rack", record.rack.clone()),
        ("role", record.role.to_string()),
        ("since", record.started.to_string()),
    ];
    let millis = |d: Duration| d.as_millis().to_string();
    let extras = record.detail.extras();
    let resolution = record.resolution;
    let peak = resolution.and_then(|resolution| resolution.peak);
    let more = [
        ("u", record.u.map(|u| u.to_string())),
        ("rate", record.rate.map(|r| format!("{r:.2}"))),
        ("change", extras.change.map(|c| format!("{c:.3}"))),
        ("window_ms", extras.window.map(millis)),
        ("reason", extras.reason),
        ("left_min_ms", extras.left.map(|(least, _)| millis(least))),
        ("left_max_ms", extras.left.map(|(_, most)| millis(most))),
        ("peak", peak.map(|p| p.to_string())),
        ("duration_ms", resolution.map(|r| millis(r.duration))),
        ("skew_ms", extras.skew_ms.map(|skew| skew.to_string())),
        (
            "ended_by",
            resolution
                .and_then(|r| r.ended_by.name())
                .map(str::to_owned),
        ),
        ("historical", record.historical.then(|| "1".to_owned())),
    ];
    fields.extend(
        more.into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    fields
}

/// Reads a record back.
///
/// # Errors
///
/// Returns the reason, which names the wrong field.
pub fn decode(fields: &Fields) -> Result<AlertRecord, Reason> {
    let lookup = Lookup::new(fields)?;
    let at = lookup.timestamp()?;
    let started = lookup.optional("since")?.map_or(Ok(at), timestamp)?;
    let kind = word(&lookup, "type", &AlertKind::ALL, AlertKind::name)?;
    let device = DeviceId::new(lookup.need(field::DEVICE_ID)?).map_err(Reason::BadDevice)?;
    Ok(AlertRecord {
        subject: Subject::from(device),
        temperature: lookup
            .optional(field::TEMPERATURE)?
            .map(celsius)
            .transpose()?,
        at,
        threshold: number(lookup.need("threshold")?, "threshold")?,
        severity: word(&lookup, "severity", &Severity::ALL, Severity::name)?,
        id: AlertId::from_wire(lookup.need("alert_id")?),
        rule: lookup.need("rule")?.to_owned(),
        rack: lookup.optional("rack")?.unwrap_or_default().to_owned(),
        u: parsed(&lookup, "u")?,
        role: word(&lookup, "role", &Role::ALL, Role::name).unwrap_or_default(),
        started,
        rate: parsed(&lookup, "rate")?,
        detail: Detail::new(kind, extras(&lookup)?),
        resolution: resolution(&lookup, started, at)?,
        historical: lookup.optional("historical")? == Some("1"),
    })
}

fn extras(lookup: &Lookup<'_>) -> Result<Extras, Reason> {
    let left = |name| Ok(parsed(lookup, name)?.map(Duration::from_millis));
    Ok(Extras {
        change: parsed(lookup, "change")?,
        window: parsed(lookup, "window_ms")?.map(Duration::from_millis),
        reason: lookup.optional("reason")?.map(str::to_owned),
        left: left("left_min_ms")?.zip(left("left_max_ms")?),
        skew_ms: parsed(lookup, "skew_ms")?,
    })
}

/// Returns the resolution; none if the record is firing. Without a duration the record's own times give it.
fn resolution(
    lookup: &Lookup<'_>,
    started: Timestamp,
    at: Timestamp,
) -> Result<Option<Resolution>, Reason> {
    let states = [AlertState::Firing, AlertState::Resolved];
    let state = word(lookup, "state", &states, AlertState::name)?;
    let duration = parsed(lookup, "duration_ms")?.map(Duration::from_millis);
    let peak = lookup.optional("peak")?.map(celsius).transpose()?;
    let ended_by = EndedBy::from_name(lookup.optional("ended_by")?);
    Ok((state == AlertState::Resolved).then(|| Resolution {
        duration: duration.unwrap_or_else(|| at.since(started)),
        peak,
        ended_by,
    }))
}

fn parsed<T: std::str::FromStr>(
    lookup: &Lookup<'_>,
    name: &'static str,
) -> Result<Option<T>, Reason> {
    let text = lookup.optional(name)?;
    text.map(|text| number(text, name)).transpose()
}

pub(super) fn word<T: Copy>(
    lookup: &Lookup<'_>,
    name: &'static str,
    all: &[T],
    word_of: fn(T) -> &'static str,
) -> Result<T, Reason> {
    let text = lookup.need(name)?;
    all.iter()
        .copied()
        .find(|t| word_of(*t) == text)
        .ok_or(Reason::Missing(name))
}

pub(super) fn number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, Reason> {
    text.parse().map_err(|_| Reason::NotText(name))
}

pub(super) fn celsius(text: &str) -> Result<Celsius, Reason> {
    Celsius::parse(text).map_err(Reason::BadTemperature)
}
