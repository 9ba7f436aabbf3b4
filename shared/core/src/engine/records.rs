//! Alert records and stored episodes, made from what a tracker says.

use std::time::Duration;

use super::outage::SENSOR_FAULT;
use super::silence::NO_DATA;
use crate::alert::{AlertId, AlertKind, AlertRecord, AlertState, Severity};
use crate::detect::Finding;
use crate::device::{Description, DeviceId, Role};
use crate::episode::{Episode, Open};
use crate::rules::PlannedRule;
use crate::time::Timestamp;
use crate::units::Celsius;

/// Where a device stands.
pub(super) struct Place {
    pub(super) rack: String,
    pub(super) u: Option<u16>,
    pub(super) role: Role,
}

impl Place {
    /// Where a device stands. An id names a rack or a host; only a description tells which, so that the
    /// id is believed where there is none.
    pub(super) fn of(known: Option<&Description>, id: &DeviceId) -> Self {
        match known {
            Some(known) => Self {
                rack: known.rack.clone().unwrap_or_default(),
                u: known.u,
                role: known.role,
            },
            None => Self {
                rack: id.rack_part().unwrap_or_default().to_owned(),
                u: None,
                role: Role::Inlet,
            },
        }
    }
}

/// The episode to store with a record that has no temperature; `last` is the last there was.
pub(super) fn stored(record: &AlertRecord, last: Option<Celsius>) -> Episode {
    Episode {
        id: record.id.clone(),
        device: record.device.clone(),
        rule: record.rule.clone(),
        kind: record.kind,
        started: record.started,
        severity: record.severity,
        threshold: record.threshold,
        temperature: last.unwrap_or(Celsius::ZERO),
        at: record.at,
        rack: record.rack.clone(),
        u: record.u,
        role: record.role,
    }
}

/// The record of an episode that began or became worse, and the episode to store with it.
#[expect(
    clippy::too_many_arguments,
    reason = "one for each thing that a record says"
)]
pub(super) fn fired(
    device: &DeviceId,
    place: Place,
    rule: &PlannedRule,
    at: Timestamp,
    value: Celsius,
    open: Open,
    finding: Option<Finding>,
    rate: Option<f64>,
) -> (AlertRecord, Episode) {
    let episode = Episode {
        id: AlertId::of(device, &rule.name, open.started),
        device: device.clone(),
        rule: rule.name.clone(),
        kind: rule.kind,
        started: open.started,
        severity: open.severity,
        threshold: rule.threshold(open.severity).unwrap_or_default(),
        temperature: value,
        at,
        rack: place.rack,
        u: place.u,
        role: place.role,
    };
    let runaway = finding.and_then(|finding| finding.runaway);
    let left = runaway.and_then(|found| found.left);
    let rate = runaway.map(|found| found.rate).or(rate);
    let record = AlertRecord {
        rate,
        change: finding
            .and_then(|finding| finding.change)
            .map(|change| change.0),
        window: runaway
            .map(|found| found.window)
            .or(rule.window(open.severity)),
        left_least: left.map(|(least, _)| least),
        left_most: left.map(|(_, most)| most),
        ..of_episode(&episode, AlertState::Firing)
    };
    (record, episode)
}

/// The record of an episode that ended.
pub(super) fn ended(
    device: &DeviceId,
    place: &Place,
    rule: &PlannedRule,
    at: Timestamp,
    value: Option<Celsius>,
    open: Open,
    rate: Option<f64>,
) -> AlertRecord {
    AlertRecord {
        kind: rule.kind,
        device: device.clone(),
        temperature: value,
        at,
        threshold: mildest_threshold(rule),
        severity: open.severity,
        state: AlertState::Resolved,
        id: AlertId::of(device, &rule.name, open.started),
        rule: rule.name.clone(),
        rack: place.rack.clone(),
        u: place.u,
        role: place.role,
        started: open.started,
        rate,
        change: None,
        window: None,
        reason: None,
        left_least: None,
        left_most: None,
        peak: has_peak(rule.kind).then_some(open.peak),
        duration: Some(open.clear.unwrap_or(at).since(open.started)),
        skew_ms: None,
        historical: false,
    }
}

