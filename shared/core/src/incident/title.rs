//! Titles of incidents: the symptom and the place in a few words.

use std::collections::BTreeMap;

use super::cause::Cause;
use super::member::Member;
use super::reach::Reach;
use crate::alert::{AlertId, AlertKind, Severity};
use crate::detect::Family;
use crate::subject::Subject;
use crate::words::count;

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
        1 if reach.missing > 1 => format!(", {} sensors", reach.missing),
        1 => String::new(),
        count if all_are(members, |s| matches!(s, Subject::Agent(_))) => {
            format!(", {count} agents{}", with_missing(reach))
        }
        count if all_are(members, |s| matches!(s, Subject::Target(_))) => {
            format!(", {count} targets{}", with_missing(reach))
        }
        _ => format!(", {} sensors", reach.sensors(family)),
    };
    let racks: Vec<_> = reach.racks.iter().map(String::as_str).collect();
    let racks = match (cause, racks.as_slice()) {
        (Cause::Rack(_), _) | (_, []) => String::new(),
        (_, racks) if racks.len() > MAX_NAMED_RACKS => format!(" in {} racks", racks.len()),
        (_, racks) => format!(" in {}", racks.join(", ")),
    };
    let open = members
        .values()
        .filter(|member| member.open && member.kind != AlertKind::NoData);
    let (stale, live): (Vec<_>, Vec<_>) = open.partition(|member| member.stale);
    let blind = match (stale.len(), live.len()) {
        (0, _) => String::new(),
        (_, 0) => ", and no data any more".to_owned(),
        (stale, _) => format!(", {} without data", count(stale, "alert")),
    };
    format!("{symptom}: {cause}{sensors}{racks}{blind}")
}

fn with_missing(reach: &Reach) -> String {
    match reach.missing {
        0 => String::new(),
        missing => format!(" with {missing} sensors"),
    }
}

fn all_are(members: &BTreeMap<AlertId, Member>, kind: fn(&Subject) -> bool) -> bool {
    members.values().all(|member| kind(&member.device))
}

/// Returns the headline of the gravest kind among the alerts above `info`, or among all of them if there are only
/// infos. Kinds of other families have none.
fn symptom(family: Family, members: &BTreeMap<AlertId, Member>) -> &'static str {
    let gravest = |least: Severity| {
        let members = members.values().filter(|member| member.severity >= least);
        let infos = members.map(|member| member.kind.info());
        let named = infos.filter_map(|info| Some((info.rank, info.headline_in(family)?)));
        named.max_by_key(|(rank, _)| *rank)
    };
    let gravest = gravest(Severity::Warning).or_else(|| gravest(Severity::Info));
    gravest.map_or("alerts", |(_, headline)| headline)
}
