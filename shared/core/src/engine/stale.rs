//! Ends of episodes that no reading ends: by hand, of a forgotten device, or after too long without data.
//!
//! What is unknown is not resolved: an episode whose device sends no data stays open. Only a person, or
//! `alerts.stale_after`, ends it without good data.

use std::time::Duration;

use super::device::{Device, Devices};
use super::effects::Effects;
use crate::alert::{AlertId, EndedBy};
use crate::detect::AlertKind;
use crate::device::DeviceId;
use crate::time::Timestamp;

/// The interval of looks at all devices, in milliseconds of listening.
const LOOK_EVERY_MS: u64 = 60_000;

/// The least number of a device's intervals without data, however short `alerts.stale_after` is.
const INTERVALS: u64 = 3;

/// The devices that have sent no data for long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stale {
    looked: u64,
}

impl Stale {
    /// Ends episodes of devices that have sent no data for `after`, at `now` of listening. Returns the devices
    /// without a description among them, in order: no agent claims them, so they are to be forgotten.
    pub(super) fn end(
        &mut self,
        devices: &mut Devices,
        (now, after): (u64, Duration),
        effects: &mut Effects,
    ) -> Vec<DeviceId> {
        if now.saturating_sub(self.looked) < LOOK_EVERY_MS {
            return Vec::new();
        }
        self.looked = now;
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        for device in devices.values_mut().filter(|device| device.heard == 0) {
            // Known by a stored episode alone: from now on its absence counts.
            device.heard = now;
        }
        // Between two readings of a slow device nothing is missing.
        let is_stale = |device: &Device| {
            let after = after.max(device.rhythm().saturating_mul(INTERVALS));
            device.heard > 0 && now.saturating_sub(device.heard) >= after
        };
        let stale = devices.iter().filter(|(_, device)| is_stale(device));
        let mut stale: Vec<_> = stale.map(|(id, _)| id.clone()).collect();
        // The map's order must not show in the records.
        stale.sort_unstable();
        for id in &stale {
            let Some(device) = devices.get_mut(id) else {
                continue;
            };
            // That a described device sends no data stays true.
            let is_described = device.description().is_some();
            device.end_episodes(
                id,
                EndedBy::Stale,
                |rule, _| !(is_described && rule.kind == AlertKind::NoData),
                effects,
            );
            device.end_carried(EndedBy::Stale, |_| true, effects);
            device.end_clock_alert(id, EndedBy::Stale, |_| true, effects);
        }
        stale.retain(|id| {
            let device = devices.get(id);
            device.is_some_and(|device| device.description().is_none())
        });
        stale
    }
}

/// Ends the episode of a device that a person resolved. Returns whether it was one of the device's own.
pub(super) fn resolve(
    devices: &mut Devices,
    id: &DeviceId,
    alert: &AlertId,
    effects: &mut Effects,
) -> bool {
    let Some(device) = devices.get_mut(id) else {
        return false;
    };
    let before = effects.alerts.len();
    let subject = id.clone().into();
    let is_meant = |rule: &str, started: Timestamp| AlertId::of(&subject, rule, started) == *alert;
    device.end_episodes(
        id,
        EndedBy::Operator,
        |rule, open| is_meant(&rule.name, open.started),
        effects,
    );
    device.end_carried(EndedBy::Operator, |episode| episode.id == *alert, effects);
    device.end_clock_alert(id, EndedBy::Operator, |known| known == alert, effects);
    effects.alerts.len() > before
}
