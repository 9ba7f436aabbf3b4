//! What is known of devices: `rackwatch:devices`, asked for when it matters.
//!
//! A device that has not been seen before is looked up before its first reading is judged. Changes
//! are found by the revision that every writer counts up; the whole hash is then scanned, a
//! thousand at a time, at most every half minute.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::keys;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::Entry;
use crate::incidents::site::SiteReader;

/// A description, or that there is none (any more).
pub(super) type Known = (DeviceId, Option<Box<Description>>);

/// Devices asked for in one HMGET.
const ASKED_AT_ONCE: usize = 500;
/// A scan of 100,000 devices is 100 calls: not more often than this.
const SCAN_EVERY: Duration = Duration::from_secs(30);

/// Remembers whom it has asked about.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Where the operator says that devices stand.
    site: SiteReader,
    /// Devices that plain clients write: nobody but the site describes them.
    plain: HashSet<DeviceId>,
    /// Devices that were asked for, and whether they are described.
    asked: HashMap<DeviceId, bool>,
    /// The revision at which those without a description were last asked for again.
    asked_at: u64,
    /// The revision at which all was last scanned.
    scanned_at: u64,
    scanned: Option<Instant>,
}

impl Directory {
    /// Whether anybody was asked about.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// What there is to say before these entries are judged.
    pub(super) async fn news(
        &mut self,
        connection: &mut Connection,
        entries: &[Entry],
    ) -> RedisResult<Vec<Known>> {
        if self.asked.is_empty() {
            self.site.refresh(connection).await?;
        }
        let plain = entries.iter().filter(|entry| entry.decoded.agent.is_none());
        for reading in plain.flat_map(|entry| &entry.decoded.readings) {
            if !self.asked.contains_key(&reading.device) {
                self.plain.insert(reading.device.clone());
            }
        }
        let readings = entries.iter().flat_map(|entry| &entry.decoded.readings);
        let unasked: HashSet<_> = readings
            .map(|r| &r.device)
            .filter(|d| !self.asked.contains_key(*d))
            .collect();
        let unasked: Vec<_> = unasked.into_iter().cloned().collect();
        let mut news = self.ask(connection, &unasked).await?;
        let revision: Option<u64> = redis::cmd("GET")
            .arg(keys::DEVICES_REVISION)
            .query_async(connection)
            .await?;
        let revision = revision.unwrap_or(0);
        if revision != self.asked_at {
            self.site.refresh(connection).await?;
            // Those without a description are the ones that wait for it.
            let waiting = self.asked.iter().filter(|(_, described)| !**described);
            let waiting: Vec<_> = waiting.map(|(device, _)| device.clone()).collect();
            news.extend(self.ask(connection, &waiting).await?);
            self.asked_at = revision;
        }
        let rested = self
            .scanned
            .is_none_or(|scanned| scanned.elapsed() >= SCAN_EVERY);
        if revision != self.scanned_at && rested {
            news.extend(self.scan(connection).await?);
            self.scanned = Some(Instant::now());
            self.scanned_at = revision;
        }
        Ok(news)
    }

    async fn ask(
        &mut self,
        connection: &mut Connection,
        devices: &[DeviceId],
    ) -> RedisResult<Vec<Known>> {
        let mut news = Vec::new();
        for some in devices.chunks(ASKED_AT_ONCE) {
            let mut command = redis::cmd("HMGET");
            command.arg(keys::DEVICES);
            for device in some {
                command.arg(device.as_str());
            }
            let answers: Vec<Option<Vec<u8>>> = command.query_async(connection).await?;
            for (device, json) in some.iter().zip(answers) {
                let described = json.and_then(|json| read(device, &json));
                let description = self.placed(device, described);
                self.asked.insert(device.clone(), description.is_some());
                if description.is_some() {
                    news.push((device.clone(), description));
                }
            }
        }
        Ok(news)
    }

    /// All that is described, and those that are described no more.
    async fn scan(&mut self, connection: &mut Connection) -> RedisResult<Vec<Known>> {
        let mut news = Vec::new();
        let mut gone: HashSet<_> = self
            .asked
            .iter()
            .filter(|(_, described)| **described)
            .map(|(d, _)| d.clone())
            .collect();
        let mut cursor = 0u64;
        loop {
            let (next, pairs): (u64, Vec<(String, Vec<u8>)>) = redis::cmd("HSCAN")
                .arg(keys::DEVICES)
                .arg(cursor)
                .arg("COUNT")
                .arg(1000)
                .query_async(connection)
                .await?;
            for (id, json) in pairs {
                let Ok(device) = DeviceId::new(&id) else {
                    continue;
                };
                gone.remove(&device);
                // Devices without readings take no memory here.
                let Some(described) = self.asked.get_mut(&device) else {
                    continue;
                };
                let description = read(&device, &json);
                *described = description.is_some();
                news.push((device.clone(), self.placed(&device, description)));
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        for device in gone {
            let placed = self.placed(&device, None);
            self.asked.insert(device.clone(), placed.is_some());
            news.push((device, placed));
        }
        Ok(news)
    }

    /// What is known of a device, with what the site says of it. What an agent has not described yet is not
    /// judged, whatever the site says; what plain clients write has nobody else to describe it.
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
                let said = self.site.site().place(device, &mut description);
                said.then(|| Box::new(description))
            }
            None => None,
        }
    }
}

/// A description that cannot be read is none; whoever wrote it is told by the log.
fn read(device: &DeviceId, json: &[u8]) -> Option<Box<Description>> {
    if json.len() > Description::MAX_JSON {
        tracing::warn!(%device, bytes = json.len(), "description is too long, ignored");
        return None;
    }
    match Description::from_json(json) {
        Ok(description) => Some(Box::new(description)),
        Err(error) => {
            tracing::warn!(%device, %error, "description cannot be read, ignored");
            None
        }
    }
}
