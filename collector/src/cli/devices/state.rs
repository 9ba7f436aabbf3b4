//! The state of a device in words: what fires on it, or why nothing is known of it.

use std::collections::BTreeSet;

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{DataState, Description, DeviceId, Verdict};
use rackwatch_core::episode::Episode;
use rackwatch_core::subject::Subject;

use crate::incidents::episodes;

/// The subjects of alerts that no data arrives.
pub(super) struct AbsentSubjects(BTreeSet<Subject>);

impl AbsentSubjects {
    /// Returns them among the open episodes.
    pub(super) fn of(open: &[Episode]) -> Self {
        let open = open.iter();
        let absent = open.filter(|episode| episode.kind == AlertKind::NoData);
        Self(absent.map(|episode| episode.subject.clone()).collect())
    }

    /// Returns whether the device, its agent or its target is among them.
    pub(super) fn covers(&self, device: &DeviceId, description: Option<&Description>) -> bool {
        let named = |name: &str, subject: fn(&str) -> Subject| {
            !name.is_empty() && self.0.contains(&subject(name))
        };
        self.0.contains(&Subject::from(device.clone()))
            || description.is_some_and(|known| {
                named(&known.agent, Subject::agent) || named(&known.target, Subject::target)
            })
    }
}

/// Returns the state, such as `critical, but its board says ok`. Only a device with a present reading can be `ok`;
/// without one the last severity stands.
pub(super) fn words(data: DataState, open: Option<Severity>, board: Option<Verdict>) -> String {
    let gone = match (data, open) {
        (DataState::NotEvaluated, _) => Some("not evaluated"),
        (DataState::Withdrawn, _) => Some("withdrawn"),
        (DataState::Stale, _) => Some("no data"),
        (DataState::Unknown, None) => Some("never read"),
        (DataState::Live | DataState::Faulty | DataState::Unknown, _) => None,
    };
    if let Some(gone) = gone {
        return match open.filter(|severity| *severity > Severity::Info) {
            Some(severity) => format!("{gone}, was {severity}"),
            None => gone.to_owned(),
        };
    }
    let ours = open.map_or("ok", Severity::name);
    match episodes::disagrees(board, open) {
        Some(board) => format!("{ours}, but its board says {}", board.name()),
        None => ours.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_devices_are_ok() {
        let of = |data| words(data, None, None);
        assert_eq!(of(DataState::Live), "ok");
        let others = DataState::ALL.into_iter();
        for data in others.filter(|data| !matches!(data, DataState::Live | DataState::Faulty)) {
            assert_ne!(of(data), "ok", "{data:?}");
        }
        let critical = Some(Severity::Critical);
        assert_eq!(words(DataState::Unknown, critical, None), "critical");
        assert_eq!(
            words(DataState::Withdrawn, critical, None),
            "withdrawn, was critical"
        );
    }
}
