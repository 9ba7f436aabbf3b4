//! The loss ledger: agents produced what was received, plus what the loss ledger holds.

use rackwatch_testing::RedisServer;
use redis::{Commands, Connection};

use crate::rig::{DEADLINE, collector, connect, running, wait_all_done, xadd};

const START: u64 = 1_795_438_931_000;

/// Sends an agent's reading with this sequence number, and more fields of its entry.
fn send(redis: &mut Connection, n: u64, more: &[(&str, &str)]) {
    let (at, seq) = ((START + n * 1000).to_string(), format!("r1-{n}"));
    let mut fields = vec![
        ("device_id", "inlet-R1-1"),
        ("temperature", "21.0"),
        ("timestamp", &at),
        ("agent", "node7"),
        ("seq", &seq),
    ];
    fields.extend_from_slice(more);
    xadd(redis, &fields);
}

/// Returns (from, to, reason) of each loss.
fn losses(redis: &mut Connection) -> Vec<(u64, u64, String)> {
    let entries: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:losses").unwrap();
    let loss = |entry: &redis::streams::StreamId| {
        let text = |name: &str| entry.get::<String>(name).unwrap();
        assert_eq!(text("agent"), "node7");
        (
            text("from").parse().unwrap(),
            text("to").parse().unwrap(),
            text("reason"),
        )
    };
    entries.ids.iter().map(loss).collect()
}

#[test]
fn gaps_are_recorded_once_over_a_crash_with_their_reason() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    for n in [1, 2, 3] {
        send(redis, n, &[]);
    }
    send(redis, 6, &[("gap", "spool_full")]);
    wait_all_done(redis);
    first.kill().unwrap();
    // An agent that did not hear that it arrived sends it again.
    send(redis, 6, &[("gap", "spool_full")]);
    send(redis, 10, &[]);
    let _second = running(&server.url());
    wait_all_done(redis);
    assert_eq!(
        losses(redis),
        [
            (4, 5, "spool_full".to_owned()),
            (7, 9, "not_received".to_owned())
        ]
    );
    let mut status = collector(&["status", "--redis", &server.url()]);
    status.wait_exit(DEADLINE).unwrap();
    let reported = status.stdout();
    assert!(
        reported.contains("2 recorded, 5 readings in the last 24 hours"),
        "{reported}"
    );
    assert!(
        reported.contains("3 readings of node7 lost before 2026-11-23"),
        "{reported}"
    );
}

#[test]
fn what_is_trimmed_unread_is_in_the_loss_ledger_and_what_is_dead_is_not() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    send(redis, 1, &[]);
    wait_all_done(redis);
    first.kill().unwrap();
    for n in 2..=10 {
        send(redis, n, &[]);
    }
    // The safety cap of a site without a collector.
    let _: u64 = redis::cmd("XTRIM")
        .arg("raw_sensor_data")
        .arg("MAXLEN")
        .arg(3)
        .query(redis)
        .unwrap();
    xadd(
        redis,
        &[
            ("agent", "node7"),
            ("seq", "r1-12"),
            ("timestamp", "never"),
            ("readings", "inlet-R1-1=20.0,inlet-R1-2=20.0"),
        ],
    );
    send(redis, 13, &[]);
    let _second = running(&server.url());
    wait_all_done(redis);
    assert_eq!(losses(redis), [(2, 7, "not_received".to_owned())]);
    let (dead, stored): (u64, u64) = redis::pipe()
        .xlen("raw_sensor_data:dead")
        .xlen("sensor:inlet-R1-1:temp")
        .query(redis)
        .unwrap();
    assert_eq!(
        (dead, stored),
        (1, 5),
        "2 dead readings, 5 values, 6 lost: 13 in all"
    );
}
