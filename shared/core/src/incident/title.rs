//! Titles of incidents: the symptom and the place in a few words.

use std::collections::BTreeMap;

use super::cause::Cause;
use super::family::Family;
use super::member::Member;
use super::reach::Reach;
use crate::alert::{AlertId, AlertKind, Severity};
use crate::subject::Subject;

/// Racks named in a title. More are counted.
const MAX_NAMED_RACKS: usize = 4;

/// Returns a title such as `cooling is failing: room hall-1, 12 sensors in R1, R2, R3`.
pub(super) fn title(
    family: Family,
    cause: &Cause,
    members: &BTreeMap<AlertId, Member>,
    reach: &Reach,
) -> String {
    let symptom = symptom(family, members);
    let sensors = match reach.devices.len() {
        1 => String::new(),
        count if all_are(members, |s| matches!(s, Subject::Agent(_))) => {
            format!(", {count} agents")
        }
        count if all_are(members, |s| matches!(s, Subject::Target(_))) => {
            format!(", {count} targets")
        }
        count => format!(", {count} sensors"),
    };
    let racks: Vec<_> = reach.racks.iter().map(String::as_str).collect();
    let racks = match (cause, racks.as_slice()) {
        (Cause::Rack(_), _) | (_, []) => String::new(),
        (_, racks) if racks.len() > MAX_NAMED_RACKS => format!(" in {} racks", racks.len()),
        (_, racks) => format!(" in {}", racks.join(", ")),
    };
    format!("{symptom}: {cause}{sensors}{racks}")
}

fn all_are(members: &BTreeMap<AlertId, Member>, kind: fn(&Subject) -> bool) -> bool {
    members.values().all(|member| kind(&member.device))
}

/// Returns the gravest symptom among the alerts above `info`.
fn symptom(family: Family, members: &BTreeMap<AlertId, Member>) -> &'static str {
    let above_info = members.values().filter(|m| m.severity > Severity::Info);
    // Alerts of another family may belong to the incident, as those of servers that a hot room switched off.
    let symptoms = above_info.filter_map(|member| symptom_of(family, member.kind));
    let gravest = symptoms.max_by_key(|(rank, _)| *rank);
    gravest.map_or_else(|| weakest_symptom(family), |(_, symptom)| symptom)
}

/// Returns the symptom that a type of alert shows, with its rank within the family. Types of other families show
/// none.
fn symptom_of(family: Family, kind: AlertKind) -> Option<(u8, &'static str)> {
    let (of, rank, symptom) = match kind {
        AlertKind::Runaway => (Family::Heat, 3, "cooling is failing"),
        AlertKind::HighTemp => (Family::Heat, 2, "too hot"),
        AlertKind::Spike => (Family::Heat, 1, "heating up fast"),
        AlertKind::LowTemp => (Family::Cold, 2, "too cold"),
        AlertKind::Drop => (Family::Cold, 1, "cooling down fast"),
        // They go either way: the family has the direction.
        AlertKind::Drift | AlertKind::Outlier => (family, 0, weakest_symptom(family)),
        AlertKind::NoData => (Family::NoData, 2, "no data"),
        AlertKind::SensorFault => (Family::NoData, 1, "cannot be read"),
        AlertKind::ClockSkew => (Family::NoData, 0, "clock is wrong"),
        AlertKind::StuckSensor => (Family::Sensor, 0, "sensor is stuck"),
    };
    (of == family).then_some((rank, symptom))
}

fn weakest_symptom(family: Family) -> &'static str {
    match family {
        Family::Heat => "warmer than usual",
        Family::Cold => "colder than usual",
        Family::NoData => "clock is wrong",
        Family::Sensor => "sensor is stuck",
    }
}
