//! Two clients that write one device: what differs is counted where people look.

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::Commands;

use crate::rig::{DEADLINE, collector, connect, plain_series, running, send, wait_all_done};

#[test]
fn conflicting_late_and_duplicate_readings_are_in_status_and_the_first_value_is_stored() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _collector = running(&server.url());
    let now = rackwatch_runtime::clock::now().millis();
    for (at, degrees) in [
        (now, "22.0"),
        (now, "60.0"),
        (now, "22.0"),
        (now - 5_000, "21.0"),
    ] {
        send(redis, "inlet-R1-1", at, degrees);
    }
    wait_all_done(redis);
    let mut status = collector(&["status", "--redis", &server.url()]);
    status.wait_exit(DEADLINE).unwrap();
    let text = status.stdout();
    assert!(
        text.contains("1 late, 1 duplicate, 1 conflicting"),
        "{text}"
    );
    assert!(text.contains("two clients write one device"), "{text}");
    let _: () = redis.ping().unwrap();
    let stored = plain_series(redis, "inlet-R1-1");
    assert_eq!(stored, [(now, 22.0)]);
}

/// No rule looks at them, so all would seem well.
#[test]
fn readings_of_an_agents_device_without_a_description_are_a_problem() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _collector = running(&server.url());
    let at = rackwatch_runtime::clock::now().millis().to_string();
    let fields = [
        ("device_id", "inlet-CU-1"),
        ("temperature", "40.0"),
        ("timestamp", &at),
        ("agent", "custom"),
        ("seq", "a-1"),
    ];
    crate::rig::xadd(redis, &fields);
    wait_all_done(redis);
    let mut status = collector(&["status", "--redis", &server.url()]);
    let exit = status.wait_exit(DEADLINE).unwrap();
    let text = status.stdout();
    assert_eq!(exit.code(), Some(1), "{text}");
    assert!(
        text.contains("without a description not evaluated"),
        "{text}"
    );
}

/// Returns the exit code and the text of `status`.
fn status(url: &str) -> (Option<i32>, String) {
    let mut status = collector(&["status", "--redis", url]);
    let exit = status.wait_exit(DEADLINE).unwrap();
    (exit.code(), status.stdout())
}

/// No rule looks at it, so no alert reports that it vanished.
#[test]
fn a_device_that_nothing_describes_stays_a_problem_after_it_vanished() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let _collector = running(&url);
    let at = rackwatch_runtime::clock::now().millis().to_string();
    let fields = [
        ("device_id", "inlet-G1-1"),
        ("temperature", "35.0"),
        ("timestamp", &at),
        ("agent", "ghost"),
        ("seq", "abcd1234-1"),
    ];
    crate::rig::xadd(redis, &fields);
    let key = "rackwatch:undescribed";
    let member = "inlet-G1-1 ghost";
    let known = || {
        redis
            .zscore::<_, _, Option<u64>>(key, member)
            .ok()
            .flatten()
    };
    let last = wait_until_sync(DEADLINE, "it is written down", known).unwrap();
    let aged = |redis: &mut redis::Connection, minutes: u64| {
        let then = last - minutes * 60_000;
        let _: () = redis.zadd(key, member, then).unwrap();
        let entry = format!("{then}-0");
        let tally = "rackwatch:tally";
        let _: () = redis.hset(tally, "last_undescribed", entry).unwrap();
    };
    aged(redis, 5);
    let (code, text) = status(&url);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("inlet-G1-1 of agent ghost last sent 5m"),
        "{text}"
    );
    aged(redis, 24 * 60 + 1);
    let (_, text) = status(&url);
    assert!(!text.contains("ghost"), "alerts.stale_after: {text}");
    aged(redis, 5);
    let json = r#"{"v":1,"agent":"ghost","role":"inlet"}"#;
    let _: () = redis.hset("rackwatch:devices", "inlet-G1-1", json).unwrap();
    let (_, text) = status(&url);
    assert!(!text.contains("ghost last sent"), "described: {text}");
    let _: () = redis.hdel("rackwatch:devices", "inlet-G1-1").unwrap();
    let (code, text) = status(&url);
    assert_eq!(code, Some(1), "{text}");
    let mut forget = collector(&["devices", "forget", "inlet-G1-1", "--redis", &url]);
    assert!(forget.wait_exit(DEADLINE).unwrap().success());
    let (_, text) = status(&url);
    assert!(!text.contains("ghost"), "forgotten: {text}");
}
