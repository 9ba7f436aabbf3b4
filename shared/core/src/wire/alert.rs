//! Alert records as fields of `anomaly_alerts`.
//!
//! First `type`, `device_id`, `temperature`, `timestamp`, `threshold`; then `severity`, `state`,
//! `alert_id`, `rule`, `rack`; then what this kind of record adds.

use std::time::Duration;

use super::{Fields, Lookup, Reason, field, timestamp};
use crate::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use crate::device::{DeviceId, Role};
use crate::units::Celsius;

/// The fields of the entry that says `record`, in the order of the contract.
pub fn encode(record: &AlertRecord) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("type", record.kind.to_string()),
        (field::DEVICE_ID, record.device.to_string()),
        (
            field::TEMPERATURE,
            record
                .temperature
                .map_or_else(String::new, |t| t.to_string()),
        ),
        (field::TIMESTAMP, record.at.to_string()),
        ("threshold", record.threshold.to_string()),
        ("severity", record.severity.to_string()),
        ("state", record.state.to_string()),
        ("alert_id", record.id.to_string()),
        ("rule", record.rule.clone()),
        ("rack", record.rack.clone()),
        ("role", record.role.to_string()),
        ("since", record.started.to_string()),
    ];
    let millis = |d: Duration| d.as_millis().to_string();
    let more = [
        ("u", record.u.map(|u| u.to_string())),
        ("rate", record.rate.map(|r| format!("{r:.2}"))),
        ("change", record.change.map(|c| format!("{c:.3}"))),
        ("window_ms", record.window.map(millis)),
        ("reason", record.reason.clone()),
        ("left_min_ms", record.left_least.map(millis)),
        ("left_max_ms", record.left_most.map(millis)),
        ("peak", record.peak.map(|p| p.to_string())),
        ("duration_ms", record.duration.map(millis)),
        ("skew_ms", record.skew_ms.map(|skew| skew.to_string())),
        ("historical", record.historical.then(|| "1".to_owned())),
    ];
    fields.extend(
        more.into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    fields
}

/// Reads a record back. The reason says which field is wrong.
pub fn decode(fields: &Fields) -> Result<AlertRecord, Reason> {
    let lookup = Lookup::new(fields)?;
    let temperature = match lookup.get(field::TEMPERATURE) {
        Err(Reason::Empty(_)) | Ok(None) => None,
        other => other?.map(celsius).transpose()?,
    };
    let optional = |name| match lookup.get(name) {
        Err(Reason::Empty(_)) => Ok(None),
        other => other,
    };
    let at = lookup.timestamp()?;
    Ok(AlertRecord {
        kind: word(&lookup, "type", &AlertKind::ALL, AlertKind::name)?,
        device: DeviceId::new(lookup.need(field::DEVICE_ID)?).map_err(Reason::BadDevice)?,
        temperature,
        at,
        threshold: number(lookup.need("threshold")?, "threshold")?,
        severity: word(&lookup, "severity", &Severity::ALL, Severity::name)?,
        state: word(
            &lookup,
            "state",
            &[AlertState::Firing, AlertState::Resolved],
            AlertState::name,
        )?,
        id: AlertId::from_wire(lookup.need("alert_id")?),
        rule: lookup.need("rule")?.to_owned(),
        rack: optional("rack")?.unwrap_or_default().to_owned(),
        u: optional("u")?.map(|text| number(text, "u")).transpose()?,
        role: word(&lookup, "role", &Role::ALL, Role::name).unwrap_or_default(),
        started: optional("since")?.map_or(Ok(at), timestamp)?,
        rate: optional("rate")?
            .map(|text| number(text, "rate"))
            .transpose()?,
        change: optional("change")?
            .map(|text| number(text, "change"))
            .transpose()?,
        window: optional("window_ms")?
            .map(|text| millis(text, "window_ms"))
            .transpose()?,
        reason: optional("reason")?.map(str::to_owned),
        left_least: optional("left_min_ms")?
            .map(|text| millis(text, "left_min_ms"))
            .transpose()?,
        left_most: optional("left_max_ms")?
            .map(|text| millis(text, "left_max_ms"))
            .transpose()?,
        peak: optional("peak")?.map(celsius).transpose()?,
        duration: optional("duration_ms")?
            .map(|text| millis(text, "duration_ms"))
            .transpose()?,
        skew_ms: optional("skew_ms")?
            .map(|text| number(text, "skew_ms"))
            .transpose()?,
        historical: optional("historical")? == Some("1"),
    })
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

fn millis(text: &str, name: &'static str) -> Result<Duration, Reason> {
    number(text, name).map(Duration::from_millis)
}

pub(super) fn celsius(text: &str) -> Result<Celsius, Reason> {
    Celsius::parse(text).map_err(Reason::BadTemperature)
}
