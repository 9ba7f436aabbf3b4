//! Devices of agents that once sent readings and that nothing describes: no rule looks at them, and no alert reports that they
//! vanished.

use std::collections::HashSet;
use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::name::printable;
use rackwatch_core::time::Timestamp;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use serde::Serialize;

use crate::notify::line::format_duration;

/// Devices to list.
const MAX_LISTED: usize = 3;
/// Devices whose descriptions are read at once.
const LOOKUP_SIZE: usize = 500;

/// A device that nothing describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UndescribedDevice {
    pub(crate) device: DeviceId,
    /// The agent that sent its readings.
    pub(crate) agent: String,
    /// The last arrival, in milliseconds since 1970 by Redis' clock.
    pub(crate) last_ms: u64,
}

/// The devices that nothing describes, of all partitions.
#[derive(Debug, Default, Serialize)]
pub(crate) struct UndescribedDevices {
    pub(crate) count: usize,
    /// The age of the last reading of any of them.
    pub(crate) newest_ms: Option<u64>,
    /// Those that sent last, at most [`MAX_LISTED`].
    pub(crate) listed: Vec<UndescribedDevice>,
}

/// Reads the devices whose readings arrived without a description, the newest first. Some may have one now.
pub(crate) async fn all(connection: &mut Connection) -> RedisResult<Vec<UndescribedDevice>> {
    let mut read = redis::cmd("ZREVRANGE");
    read.arg(keys::UNDESCRIBED).arg(0).arg(-1).arg("WITHSCORES");
    let members: Vec<(String, u64)> = read.query_async(connection).await?;
    let known = members.into_iter().filter_map(|(member, last_ms)| {
        let (device, agent) = member.split_once(' ')?;
        Some(UndescribedDevice {
            device: DeviceId::new(device).ok()?,
            agent: agent.to_owned(),
            last_ms,
        })
    });
    Ok(known.collect())
}

/// Returns the devices that sent within `stale_after` before `now`, and still have no valid description.
pub(super) async fn undescribed(
    connection: &mut Connection,
    (now, stale_after): (Timestamp, Duration),
) -> RedisResult<UndescribedDevices> {
    let since = now.minus(stale_after).millis();
    let mut all = all(connection).await?;
    all.retain(|one| one.last_ms >= since);
    let mut described = HashSet::new();
    for some in all.chunks(LOOKUP_SIZE) {
        let mut read = redis::cmd("HMGET");
        read.arg(keys::DEVICES);
        for one in some {
            read.arg(one.device.as_str());
        }
        let found: Vec<Option<Vec<u8>>> = read.query_async(connection).await?;
        for (one, json) in some.iter().zip(found) {
            if json.is_some_and(|json| Description::from_json(&json).is_ok()) {
                described.insert(one.device.clone());
            }
        }
    }
    all.retain(|one| !described.contains(&one.device));
    let count = all.len();
    let newest_ms = all
        .first()
        .map(|one| now.millis().saturating_sub(one.last_ms));
    all.truncate(MAX_LISTED);
    Ok(UndescribedDevices {
        count,
        newest_ms,
        listed: all,
    })
}

impl UndescribedDevices {
    /// Returns a line about them; none without any.
    pub(super) fn line(&self) -> Option<String> {
        let newest_ms = self.newest_ms?;
        let newest = self.listed.first().map_or(0, |one| one.last_ms);
        let listed = self.listed.iter().map(|one| {
            let age = Duration::from_millis(newest_ms + newest.saturating_sub(one.last_ms));
            format!(
                "{} of agent {} last sent {} ago",
                one.device,
                printable(&one.agent),
                format_duration(Duration::from_secs(age.as_secs()))
            )
        });
        let mut listed = listed.collect::<Vec<_>>().join(", ");
        let others = self.count.saturating_sub(self.listed.len());
        if others > 0 {
            listed = format!("{listed}, and {others} more");
        }
        Some(format!(
            "readings of {} without a description not evaluated, and their absence is no alert: {listed}; describe the \
             devices in rackwatch:devices, leave the field `agent` out of the entries, or forget devices that are gone \
             (`devices forget`)",
            count(self.count, "agents' device")
        ))
    }
}
