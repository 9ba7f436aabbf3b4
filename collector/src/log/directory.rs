//! What is known of devices: `rackwatch:devices`, asked for when it matters.
//!
//! A device that has not been seen before is looked up before its first reading is judged. Changes
//! are found by the revision that every writer counts up; the whole hash is then scanned, a
//! thousand at a time, at most every half minute.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::Entry;

/// A description, or that there is none (any more).
pub(super) type Known = (DeviceId, Option<Box<Description>>);

/// Devices asked for in one HMGET.
const ASKED_AT_ONCE: usize = 500;
/// A scan of 100,000 devices is 100 calls: not more often than this.
const SCAN_EVERY: Duration = Duration::from_secs(30);

/// Remembers whom it has asked about.
#[derive(Debug, Default)]
pub(super) struct Directory {
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
                let description = json.and_then(|json| read(device, &json));
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
                news.push((device, description));
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        for device in gone {
            self.asked.insert(device.clone(), false);
            news.push((device, None));
        }
        Ok(news)
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