/// Whether a worst temperature says anything.
fn has_peak(kind: AlertKind) -> bool {
    !matches!(
        kind,
        AlertKind::StuckSensor | AlertKind::SensorFault | AlertKind::NoData | AlertKind::ClockSkew
    )
}

/// The record of a stored episode whose rule is there no more.
pub(super) fn given_up(episode: &Episode, at: Timestamp, now: Option<Celsius>) -> AlertRecord {
    AlertRecord {
        temperature: now,
        at,
        peak: has_peak(episode.kind).then_some(episode.temperature),
        duration: Some(at.since(episode.started)),
        ..of_episode(episode, AlertState::Resolved)
    }
}

/// The record of a target that has answered for none of its devices since then.
pub(super) fn faulty(
    device: &DeviceId,
    since: Timestamp,
    at: Timestamp,
    severity: Severity,
) -> AlertRecord {
    AlertRecord {
        kind: AlertKind::SensorFault,
        id: AlertId::of(device, SENSOR_FAULT, since),
        rule: SENSOR_FAULT.to_owned(),
        ..silent(device, since, at, severity)
    }
}

/// The record of a device or an agent that has been silent since its last reading.
pub(super) fn silent(
    device: &DeviceId,
    since: Timestamp,
    at: Timestamp,
    severity: Severity,
) -> AlertRecord {
    AlertRecord {
        kind: AlertKind::NoData,
        device: device.clone(),
        temperature: None,
        at,
        threshold: 0.0,
        severity,
        state: AlertState::Firing,
        id: AlertId::of(device, NO_DATA, since),
        rule: NO_DATA.to_owned(),
        rack: String::new(),
        u: None,
        role: Role::Other,
        started: since,
        rate: None,
        change: None,
        window: None,
        reason: None,
        left_least: None,
        left_most: None,
        peak: None,
        duration: None,
        skew_ms: None,
        historical: false,
    }
}

/// The name of the rule that watches clocks: it is always there.
pub(super) const CLOCK_SKEW: &str = "clock_skew";

/// The record of a clock that was set back by so much, and the episode to store with it.
pub(super) fn set_back(
    device: &DeviceId,
    place: Place,
    at: Timestamp,
    value: Celsius,
    by: Duration,
) -> (AlertRecord, Episode) {
    let episode = Episode {
        id: AlertId::of(device, CLOCK_SKEW, at),
        device: device.clone(),
        rule: CLOCK_SKEW.to_owned(),
        kind: AlertKind::ClockSkew,
        started: at,
        severity: Severity::Warning,
        threshold: 0.0,
        temperature: value,
        at,
        rack: place.rack,
        u: place.u,
        role: place.role,
    };
    let record = AlertRecord {
        skew_ms: i64::try_from(by.as_millis()).ok().map(|by| -by),
        ..of_episode(&episode, AlertState::Firing)
    };
    (record, episode)
}

/// The record of a clock that has caught up, or that everybody has got used to.
pub(super) fn recovered(
    device: &DeviceId,
    place: Place,
    started: Timestamp,
    at: Timestamp,
    value: Celsius,
) -> AlertRecord {
    let (record, _) = set_back(device, place, started, value, Duration::ZERO);
    AlertRecord {
        at,
        state: AlertState::Resolved,
        skew_ms: None,
        duration: Some(at.since(started)),
        ..record
    }
}

/// The threshold of the rule's mildest level: the one to be cleared for the episode to end.
fn mildest_threshold(rule: &PlannedRule) -> f64 {
    Severity::ALL
        .into_iter()
        .find_map(|severity| rule.threshold(severity))
        .unwrap_or_default()
}

fn of_episode(episode: &Episode, state: AlertState) -> AlertRecord {
    AlertRecord {
        kind: episode.kind,
        device: episode.device.clone(),
        temperature: Some(episode.temperature),
        at: episode.at,
        threshold: episode.threshold,
        severity: episode.severity,
        state,
        id: episode.id.clone(),
        rule: episode.rule.clone(),
        rack: episode.rack.clone(),
        u: episode.u,
        role: episode.role,
        started: episode.started,
        rate: None,
        change: None,
        window: None,
        reason: None,
        left_least: None,
        left_most: None,
        peak: None,
        duration: None,
        skew_ms: None,
        historical: false,
    }
}
