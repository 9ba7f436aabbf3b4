//! The commissioning check: limits that do not fit a site on its first day.
//!
//! A room that is warm from the first reading on is probably meant to be. Once more than three in ten sensors
//! of a role began beyond their limit, one notice says so, and further sensors that begin beyond it
//! are reported as info. Critical alerts, and sensors that cross a limit later, are not affected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertKind, Severity};
use crate::detect::Side;
use crate::device::Role;

/// The fraction of a role's devices that must begin beyond a limit for a notice.
const MIN_FRACTION: f64 = 0.3;
/// The number of devices that a role must have for a notice.
const MIN_DEVICES: u32 = 10;
/// The length of the check, in milliseconds of listening from a role's first reading on.
const FIRST_HOUR_MS: u64 = 3_600_000;

/// A limit that does not fit the room: many devices of a role begin beyond it.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The role of the devices.
    pub role: Role,
    /// The side of the limit: `high_temp` or `low_temp`.
    pub kind: AlertKind,
    /// The limit, in °C.
    pub limit: f64,
    /// The number of devices that began beyond it.
    pub beyond: u32,
    /// The number of devices of the role.
    pub known: u32,
}

/// The first hour of each role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Commissioning(BTreeMap<Role, FirstHour>);

/// The first hour of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct FirstHour {
    /// Devices of the role. They are counted again when devices are restored.
    #[serde(skip)]
    known: u32,
    /// The listening time of the first reading, in milliseconds.
    #[serde(rename = "since")]
    since: Option<u64>,
    /// Devices that began above and below their limits.
    #[serde(rename = "beyond")]
    beyond: [u32; 2],
    /// Whether there was a notice about the upper and the lower limit.
    #[serde(rename = "noticed")]
    noticed: [bool; 2],
}

/// The first reading of a device within its role's first hour.
#[derive(Debug)]
pub(super) struct FirstReading<'c> {
    role: Role,
    hour: &'c mut FirstHour,
    notice: Option<Notice>,
}

impl Commissioning {
    /// Returns whether nothing was evaluated yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|hour| hour.since.is_none())
    }

    /// Counts a device whose role became known or changed.
    pub(super) fn count(&mut self, before: Option<Role>, now: Option<Role>) {
        if let Some(hour) = before.and_then(|role| self.0.get_mut(&role)) {
            hour.known = hour.known.saturating_sub(1);
        }
        if let Some(role) = now {
            self.0.entry(role).or_default().known += 1;
        }
    }

    /// Takes over saved state, except for the counts of devices.
    pub(super) fn restore(&mut self, saved: Self) {
        for (role, saved) in saved.0 {
            let hour = self.0.entry(role).or_default();
            let known = hour.known;
            *hour = FirstHour { known, ..saved };
        }
    }

    /// Begins the check of a device's first reading, after `listened` milliseconds of listening. Returns
    /// `None` after the role's first hour.
    pub(super) fn first_reading(
        &mut self,
        role: Option<Role>,
        listened: u64,
    ) -> Option<FirstReading<'_>> {
        let role = role?;
        let hour = self.0.get_mut(&role)?;
        let since = *hour.since.get_or_insert(listened);
        (listened.saturating_sub(since) < FIRST_HOUR_MS).then_some(FirstReading {
            role,
            hour,
            notice: None,
        })
    }
}

impl FirstReading<'_> {
    /// Counts an alert that this reading fires, and returns the severity to report.
    pub(super) fn severity(
        &mut self,
        kind: AlertKind,
        threshold: f64,
        severity: Severity,
    ) -> Severity {
        let side = match kind.info().side {
            Some(Side::Above) => 0,
            Some(Side::Below) => 1,
            None => return severity,
        };
        if severity != Severity::Warning {
            return severity;
        }
        self.hour.beyond[side] += 1;
        let (beyond, known) = (self.hour.beyond[side], self.hour.known);
        let is_new = !self.hour.noticed[side];
        if is_new && known >= MIN_DEVICES && f64::from(beyond) > MIN_FRACTION * f64::from(known) {
            self.hour.noticed[side] = true;
            self.notice = Some(Notice {
                role: self.role,
                kind,
                limit: threshold,
                beyond,
                known,
            });
        }
        if self.hour.noticed[side] {
            Severity::Info
        } else {
            severity
        }
    }

    /// Returns the notice that this reading caused.
    pub(super) fn into_notice(self) -> Option<Notice> {
        self.notice
    }
}
