//! Clients that read from our consumer groups under another name stop nothing, and are reported by name.

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::{
    DEADLINE, alerts_of, collector, connect, plain_series, running, send, wait_all_done,
};

const START: u64 = 1_795_438_931_000;
const GROUP: &str = "anomaly_detector_group";

/// Reads up to `count` new entries of a stream as the consumer `stranger`.
fn read_as_stranger(redis: &mut Connection, (stream, group): (&str, &str), count: usize) {
    redis::cmd("XREADGROUP")
        .arg("GROUP")
        .arg(group)
        .arg("stranger")
        .arg("COUNT")
        .arg(count)
        .arg("STREAMS")
        .arg(stream)
        .arg(">")
        .exec(redis)
        .unwrap();
}

/// Ten seconds at 40 °C.
fn send_heat(redis: &mut Connection) {
    for second in 0..10 {
        send(redis, "inlet-R1-1", START + second * 1000, "40.0");
    }
}

#[test]
fn entries_pending_under_another_consumer_are_taken_over() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _: () = redis
        .xgroup_create_mkstream("raw_sensor_data", GROUP, "0")
        .unwrap();
    send_heat(redis);
    read_as_stranger(redis, ("raw_sensor_data", GROUP), 3);
    // Trimmed before it was evaluated: there is nothing left to take over.
    let first: redis::streams::StreamRangeReply =
        redis.xrange_count("raw_sensor_data", "-", "+", 1).unwrap();
    let _: u64 = redis.xdel("raw_sensor_data", &[&first.ids[0].id]).unwrap();
    let collector = running(&server.url());
    wait_all_done(redis);
    assert_eq!(plain_series(redis, "inlet-R1-1").len(), 9);
    assert_eq!(alerts_of(redis, "high_temp").len(), 1);
    collector
        .wait_stderr_contains("another consumer had entries pending", DEADLINE)
        .unwrap();
    let log = collector.stderr();
    let lines = log.matches("another consumer had entries pending");
    assert_eq!(lines.count(), 1, "{log}");
    assert!(
        log.contains("claimed=2") && log.contains("trimmed=1"),
        "{log}"
    );
    assert!(!log.contains("loading state again"), "{log}");
}

/// Returns the number of readings in a device's series, those included that were stored after a newer one: the commit
/// of that one waited for an entry that the other client held.
fn stored(redis: &mut Connection, device: &str) -> usize {
    let late: usize = redis.zcard(format!("sensor:{device}:temp:late")).unwrap();
    plain_series(redis, device).len() + late
}

#[test]
fn a_consumer_that_keeps_reading_makes_status_wrong_by_name() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let running = running(&server.url());
    send(redis, "inlet-R1-1", START - 1000, "22.0");
    wait_all_done(redis);
    // In one transaction, so that the collector never comes first.
    for second in 0..20 {
        let at = (START + second * 1000).to_string();
        let mut race = redis::pipe();
        race.atomic()
            .cmd("XADD")
            .arg(&[
                "raw_sensor_data",
                "*",
                "device_id",
                "inlet-R1-1",
                "temperature",
                "40.0",
            ])
            .arg(&["timestamp", &at])
            .cmd("XREADGROUP")
            .arg(&[
                "GROUP",
                GROUP,
                "stranger",
                "COUNT",
                "1",
                "STREAMS",
                "raw_sensor_data",
                ">",
            ]);
        race.exec(redis).unwrap();
        // Behind one that another client took.
        send(redis, "inlet-R1-2", START + second * 1000, "22.0");
    }
    wait_all_done(redis);
    assert_eq!(stored(redis, "inlet-R1-1"), 21);
    assert_eq!(stored(redis, "inlet-R1-2"), 20);
    assert_eq!(alerts_of(redis, "high_temp").len(), 1);
    let reloads = running.stderr().matches("loading state again").count();
    assert!(reloads <= 20, "{}", running.stderr());
    let mut status = collector(&["status", "--redis", &server.url()]);
    let exit = status.wait_exit(DEADLINE).unwrap();
    assert_eq!(exit.code(), Some(1), "{}", status.stdout());
    assert!(
        status
            .stdout()
            .contains("as consumer stranger of anomaly_detector_group"),
        "{}",
        status.stdout()
    );
    let command = "XGROUP DELCONSUMER 'raw_sensor_data' 'anomaly_detector_group' 'stranger'";
    assert!(status.stdout().contains(command), "{}", status.stdout());
    assert!(
        status.stdout().contains("(last active "),
        "{}",
        status.stdout()
    );
}

#[test]
fn alerts_pending_under_another_consumer_still_become_incidents() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    for group in ["alert_correlator_group", "alert_logger_group"] {
        let _: () = redis
            .xgroup_create_mkstream("anomaly_alerts", group, "$")
            .unwrap();
    }
    let mut first = running(&server.url());
    send_heat(redis);
    wait_all_done(redis);
    first.kill().unwrap();
    // As if another client had read the alert before the correlator did.
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    for group in ["alert_correlator_group", "alert_logger_group"] {
        redis::cmd("XCLAIM")
            .arg(&["anomaly_alerts", group, "stranger", "0"])
            .arg(&all.ids[0].id)
            .arg("FORCE")
            .exec(redis)
            .unwrap();
    }
    let _second = running(&server.url());
    for group in ["alert_correlator_group", "alert_logger_group"] {
        wait_until_sync(DEADLINE, "nothing is pending", || {
            let pending: redis::streams::StreamPendingReply =
                redis.xpending("anomaly_alerts", group).ok()?;
            (pending.count() == 0).then_some(())
        })
        .unwrap();
    }
    let incidents: u64 = redis.xlen("rackwatch:incidents").unwrap();
    assert!(incidents >= 1);
}
