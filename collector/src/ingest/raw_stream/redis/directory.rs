//! Descriptions of devices, read from `rackwatch:devices` when a batch needs them.
//!
//! In: the entries of a batch. Out: descriptions that are new or changed. A new device is looked up
//! before its first reading is evaluated. Every writer of a description increments a revision; when
//! that changes, the whole hash is scanned page by page: within a second on small sites, and at most every half minute
//! on large ones, so that scans take a hundredth of the time.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::keys;
use rackwatch_runtime::redis::{Connection, HashPages};
use redis::RedisResult;

use super::super::{DescriptionUpdate, Entry};
use super::refused_descriptions::RefusedDescriptions;
use crate::incidents::site::SiteReader;

/// Devices in one HMGET, so that none stalls Redis.
const LOOKUP_SIZE: usize = 500;
/// Shortest time between scans.
const MIN_SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// Time between scans after which one is due, however long it takes: one of 100,000 devices takes 100 calls.
const MAX_SCAN_INTERVAL: Duration = Duration::from_secs(30);
/// Time between scans, as a multiple of the time that one takes.
const SCAN_SHARE: u32 = 100;

/// Returns the pause after a scan that took `took`.
fn scan_interval(took: Duration) -> Duration {
    (took * SCAN_SHARE).clamp(MIN_SCAN_INTERVAL, MAX_SCAN_INTERVAL)
}

/// Devices that were looked up, and how they were described.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Placement of devices by the operator.
    site: SiteReader,
    /// Devices of plain clients: only the site describes them.
    plain: HashSet<DeviceId>,
    /// Described devices of the restored state, and whether plain clients write them, until the next scan.
    restored: Vec<(DeviceId, bool)>,
    /// Devices that were looked up, and whether they have a description.
    looked_up: HashMap<DeviceId, bool>,
    /// Those of them without one.
    waiting: HashSet<DeviceId>,
    /// Revision at which devices without a description were last looked up.
    lookup_revision: u64,
    /// Revision at which the hash was last scanned.
    scan_revision: u64,
    /// End of that scan, and the time to the next one.
    last_scan: Option<(Instant, Duration)>,
    /// Descriptions that this version does not understand.
    refused: RefusedDescriptions,
}

impl Directory {
    /// Returns whether no device is known yet.
    pub(super) fn is_empty(&self) -> bool {
        self.looked_up.is_empty() && self.restored.is_empty()
    }

    /// Returns the devices that were looked up and have no description.
    pub(super) fn waiting(&self) -> &HashSet<DeviceId> {
        &self.waiting
    }

    /// Notes whether a device that was looked up has a description.
    fn mark(&mut self, device: &DeviceId, is_described: bool) {
        if is_described {
            self.waiting.remove(device);
        } else {
            self.waiting.insert(device.clone());
        }
        self.looked_up.insert(device.clone(), is_described);
    }

    /// Takes over devices that the next scan is to look at, though no reading of them has arrived.
    pub(super) fn restore(&mut self, devices: Vec<(DeviceId, bool)>) {
        self.restored = devices;
    }

    /// Forgets devices whose readings are refused.
    pub(super) fn forget(&mut self, devices: &HashSet<DeviceId>) {
        for device in devices {
            self.looked_up.remove(device);
            self.waiting.remove(device);
            self.plain.remove(device);
        }
    }

    /// Forgets all devices that were looked up. What was logged stays known.
    pub(super) fn reset(&mut self) {
        *self = Self {
            restored: std::mem::take(&mut self.restored),
            refused: std::mem::take(&mut self.refused),
            ..Self::default()
        };
    }

