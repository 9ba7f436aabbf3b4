//! The whole pipeline, as a client in another language sees it.

use rackwatch_testing::{RedisServer, TimeSeriesServer, wait_until_sync};
use redis::Commands;

use crate::rig::{
    DEADLINE, alerts, alerts_of, connect, plain_series, running, send, wait_all_done, xadd,
};

/// 2026-11-23 13:02:11 UTC.
const START: u64 = 1_795_438_931_000;

fn text(record: (&str, &str, &str)) -> (String, String, String) {
    (
        record.0.to_owned(),
        record.1.to_owned(),
        record.2.to_owned(),
    )
}

#[test]
fn a_plain_client_gets_one_record_a_change_and_its_series() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut collector = running(&server.url());
    for (n, temperature) in ["22.0", "30.2", "30.4", "33.0", "24.0"].iter().enumerate() {
        send(redis, "inrow-ABC-1", START + n as u64 * 1000, temperature);
    }
    wait_until_sync(DEADLINE, "the episode is over", || {
        (alerts_of(redis, "high_temp").len() == 3).then_some(())
    })
    .unwrap();
    wait_all_done(redis);
    assert_eq!(
        alerts_of(redis, "high_temp"),
        [
            text(("warning", "firing", "28")),
            text(("critical", "firing", "32")),
            text(("critical", "resolved", "28")),
        ]
    );
    let series = plain_series(redis, "inrow-ABC-1");
    let values: Vec<_> = series.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [22.0, 30.2, 30.4, 33.0, 24.0]);
    assert_eq!(series[1].0, START + 1000);
    collector
        .wait_stdout_contains("RESOLVED high_temp", DEADLINE)
        .unwrap();
    let line =
        "2026-11-23 13:02:12+00:00 WARNING  high_temp  ABC inlet inrow-ABC-1  30.2 °C > 28.0";
    collector.wait_stdout_contains(line, DEADLINE).unwrap();
    wait_until_sync(DEADLINE, "the console has acknowledged", || {
        let pending: redis::streams::StreamPendingReply = redis
            .xpending("anomaly_alerts", "alert_logger_group")
            .ok()?;
        (pending.count() == 0).then_some(())
    })
    .unwrap();
    collector.term().unwrap();
    assert!(collector.wait_exit(DEADLINE).unwrap().success());
}

#[test]
fn with_time_series_the_readings_are_samples() {
    let server = TimeSeriesServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut collector = running(&server.url());
    collector
        .wait_stderr_contains("series=\"timeseries\"", DEADLINE)
        .unwrap();
    for n in 0..60u64 {
        send(
            redis,
            "inrow-ABC-1",
            START + n * 1000,
            &format!("{}.5", 20 + n % 4),
        );
    }
    send(redis, "inrow-ABC-1", START + 60_000, "30.5");
    wait_until_sync(DEADLINE, "the alert is there", || {
        (alerts_of(redis, "high_temp").len() == 1).then_some(())
    })
    .unwrap();
    let samples = || -> Option<Vec<(u64, String)>> {
        let mut redis = connect(&server.url());
        let range = redis::cmd("TS.RANGE")
            .arg("sensor:inrow-ABC-1:temp")
            .arg("-")
            .arg("+")
            .query(&mut redis);
        range.ok()
    };
    let samples = wait_until_sync(DEADLINE, "all samples are there", || {
        samples().filter(|samples| samples.len() == 61)
    })
    .unwrap();
    assert_eq!(samples[0], (START, "20.5".to_owned()));
    assert_eq!(samples[60], (START + 60_000, "30.5".to_owned()));
    let pending: redis::streams::StreamPendingReply = redis
        .xpending("raw_sensor_data", "anomaly_detector_group")
        .unwrap();
    assert_eq!(pending.count(), 0);
    collector.term().unwrap();
    assert!(collector.wait_exit(DEADLINE).unwrap().success());
}

