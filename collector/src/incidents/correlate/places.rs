//! Locations of alerts: from the site, and from the descriptions that agents write.

use std::collections::HashMap;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::site::Spot;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use crate::incidents::site::SiteReader;

/// Devices in one HMGET, so that Redis is busy for less than a millisecond.
const DEVICES_PER_READ: usize = 500;

/// Looks up the locations of devices.
#[derive(Debug, Default)]
pub(super) struct Places {
    site: SiteReader,
}

impl Places {
    /// Returns the location of each record, in order.
    pub(super) async fn spots(
        &mut self,
        connection: &mut Connection,
        records: &[AlertRecord],
    ) -> RedisResult<Vec<Spot>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.site.refresh(connection).await?;
        let site = self.site.site();
        let mut devices: Vec<&DeviceId> = records
            .iter()
            .map(|record| record.subject.as_id())
            .collect();
        devices.sort_unstable();
        devices.dedup();
        let mut known: HashMap<&DeviceId, Description> = HashMap::new();
        for chunk in devices.chunks(DEVICES_PER_READ) {
            let mut ask = redis::cmd("HMGET");
            ask.arg(keys::DEVICES);
            for device in chunk {
                ask.arg(device.as_str());
            }
            let answers: Vec<Option<Vec<u8>>> = ask.query_async(connection).await?;
            for (device, json) in chunk.iter().zip(answers) {
                let description = json.and_then(|json| Description::from_json(&json).ok());
                known.extend(description.map(|description| (*device, description)));
            }
        }
        let spot = |record: &AlertRecord| site.spot_of(record, known.get(record.subject.as_id()));
        Ok(records.iter().map(spot).collect())
    }
}