    /// Returns the updates to apply before `entries` are evaluated.
    pub(super) async fn updates(
        &mut self,
        connection: &mut Connection,
        entries: &[Entry],
    ) -> RedisResult<Vec<DescriptionUpdate>> {
        if self.looked_up.is_empty() {
            self.site.refresh(connection).await?;
        }
        let plain = entries.iter().filter(|entry| entry.decoded.agent.is_none());
        for reading in plain.flat_map(|entry| &entry.decoded.readings) {
            if !self.looked_up.contains_key(&reading.device) {
                self.plain.insert(reading.device.clone());
            }
        }
        let readings = entries.iter().flat_map(|entry| &entry.decoded.readings);
        let new: HashSet<_> = readings
            .map(|r| &r.device)
            .filter(|d| !self.looked_up.contains_key(*d))
            .collect();
        let new: Vec<_> = new.into_iter().cloned().collect();
        let mut updates = self.look_up(connection, &new).await?;
        let revision: Option<u64> = redis::cmd("GET")
            .arg(keys::DEVICES_REVISION)
            .query_async(connection)
            .await?;
        let revision = revision.unwrap_or(0);
        if revision != self.lookup_revision {
            self.site.refresh(connection).await?;
            let waiting: Vec<_> = self.waiting.iter().cloned().collect();
            updates.extend(self.look_up(connection, &waiting).await?);
            self.lookup_revision = revision;
        }
        let may_scan = self
            .last_scan
            .is_none_or(|(ended, pause)| ended.elapsed() >= pause);
        if revision != self.scan_revision && may_scan {
            let started = Instant::now();
            updates.extend(self.scan(connection).await?);
            self.last_scan = Some((Instant::now(), scan_interval(started.elapsed())));
            self.scan_revision = revision;
        }
        self.refused.log_if_due(Instant::now());
        Ok(updates)
    }

    async fn look_up(
        &mut self,
        connection: &mut Connection,
        devices: &[DeviceId],
    ) -> RedisResult<Vec<DescriptionUpdate>> {
        let mut updates = Vec::new();
        for some in devices.chunks(LOOKUP_SIZE) {
            let mut command = redis::cmd("HMGET");
            command.arg(keys::DEVICES);
            for device in some {
                command.arg(device.as_str());
            }
            let answers: Vec<Option<Vec<u8>>> = command.query_async(connection).await?;
            for (device, json) in some.iter().zip(answers) {
                let described = json.and_then(|json| self.refused.parse(device, &json));
                let description = self.placed(device, described);
                self.mark(device, description.is_some());
                if description.is_some() {
                    updates.push((device.clone(), description));
                }
            }
        }
        Ok(updates)
    }

    /// Reads the descriptions of all devices that were looked up or restored, and of those that lost theirs.
    async fn scan(&mut self, connection: &mut Connection) -> RedisResult<Vec<DescriptionUpdate>> {
        for (device, is_plain) in std::mem::take(&mut self.restored) {
            if is_plain {
                self.plain.insert(device.clone());
            }
            self.looked_up.entry(device).or_insert(true);
        }
        let mut updates = Vec::new();
        let mut gone: HashSet<_> = self
            .looked_up
            .iter()
            .filter(|(_, described)| **described)
            .map(|(d, _)| d.clone())
            .collect();
        let mut pages = HashPages::new(keys::DEVICES);
        while let Some(page) = pages.next(connection).await? {
            for (id, json) in page {
                let Ok(device) = DeviceId::new(&id) else {
                    continue;
                };
                gone.remove(&device);
                // Devices without readings take no memory here.
                if !self.looked_up.contains_key(&device) {
                    continue;
                }
                let description = self.refused.parse(&device, &json);
                self.mark(&device, description.is_some());
                updates.push((device.clone(), self.placed(&device, description)));
            }
        }
        for device in gone {
            let placed = self.placed(&device, None);
            self.mark(&device, placed.is_some());
            updates.push((device, placed));
        }
        Ok(updates)
    }

    /// Applies the site to a description. A device that its agent has not described yet stays without
    /// one, whatever the site says; a device of a plain client has only the site to describe it.
    fn placed(
        &self,
        device: &DeviceId,
        described: Option<Box<Description>>,
    ) -> Option<Box<Description>> {
        match described {
            Some(mut description) => {
                self.site.site().place(device, &mut description);
                Some(description)
            }
            None if self.plain.contains(device) => {
                let mut description = Description {
                    role: Role::Inlet,
                    rack: device.rack_part().map(str::to_owned),
                    ..Description::default()
                };
                let is_placed = self.site.site().place(device, &mut description);
                is_placed.then(|| Box::new(description))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sites_are_scanned_soon_and_large_ones_seldom() {
        for (took_ms, seconds) in [(0, 1), (5, 1), (50, 5), (300, 30), (5_000, 30)] {
            let interval = scan_interval(Duration::from_millis(took_ms));
            assert_eq!(interval.as_secs(), seconds, "{took_ms} ms");
        }
    }
}
