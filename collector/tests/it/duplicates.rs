//! Two clients that write one device: what differs is counted where people look.

use rackwatch_testing::RedisServer;
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
