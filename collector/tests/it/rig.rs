//! The fixture that tests share: a collector over a private server, and a client in another's shoes.

use std::time::Duration;

use rackwatch_testing::{Program, free_port, wait_until_sync};
use redis::{Commands, Connection};

/// Long enough for a loaded machine; nothing waits for it in vain unless it fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Starts `rackwatch-collector` with these arguments.
pub fn collector(args: &[&str]) -> Program {
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        args,
        // A short lease: after a kill the next collector takes over within a second.
        &[
            ("TZ", "UTC"),
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            // Many tests need episodes within seconds.
            ("RACKWATCH_ALERTS__FLAP", "0s"),
            ("RACKWATCH_INCIDENTS__RESOLVE_AFTER", "0s"),
            ("RACKWATCH_REDIS__RESPONSE_TIMEOUT", "2s"),
        ],
    )
    .unwrap()
}

/// Starts `rackwatch-collector run` against this Redis.
pub fn running(url: &str) -> Program {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    collector(&["run", "--redis", url, "--listen", &listen])
}

pub fn connect(url: &str) -> Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// Appends a reading as a client in another language would.
pub fn xadd(redis: &mut Connection, fields: &[(&str, &str)]) {
    let _id: String = redis.xadd("raw_sensor_data", "*", fields).unwrap();
}

pub fn send(redis: &mut Connection, device: &str, at: u64, temperature: &str) {
    let at = at.to_string();
    xadd(
        redis,
        &[
            ("device_id", device),
            ("temperature", temperature),
            ("timestamp", &at),
        ],
    );
}

/// Waits until every entry has been read and acknowledged.
pub fn wait_all_done(redis: &mut Connection) {
    wait_until_sync(DEADLINE, "every entry is acknowledged", || all_done(redis)).unwrap();
}

/// Returns `Some` if every entry has been read and acknowledged.
pub fn all_done(redis: &mut Connection) -> Option<()> {
    let last: redis::streams::StreamRangeReply =
        redis.xrevrange_count("raw_sensor_data", "+", "-", 1).ok()?;
    let groups: redis::streams::StreamInfoGroupsReply =
        redis.xinfo_groups("raw_sensor_data").ok()?;
    let group = groups
        .groups
        .iter()
        .find(|group| group.name == "anomaly_detector_group")?;
    let last = last.ids.first().map_or("0-0", |entry| entry.id.as_str());
    (group.pending == 0 && group.last_delivered_id == last).then_some(())
}

/// Returns (type, device, severity, state, threshold) of each alert record.
pub fn alerts(redis: &mut Connection) -> Vec<[String; 5]> {
    let entries: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let record = |entry: &redis::streams::StreamId| {
        ["type", "device_id", "severity", "state", "threshold"]
            .map(|name| entry.get::<String>(name).unwrap_or_default())
    };
    entries.ids.iter().map(record).collect()
}

/// Returns (severity, state, threshold) of each alert record of one kind.
pub fn alerts_of(redis: &mut Connection, kind: &str) -> Vec<(String, String, String)> {
    let all = alerts(redis).into_iter().filter(|[k, ..]| k == kind);
    all.map(|[_, _, severity, state, threshold]| (severity, state, threshold))
        .collect()
}

/// Returns (timestamp, value) of a device's readings on a Redis without TimeSeries.
pub fn plain_series(redis: &mut Connection, device: &str) -> Vec<(u64, f64)> {
    let key = format!("sensor:{device}:temp");
    let entries: redis::streams::StreamRangeReply = redis.xrange_all(key).unwrap();
    let point = |entry: &redis::streams::StreamId| {
        let (ms, _) = entry.id.split_once('-').unwrap();
        let value = entry.map.values().next().unwrap();
        (
            ms.parse().unwrap(),
            redis::from_redis_value_ref::<f64>(value).unwrap(),
        )
    };
    entries.ids.iter().map(point).collect()
}
