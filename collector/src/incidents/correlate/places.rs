//! Locations of alerts: from the site, and from the descriptions that agents write. An agent or a target that sends no
//! data is where its sensors are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::incident::{AlertPlace, Missing};
use rackwatch_core::keys;
use rackwatch_core::site::Site;
use rackwatch_core::subject::Subject;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::RedisResult;

use crate::incidents::site::SiteReader;

/// Devices in one HMGET, so that Redis is busy for less than a millisecond.
const DEVICES_PER_READ: usize = 500;

/// Returns the sensors of each agent and target in `silent`.
async fn missing(
    connection: &mut Connection,
    site: &Site,
    silent: &BTreeSet<&Subject>,
) -> RedisResult<BTreeMap<Subject, Missing>> {
    let mut missing: BTreeMap<Subject, Missing> = BTreeMap::new();
    for (id, json) in scan_hash(connection, keys::DEVICES).await? {
        let (Ok(id), Ok(mut known)) = (DeviceId::new(&id), Description::from_json(&json)) else {
            continue;
        };
        let spot = site.spot(&id, Some(&known));
        site.place(&id, &mut known);
        let named = [
            (known.agent.as_str(), Subject::agent as fn(&str) -> Subject),
            (known.target.as_str(), Subject::target),
        ];
        for (name, subject) in named {
            let subject = (!name.is_empty()).then(|| subject(name));
            if let Some(subject) = subject.filter(|subject| silent.contains(subject)) {
                missing.entry(subject).or_default().add(&spot, known.role);
            }
        }
    }
    Ok(missing)
}

/// Looks up the locations of devices.
#[derive(Debug, Default)]
pub(super) struct Places {
    site: SiteReader,
}

impl Places {
    /// Returns the place of each record, in order.
    pub(super) async fn of(
        &mut self,
        connection: &mut Connection,
        records: &[AlertRecord],
    ) -> RedisResult<Vec<AlertPlace>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.site.refresh(connection).await?;
        let site = self.site.site();
        let devices: BTreeSet<&DeviceId> = records
            .iter()
            .map(|record| record.subject.as_id())
            .collect();
        let devices: Vec<DeviceId> = devices.into_iter().cloned().collect();
        let known = Self::described(connection, &devices).await?;
        let is_group = |record: &AlertRecord| {
            record.kind() == AlertKind::NoData
                && record.subject.sensor().is_none()
                && record.state() == AlertState::Firing
        };
        let silent = records.iter().filter(|record| is_group(record));
        let silent: BTreeSet<&Subject> = silent.map(|record| &record.subject).collect();
        let mut missing = if silent.is_empty() {
            BTreeMap::new()
        } else {
            missing(connection, site, &silent).await?
        };
        let place = |record: &AlertRecord| AlertPlace {
            spot: site.spot_of(record, known.get(record.subject.as_id())),
            missing: missing.remove(&record.subject),
        };
        Ok(records.iter().map(place).collect())
    }

    /// Returns the descriptions of these sensors.
    pub(super) async fn described(
        connection: &mut Connection,
        sensors: &[DeviceId],
    ) -> RedisResult<HashMap<DeviceId, Description>> {
        let mut known = HashMap::new();
        for chunk in sensors.chunks(DEVICES_PER_READ) {
            let mut ask = redis::cmd("HMGET");
            ask.arg(keys::DEVICES);
            for device in chunk {
                ask.arg(device.as_str());
            }
            let answers: Vec<Option<Vec<u8>>> = ask.query_async(connection).await?;
            for (device, json) in chunk.iter().zip(answers) {
                let description = json.and_then(|json| Description::from_json(&json).ok());
                known.extend(description.map(|description| (device.clone(), description)));
            }
        }
        Ok(known)
    }
}
