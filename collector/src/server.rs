//! What is asked of Redis before all else: its clock and its memory.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, Remedy, remedy};
use redis::{FromRedisValue, RedisResult, Value};
use serde::Serialize;

/// What this computer's clock says.
pub(crate) fn local_now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::default().plus(since)
}

/// What Redis' clock says, which is that of entry ids; this computer's where Redis does not tell.
pub(crate) async fn now(connection: &mut Connection) -> RedisResult<Timestamp> {
    let told: Option<(u64, u32)> =
        unless_refused(redis::cmd("TIME").query_async(connection).await)?;
    Ok(told.map_or_else(local_now, |(seconds, micros)| {
        let since = Duration::from_secs(seconds) + Duration::from_micros(micros.into());
        Timestamp::default().plus(since)
    }))
}

/// None where Redis refuses to answer or does not know the question; an error where it is not
/// there to be asked.
pub(crate) fn unless_refused<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if remedy(&error) == Remedy::Fatal => Ok(None),
        Err(error) => Err(error),
    }
}

/// A field of a reply that is a map, where it is there and of that kind.
pub(crate) fn field<T: FromRedisValue>(map: &BTreeMap<String, Value>, name: &str) -> Option<T> {
    redis::from_redis_value_ref(map.get(name)?).ok()
}

/// What Redis says of itself; none of it where it does not tell.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Health {
    /// Its version; on a cluster that of the first master.
    pub(crate) version: Option<String>,
    /// The memory it uses, in bytes.
    pub(crate) used_memory: Option<u64>,
    /// The most it may use, in bytes; 0 where nothing is set.
    pub(crate) maxmemory: Option<u64>,
}

impl Health {
    /// Asks with INFO.
    pub(crate) async fn ask(connection: &mut Connection) -> RedisResult<Self> {
        let mut all = Self::default();
        for mut master in connection.masters() {
            let info: Option<String> =
                unless_refused(redis::cmd("INFO").query_async(&mut master).await)?;
            all.add(Self::read(&info.unwrap_or_default()));
        }
        Ok(all)
    }

    /// Several servers are together what one would be; without a limit if one of them has none.
    fn add(&mut self, other: Self) {
        let first = self.version.is_none();
        self.version = self.version.take().or(other.version);
        let sum = |all: Option<u64>, one: Option<u64>| Some(all.unwrap_or(0) + one?);
        self.used_memory = sum(self.used_memory, other.used_memory);
        let unlimited = !first && self.maxmemory == Some(0) || other.maxmemory == Some(0);
        self.maxmemory = if unlimited {
            Some(0)
        } else {
            sum(self.maxmemory, other.maxmemory)
        };
    }

    fn read(info: &str) -> Self {
        let find = |name: &str| {
            info.lines().find_map(|line| {
                let (key, value) = line.trim_end().split_once(':')?;
                (key == name).then(|| value.to_owned())
            })
        };
        let number = |name| find(name).and_then(|text| text.parse().ok());
        Self {
            // Valkey says 7.2.4 as redis_version, for the sake of old clients.
            version: find("valkey_version")
                .map(|version| format!("Valkey {version}"))
                .or_else(|| find("redis_version")),
            used_memory: number("used_memory"),
            maxmemory: number("maxmemory"),
        }
    }

    /// The part of maxmemory that `bytes` are, where there is a maxmemory.
    pub(crate) fn share(&self, bytes: u64) -> Option<f64> {
        let limit = self.maxmemory.filter(|limit| *limit > 0)?;
        Some(bytes as f64 / limit as f64)
    }

    /// The limit in words.
    pub(crate) fn limit(&self) -> String {
        match self.maxmemory {
            None => "unknown maxmemory".to_owned(),
            Some(0) => "no maxmemory".to_owned(),
            Some(limit) => format!("maxmemory {}", size(limit)),
        }
    }
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
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
    fn sizes_are_short() {
        assert_eq!(size(12), "12 B");
        assert_eq!(size(1_630_000), "1.6 MB");
        assert_eq!(size(163_000_000_000), "163 GB");
        assert_eq!(size(5_000_000_000_000), "5.0 TB");
    }

    #[test]
    fn info_may_lack_anything() {
        let health = Health::read("redis_version:7.0.15\r\nused_memory:500\r\nmaxmemory:1000\r\n");
        assert_eq!(health.version.as_deref(), Some("7.0.15"));
        assert_eq!(health.share(700), Some(0.7));
        assert_eq!(Health::read("").share(700), None);
        assert_eq!(Health::read("maxmemory:0").limit(), "no maxmemory");
    }
}
