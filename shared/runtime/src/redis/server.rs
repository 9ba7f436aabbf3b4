//! The server itself: its clock, version and memory.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::time::Timestamp;
use redis::{FromRedisValue, RedisResult, Value};
use serde::Serialize;

use super::{Connection, Remedy, remedy};
use crate::clock;

/// Returns the time by Redis' clock, which stamps entry ids; this host's if Redis refuses the command.
///
/// # Errors
///
/// When Redis cannot be reached.
pub async fn server_time(connection: &mut Connection) -> RedisResult<Timestamp> {
    let time: Option<(u64, u32)> =
        unless_refused(redis::cmd("TIME").query_async(connection).await)?;
    Ok(time.map_or_else(clock::now, |(seconds, micros)| {
        let since = Duration::from_secs(seconds) + Duration::from_micros(micros.into());
        Timestamp::default().plus(since)
    }))
}

/// Turns a refusal into `None`: the user lacks the right, or the server the command.
///
/// # Errors
///
/// Every other error.
pub fn unless_refused<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if remedy(&error) == Remedy::Fatal => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a field of a map reply; none if it is missing or of another type.
pub fn reply_field<T: FromRedisValue>(map: &BTreeMap<String, Value>, name: &str) -> Option<T> {
    redis::from_redis_value_ref(map.get(name)?).ok()
}

/// Version and memory of the server; a field is empty if Redis refuses to report it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerInfo {
    /// Version; on a cluster that of the first master.
    pub version: Option<String>,
    /// Memory in use, in bytes.
    pub used_memory: Option<u64>,
    /// Memory limit, in bytes; 0 means none.
    pub maxmemory: Option<u64>,
    /// Eviction policy, if the memory is limited and Redis drops keys at the limit.
    pub eviction: Option<String>,
}

impl ServerInfo {
    /// Reads INFO; on a cluster from every master.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached.
    pub async fn read(connection: &mut Connection) -> RedisResult<Self> {
        let mut all = Self::default();
        for mut master in connection.masters() {
            let info: Option<String> =
                unless_refused(redis::cmd("INFO").query_async(&mut master).await)?;
            all.add(Self::parse(&info.unwrap_or_default()));
        }
        Ok(all)
    }

    /// Adds the memory of another master; the sum has no limit if one of them has none.
    fn add(&mut self, other: Self) {
        let first = self.version.is_none();
        self.version = self.version.take().or(other.version);
        let sum = |all: Option<u64>, one: Option<u64>| Some(all.unwrap_or(0) + one?);
        self.eviction = self.eviction.take().or(other.eviction);
        self.used_memory = sum(self.used_memory, other.used_memory);
        let unlimited = !first && self.maxmemory == Some(0) || other.maxmemory == Some(0);
        self.maxmemory = if unlimited {
            Some(0)
        } else {
            sum(self.maxmemory, other.maxmemory)
        };
    }

    fn parse(info: &str) -> Self {
        let find = |name: &str| {
            info.lines().find_map(|line| {
                let (key, value) = line.trim_end().split_once(':')?;
                (key == name).then(|| value.to_owned())
            })
        };
        let number = |name| find(name).and_then(|text| text.parse().ok());
        Self {
            // Valkey reports 7.2.4 as redis_version for the sake of old clients.
            version: find("valkey_version")
                .map(|version| format!("Valkey {version}"))
                .or_else(|| find("redis_version")),
            used_memory: number("used_memory"),
            maxmemory: number("maxmemory"),
            eviction: find("maxmemory_policy")
                .filter(|policy| policy != "noeviction")
                .filter(|_| number("maxmemory").is_some_and(|limit| limit > 0)),
        }
    }

    /// Returns a warning if Redis may drop keys of ours.
    pub fn eviction_warning(&self) -> Option<String> {
        let policy = self.eviction.as_deref()?;
        Some(format!(
            "Redis drops keys when memory runs out (maxmemory-policy {policy}), and with them readings and the \
             record of sent alerts: set it to noeviction"
        ))
    }

    /// Returns `bytes` as a fraction of the memory limit; none without a limit.
    pub fn fraction(&self, bytes: u64) -> Option<f64> {
        let limit = self.maxmemory.filter(|limit| *limit > 0)?;
        Some(bytes as f64 / limit as f64)
    }

    /// Returns the memory limit as text, such as `maxmemory 512 MB`.
    pub fn limit(&self) -> String {
        match self.maxmemory {
            None => "unknown maxmemory".to_owned(),
            Some(0) => "no maxmemory".to_owned(),
            Some(limit) => format!("maxmemory {}", format_bytes(limit)),
        }
    }
}

/// Formats a number of bytes, rounded and with a unit, such as `1.6 MB`.
pub fn format_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            let decimals = usize::from(unit != "B" && value < 100.0);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded() {
        assert_eq!(format_bytes(12), "12 B");
        assert_eq!(format_bytes(1_630_000), "1.6 MB");
        assert_eq!(format_bytes(163_000_000_000), "163 GB");
        assert_eq!(format_bytes(5_000_000_000_000), "5.0 TB");
    }

    #[test]
    fn missing_info_fields_are_none() {
        let info =
            ServerInfo::parse("redis_version:7.0.15\r\nused_memory:500\r\nmaxmemory:1000\r\n");
        assert_eq!(info.version.as_deref(), Some("7.0.15"));
        assert_eq!(info.fraction(700), Some(0.7));
        assert_eq!(ServerInfo::parse("").fraction(700), None);
        assert_eq!(ServerInfo::parse("maxmemory:0").limit(), "no maxmemory");
    }
}
