//! A site on its first day: what is warm from the first reading on is how it is meant to be, more often
//! than not.
//!
//! Where more than three in ten sensors of a role begin beyond the same limit, the limit is wrong for this
//! room: that is said once, and who begins beyond it is worth an info rather than a warning. Critical
//! limits hold, and whoever leaves its limits later speaks as ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertKind, AlertRecord, AlertState, Severity};
use crate::device::Role;

/// More than this part of a role's devices.
const PART: f64 = 0.3;
/// Of fewer devices nothing is concluded.
const LEAST: u32 = 10;
/// In so long from the first device of the role, in milliseconds of what counts as listening.
const FIRST_HOUR: u64 = 3_600_000;

/// Many devices of a role begin beyond one limit: the limits do not fit the room.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What they measure.
    pub role: Role,
    /// Which limit: `high_temp` or `low_temp`.
    pub kind: AlertKind,
    /// The limit, in °C.
    pub limit: f64,
    /// So many began beyond it.
    pub beyond: u32,
    /// Of so many.
    pub known: u32,
}

/// What is known of each role's first hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Newcomers(BTreeMap<Role, First>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct First {
    /// Counted again when devices are restored.
    #[serde(skip)]
    known: u32,
    /// When the first one was judged.
    since: Option<u64>,
    /// How many began too hot, and too cold; and of which that was said.
    beyond: [u32; 2],
    said: [bool; 2],
}

impl Newcomers {
    /// Nothing was noticed, and nobody has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|first| first.since.is_none())
    }

    /// A device's role is known, or another than it was.
    pub(super) fn count(&mut self, before: Option<Role>, now: Option<Role>) {
        if let Some(first) = before.and_then(|role| self.0.get_mut(&role)) {
            first.known = first.known.saturating_sub(1);
        }
        if let Some(role) = now {
            self.0.entry(role).or_default().known += 1;
        }
    }

    /// Takes over what was saved, but for what is counted.
    pub(super) fn restore(&mut self, saved: Self) {
        for (role, saved) in saved.0 {
            let first = self.0.entry(role).or_default();
            let known = first.known;
            *first = First { known, ..saved };
        }
    }

    /// A device was judged for the first time, and this was said: what is too much of it becomes an info.
    pub(super) fn first_reading(
        &mut self,
        role: Role,
        count: u64,
        said: &mut [AlertRecord],
    ) -> Option<Notice> {
        let first = self.0.get_mut(&role)?;
        let since = *first.since.get_or_insert(count);
        if count.saturating_sub(since) >= FIRST_HOUR {
            return None;
        }
        let mut notice = None;
        for record in said {
            let which = match record.kind {
                AlertKind::HighTemp => 0,
                AlertKind::LowTemp => 1,
                _ => continue,
            };
            if (record.state, record.severity) != (AlertState::Firing, Severity::Warning) {
                continue;
            }
            first.beyond[which] += 1;
            let (beyond, known) = (first.beyond[which], first.known);
            if !first.said[which] && known >= LEAST && f64::from(beyond) > PART * f64::from(known) {
                first.said[which] = true;
                notice = Some(Notice {
                    role,
                    kind: record.kind,
                    limit: record.threshold,
                    beyond,
                    known,
                });
            }
            if first.said[which] {
                record.severity = Severity::Info;
            }
        }
        notice
    }
}
