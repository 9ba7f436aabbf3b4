//! Clocks that are wrong: readings are evaluated and stored at the time at which they were taken.

use std::time::Duration;

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::{DEADLINE, alerts_of, connect, plain_series, running, wait_all_done, xadd};

const HOUR: i64 = 3_600_000;
const DEVICE: &str = "inlet-R7-1";

fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}

/// Appends an entry of agent `host7` whose clock is `ahead` milliseconds ahead; the first of a run measures it.
fn from_agent(redis: &mut Connection, run: &str, n: u64, ahead: i64, degrees: &str) -> u64 {
    let sent = now().saturating_add_signed(ahead).to_string();
    let (seq, skew) = (format!("{run}-{n}"), (ahead + 120).to_string());
    let mut fields = vec![
        ("device_id", DEVICE),
        ("temperature", degrees),
        ("timestamp", &sent),
        ("agent", "host7"),
        ("seq", &seq),
    ];
    if n == 1 {
        fields.push(("skew", &skew));
    }
    xadd(redis, &fields);
    sent.parse().unwrap()
}

fn describe(redis: &mut Connection) {
    let described = r#"{"v":1,"agent":"host7","role":"inlet","rack":"R7","interval_ms":200}"#;
    let _: () = redis.hset("rackwatch:devices", DEVICE, described).unwrap();
}

/// Returns whether each `high_temp` record was news when it was written.
fn high_temperatures(redis: &mut Connection) -> Vec<bool> {
    let entries: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let of_heat = entries
        .ids
        .iter()
        .filter(|entry| entry.get::<String>("type").as_deref() == Some("high_temp"));
    of_heat
        .map(|entry| entry.get::<String>("historical").is_none())
        .collect()
}

fn assert_evaluated_at_corrected_time(redis: &mut Connection, ahead: i64) {
    let mut sent = Vec::new();
    wait_until_sync(DEADLINE, "heat is an alert", || {
        let n = sent.len() as u64 + 1;
        sent.push(from_agent(redis, "r1", n, ahead, "45.0"));
        (!high_temperatures(redis).is_empty()).then_some(())
    })
    .unwrap();
    assert_eq!(high_temperatures(redis), [true], "it is news");
    wait_all_done(redis);
    let dead: u64 = redis.xlen("raw_sensor_data:dead").unwrap();
    assert_eq!(dead, 0, "no reading is a dead letter");
    let stored = plain_series(redis, DEVICE);
    let corrected: Vec<_> = sent
        .iter()
        .map(|at| at.saturating_add_signed(-ahead))
        .collect();
    let at: Vec<_> = stored.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, corrected);
    let skewed = alerts_of(redis, "clock_skew");
    assert_eq!(skewed.len(), 1, "reported once: {skewed:?}");
    assert_eq!(skewed[0].1, "firing");
}

#[test]
fn an_agent_whose_clock_is_an_hour_ahead_is_evaluated_and_stored_at_corrected_time() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis);
    let _collector = running(&server.url());
    assert_evaluated_at_corrected_time(redis, HOUR);
}

#[test]
fn an_agent_whose_clock_is_an_hour_behind_is_evaluated_and_stored_at_corrected_time() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis);
    let _collector = running(&server.url());
    assert_evaluated_at_corrected_time(redis, -HOUR);
}

/// The run has measured its clock before the restart, and does not say so again.
#[test]
fn the_offset_of_a_clock_outlives_the_collector() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis);
    let mut collector = running(&server.url());
    let first = from_agent(redis, "r1", 1, HOUR, "22.0");
    wait_all_done_of(redis, 1);
    collector.kill().unwrap();
    let _next = running(&server.url());
    let second = from_agent(redis, "r1", 2, HOUR, "22.0");
    wait_all_done_of(redis, 2);
    let at: Vec<_> = plain_series(redis, DEVICE)
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let corrected = [first, second].map(|at| at.saturating_add_signed(-HOUR));
    assert_eq!(at, corrected);
}

/// Waits until `entries` entries were sent, read and acknowledged.
fn wait_all_done_of(redis: &mut Connection, entries: u64) {
    let sent: u64 = redis.xlen("raw_sensor_data").unwrap();
    assert_eq!(sent, entries);
    wait_all_done(redis);
}

#[test]
fn a_plain_client_from_the_future_is_corrected_from_its_second_reading_on() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _collector = running(&server.url());
    let mut sent = 0u64;
    wait_until_sync(DEADLINE, "heat is an alert", || {
        sent += 1;
        crate::rig::send(redis, DEVICE, now().saturating_add_signed(HOUR), "45.0");
        (!high_temperatures(redis).is_empty()).then_some(())
    })
    .unwrap();
    wait_all_done(redis);
    assert_eq!(high_temperatures(redis), [true], "it is news");
    let dead: u64 = redis.xlen("raw_sensor_data:dead").unwrap();
    assert_eq!(dead, 1, "the first could have been garbled");
    let stored = plain_series(redis, DEVICE);
    assert_eq!(stored.len() as u64, sent - 1);
    let limit = now() + u64::try_from(Duration::from_secs(5).as_millis()).unwrap();
    assert!(stored.iter().all(|(at, _)| *at < limit), "{stored:?}");
    let skewed = alerts_of(redis, "clock_skew");
    assert_eq!(skewed.len(), 1, "reported once: {skewed:?}");
}

/// The clock is wrong, and the readings are corrected.
#[test]
fn an_agent_with_a_corrected_clock_is_not_called_refused() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let described = r#"{"v":1,"agent":"skewp","role":"inlet","rack":"R7"}"#;
    let _: () = redis
        .hset("rackwatch:devices", "inlet-R7-1", described)
        .unwrap();
    let _collector = running(&server.url());
    for n in 1..5u64 {
        let at = now() + 3_600_000 + n;
        let (at, seq) = (at.to_string(), format!("a-{n}"));
        let mut fields = vec![
            ("device_id", "inlet-R7-1"),
            ("temperature", "22.0"),
            ("timestamp", &at),
            ("agent", "skewp"),
            ("seq", &seq),
        ];
        if n == 1 {
            fields.push(("skew", "3600000"));
        }
        xadd(redis, &fields);
    }
    wait_all_done(redis);
    let mut status = crate::rig::collector(&["status", "--redis", &server.url()]);
    let exit = status.wait_exit(DEADLINE).unwrap();
    assert_eq!(exit.code(), Some(0), "{}", status.stdout());
}
