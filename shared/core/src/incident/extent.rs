//! The extent of an incident as of the last notification, and what has become news since.
//!
//! People who were notified of one critical rack must hear of the next ones, whether they acknowledged the incident
//! or not. A rack at a time would be too often, so growth is news when it matters: twice as many critical racks, the
//! first one in another row, room, or behind another cooler, or any at all once the group window has passed. Losing
//! sight of a critical rack is news too: it may be burning.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::member::Member;
use crate::alert::Severity;

/// The shortest time between two notifications of growth.
const PAUSE: Duration = Duration::from_mins(2);

/// The critical places of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    /// Racks with an open critical alert, and devices that are in no rack.
    #[serde(rename = "critical")]
    critical: BTreeSet<String>,
    /// Rows, rooms and coolers of these, such as `row B`.
    #[serde(rename = "areas")]
    areas: BTreeSet<String>,
    /// Those whose critical sensors all send no data.
    #[serde(rename = "blind", default, skip_serializing_if = "BTreeSet::is_empty")]
    blind: BTreeSet<String>,
}

impl Extent {
    /// Returns the extent of these members; only open critical ones count.
    pub(super) fn of<'m>(members: impl Iterator<Item = &'m Member>) -> Self {
        let mut extent = Self::default();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for member in members {
            if !member.open || member.severity != Severity::Critical {
                continue;
            }
            let spot = &member.spot;
            let place = member.place();
            extent.critical.insert(place.to_owned());
            if member.stale {
                extent.blind.insert(place.to_owned());
            } else {
                seen.insert(place);
            }
            for (kind, name) in [("row", &spot.row), ("room", &spot.room)] {
                if !name.is_empty() {
                    extent.areas.insert(format!("{kind} {name}"));
                }
            }
            let coolers = spot.coolers.iter();
            extent
                .areas
                .extend(coolers.map(|cooler| format!("cooler {cooler}")));
        }
        extent.blind.retain(|place| !seen.contains(place.as_str()));
        extent
    }

    /// Returns whether this extent is news `since` a notification of `before`.
    pub(super) fn is_news(&self, before: &Self, since: Duration, group_window: Duration) -> bool {
        if since < PAUSE {
            return false;
        }
        if !self.blind.is_subset(&before.blind) {
            return true;
        }
        if self.critical.is_subset(&before.critical) {
            return false;
        }
        let has_doubled = self.critical.len() >= before.critical.len().max(1) * 2;
        let is_elsewhere = !self.areas.is_subset(&before.areas);
        has_doubled || is_elsewhere || since >= group_window
    }

    /// Returns whether all racks that a member concerns are critical here.
    pub(super) fn covers(&self, member: &Member) -> bool {
        match &member.missing {
            Some(missing) if !missing.racks.is_empty() => missing.racks.is_subset(&self.critical),
            _ => self.critical.contains(member.place()),
        }
    }

    /// Returns whether anything here was not in the notification of `before`.
    pub(super) fn exceeds(&self, before: &Self) -> bool {
        !self.critical.is_subset(&before.critical) || !self.blind.is_subset(&before.blind)
    }
}
