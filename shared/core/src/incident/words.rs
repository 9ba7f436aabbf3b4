//! An incident in a few words.

use std::collections::BTreeMap;

use super::life::Reach;
use super::{Cause, Family, Member};
use crate::alert::{AlertId, AlertKind, Severity};
use crate::subject::Subject;

/// So many racks are named.
const NAMED: usize = 4;

/// Such as `cooling is failing: room hall-1, 12 sensors in R1, R2, R3`.
pub(super) fn title(
    family: Family,
    cause: &Cause,
    members: &BTreeMap<AlertId, Member>,
    reach: &Reach,
) -> String {
    let what = what(family, members);
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
        (_, racks) if racks.len() > NAMED => format!(" in {} racks", racks.len()),
        (_, racks) => format!(" in {}", racks.join(", ")),
    };
    format!("{what}: {cause}{sensors}{racks}")
}

fn all_are(members: &BTreeMap<AlertId, Member>, kind: fn(&Subject) -> bool) -> bool {
    members.values().all(|member| kind(&member.device))
}

/// The gravest of its alerts decides.
fn what(family: Family, members: &BTreeMap<AlertId, Member>) -> &'static str {
    let loud = || members.values().filter(|m| m.severity > Severity::Info);
    let any = |kind| loud().any(|member| member.kind == kind);
    match family {
        Family::Heat if any(AlertKind::Runaway) => "cooling is failing",
        Family::Heat if any(AlertKind::HighTemp) => "too hot",
        Family::Heat if any(AlertKind::Spike) => "heating up fast",
        Family::Heat => "warmer than usual",
        Family::Cold if any(AlertKind::LowTemp) => "too cold",
        Family::Cold if any(AlertKind::Drop) => "cooling down fast",
        Family::Cold => "colder than usual",
        Family::Silence if any(AlertKind::NoData) => "no data",
        Family::Silence if any(AlertKind::SensorFault) => "cannot be read",
        Family::Silence => "clock is wrong",
        Family::Sensor => "sensor is stuck",
    }
}