#[test]
fn what_cannot_be_understood_is_in_the_dead_letters_and_harms_nothing() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    let (id, t) = (("device_id", "bad-R1-1"), ("temperature", "21.0"));
    let time = START.to_string();
    let at = ("timestamp", time.as_str());
    let huge = "9".repeat(10_000_000);
    let long_id = "x".repeat(129);
    let bad: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![t, at], "field device_id is missing"),
        (vec![id, at], "field temperature is missing"),
        (vec![id, t], "field timestamp is missing"),
        (vec![("hello", "world")], "field device_id is missing"),
        (
            vec![id, t, ("timestamp", "4102444800000")],
            "timestamp 4102444800000 is more than 1m after the entry came",
        ),
        (
            vec![id, ("temperature", "NaN"), at],
            "temperature is not finite",
        ),
        (
            vec![id, ("temperature", "inf"), at],
            "temperature is not finite",
        ),
        (
            vec![id, ("temperature", "1e999"), at],
            "temperature is not finite",
        ),
        (
            vec![id, ("temperature", "warm"), at],
            "temperature is not a decimal number",
        ),
        (
            vec![id, ("temperature", ""), at],
            "field temperature is empty",
        ),
        (
            vec![id, ("temperature", "3892314"), at],
            "temperature is outside -273.15 to 1000 °C",
        ),
        (
            vec![id, ("temperature", "-300"), at],
            "temperature is outside -273.15 to 1000 °C",
        ),
        (
            vec![("device_id", "a b"), t, at],
            "device_id is not a device id",
        ),
        (
            vec![("device_id", &long_id), t, at],
            "device_id is not a device id",
        ),
        (
            vec![("device_id", "bäd-R1-1"), t, at],
            "device_id is not a device id",
        ),
        (
            vec![id, t, ("timestamp", "today")],
            "timestamp is not whole milliseconds",
        ),
        (
            vec![id, t, ("timestamp", "-5")],
            "timestamp is not whole milliseconds",
        ),
        (
            vec![id, t, ("timestamp", "1.5e12")],
            "timestamp is not whole milliseconds",
        ),
        (
            vec![id, t, at, ("fault", "timeout")],
            "both temperature and fault are there",
        ),
        (vec![id, ("fault", "¡"), at], "fault is not a word"),
        (vec![("readings", ""), at], "field readings is empty"),
        (
            vec![("readings", "bad-R1-1"), at],
            "pair 1 of readings: no = in it",
        ),
        (
            vec![("readings", "bad-R1-1=21.0")],
            "field timestamp is missing",
        ),
        (
            vec![id, ("temperature", &huge), at],
            "field temperature has 10000000 bytes",
        ),
        (vec![id, t, t, at], "field temperature is there twice"),
    ];
    for (n, (fields, _)) in bad.iter().enumerate() {
        xadd(redis, fields);
        send(redis, "good-R1-1", START + n as u64 * 1000, "21.5");
    }
    wait_all_done(redis);
    let dead: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data:dead").unwrap();
    assert_eq!(dead.ids.len(), bad.len(), "{}", collector.stderr());
    for (letter, (fields, why)) in dead.ids.iter().zip(&bad) {
        let reason: String = letter.get("reason").unwrap();
        assert!(
            reason.starts_with(why),
            "{reason:?} does not begin with {why:?}"
        );
        for (name, value) in fields {
            let kept: String = letter.get(name).unwrap();
            assert_eq!(kept, value[..value.len().min(4096)], "{reason}");
        }
    }
    assert_eq!(plain_series(redis, "good-R1-1").len(), bad.len());
    let stored: bool = redis.exists("sensor:bad-R1-1:temp").unwrap();
    assert!(!stored);
    // A frame keeps its good pairs.
    xadd(
        redis,
        &[("readings", "good-R2-1=21.0,oops,good-R2-2=22.0"), at],
    );
    wait_all_done(redis);
    assert_eq!(plain_series(redis, "good-R2-2").len(), 1);
    let dead: u64 = redis.xlen("raw_sensor_data:dead").unwrap();
    assert_eq!(dead, bad.len() as u64 + 1);
}

#[test]
fn the_role_decides_and_an_undescribed_device_of_an_agent_is_stored_but_not_evaluated() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _: () = redis
        .hset("rackwatch:devices", "cpu-h-1", r#"{"role":"cpu"}"#)
        .unwrap();
    let _collector = running(&server.url());
    let time = START.to_string();
    for device in ["cpu-h-1", "inlet-h-1"] {
        let rest = [("temperature", "65"), ("timestamp", time.as_str())];
        let agent = [("device_id", device), ("agent", "h"), ("seq", "r-0")];
        xadd(redis, &[&agent[..], &rest[..]].concat());
    }
    wait_all_done(redis);
    assert_eq!(alerts(redis), Vec::<[String; 5]>::new());
    assert_eq!(plain_series(redis, "inlet-h-1").len(), 1);
    // Described, it is evaluated from its next reading on.
    let _: () = redis
        .hset("rackwatch:devices", "inlet-h-1", r#"{"role":"inlet"}"#)
        .unwrap();
    let _: u64 = redis.incr("rackwatch:devices:revision", 1).unwrap();
    let frame = [
        ("agent", "h"),
        ("seq", "r-1"),
        ("readings", "inlet-h-1=65,cpu-h-1=65"),
    ];
    let later = (START + 1000).to_string();
    xadd(
        redis,
        &[&frame[..], &[("timestamp", later.as_str())]].concat(),
    );
    wait_all_done(redis);
    let devices: Vec<_> = alerts(redis)
        .into_iter()
        .map(|[_, device, ..]| device)
        .collect();
    assert_eq!(devices, ["inlet-h-1"]);
}

#[test]
fn a_key_of_another_type_refuses_its_readings_and_no_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _: () = redis.set("sensor:taken-R1-1:temp", "mine").unwrap();
    let _collector = running(&server.url());
    send(redis, "taken-R1-1", START, "21.0");
    send(redis, "free-R1-1", START, "21.0");
    wait_all_done(redis);
    assert_eq!(plain_series(redis, "free-R1-1").len(), 1);
    let dead: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data:dead").unwrap();
    let reason: String = dead.ids[0].get("reason").unwrap();
    let named = "sensor:taken-R1-1:temp is a string, expected a stream: readings of taken-R1-1 are evaluated, and not stored";
    assert!(reason.contains(named), "{reason}");
    assert_eq!(
        dead.ids[0].get::<String>("device_id").as_deref(),
        Some("taken-R1-1")
    );
}
