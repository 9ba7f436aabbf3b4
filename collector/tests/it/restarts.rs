//! Stops, kills and a Redis that comes and goes.

use std::collections::BTreeSet;

use rackwatch_testing::{RedisServer, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::{
    DEADLINE, alerts_of, collector, connect, plain_series, running, send, wait_all_done,
};

const START: u64 = 1_795_438_931_000;

/// Sends one second of ten devices.
fn send_second(redis: &mut Connection, second: u64) {
    for device in 0..10 {
        let temperature = format!("{}.{device}", 20 + second % 5);
        send(
            redis,
            &format!("inlet-R1-{device}"),
            START + second * 1000,
            &temperature,
        );
    }
}

#[test]
fn stopped_and_killed_midway_no_reading_is_missing() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut second = 0;
    for round in 0..6 {
        let mut collector = running(&server.url());
        let before: u64 = redis.xlen("sensor:inlet-R1-9:temp").unwrap_or(0);
        // Under load until some of it has been taken in, then away with it.
        wait_until_sync(DEADLINE, "the collector takes readings in", || {
            for _ in 0..5 {
                send_second(redis, second);
                second += 1;
            }
            let now: u64 = redis.xlen("sensor:inlet-R1-9:temp").unwrap_or(0);
            (now > before).then_some(())
        })
        .unwrap();
        if round % 2 == 0 {
            collector.kill().unwrap();
        } else {
            collector.term().unwrap();
            assert!(collector.wait_exit(DEADLINE).unwrap().success());
        }
    }
    let _collector = running(&server.url());
    wait_all_done(redis);
    for device in 0..10 {
        let series = plain_series(redis, &format!("inlet-R1-{device}"));
        let expected: Vec<_> = (0..second)
            .map(|s| {
                let value: f64 = format!("{}.{device}", 20 + s % 5).parse().unwrap();
                (START + s * 1000, value)
            })
            .collect();
        assert_eq!(series, expected);
    }
}

#[test]
fn an_open_episode_goes_on_over_a_restart() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    send(redis, "inlet-R1-1", START, "30.0");
    wait_all_done(redis);
    first.kill().unwrap();
    let mut second = running(&server.url());
    send(redis, "inlet-R1-1", START + 1000, "30.1");
    wait_all_done(redis);
    second.term().unwrap();
    assert!(second.wait_exit(DEADLINE).unwrap().success());
    let _third = running(&server.url());
    send(redis, "inlet-R1-1", START + 2000, "22.0");
    wait_all_done(redis);
    let reported: Vec<_> = alerts_of(redis, "high_temp")
        .into_iter()
        .map(|(_, state, _)| state)
        .collect();
    assert_eq!(reported, ["firing", "resolved"]);
    // The window came back too: the fall from 30.1 is seen.
    assert_eq!(alerts_of(redis, "drop").len(), 1);
}

#[test]
fn state_of_another_version_is_refused_and_everything_starts_cold() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    // The first of each kind as the version before wrote it, the second by a newer version.
    for (key, field, json) in [
        (
            "rackwatch:episodes",
            "inlet-R1-1 high_temp",
            r#"{"id":"0123456789abcdef","device":"inlet-R1-1","rule":"high_temp","kind":"high_temp","started":1,
                "severity":"warning","threshold":28,"temperature":30,"at":1,"rack":"R1","role":"inlet"}"#,
        ),
        ("rackwatch:episodes", "inlet-R1-2 high_temp", r#"{"v":2}"#),
        (
            "rackwatch:ledger",
            "node7",
            r#"[{"name":"r","last":5,"at":1}]"#,
        ),
        ("rackwatch:ledger", "node8", r#"{"v":2}"#),
        ("rackwatch:snapshot", "0/3", r#"{"version":4,"devices":[]}"#),
        ("rackwatch:snapshot", "1/3", r#"{"v":2,"devices":[]}"#),
        ("rackwatch:snapshot", "2/3", r#"{"v":2,"devices":[]}"#),
    ] {
        let _: () = redis.hset(key, field, json).unwrap();
    }
    let collector = running(&server.url());
    send(redis, "inlet-R1-1", START, "30.0");
    wait_all_done(redis);
    // The refused episode was not taken over: the alert fires, and its episode replaces the refused one.
    assert_eq!(alerts_of(redis, "high_temp").len(), 1);
    let stored: String = redis
        .hget("rackwatch:episodes", "inlet-R1-1 high_temp")
        .unwrap();
    assert!(stored.starts_with(r#"{"v":1,"#), "{stored}");
    let newer: String = redis
        .hget("rackwatch:episodes", "inlet-R1-2 high_temp")
        .unwrap();
    assert_eq!(newer, r#"{"v":2}"#);
    let log = collector.stderr();
    let refused: Vec<_> = log
        .lines()
        .filter(|line| line.contains("stored state refused"))
        .collect();
    let all = [
        "rackwatch:episodes",
        "rackwatch:ledger",
        "rackwatch:snapshot",
    ];
    for key in all {
        let of_key = || refused.iter().filter(|line| line.contains(key));
        assert_eq!(of_key().count(), 2, "one line for each reason: {log}");
        let has = |text: &str| of_key().any(|line| line.contains(text));
        for found in ["no version", "version 2"] {
            let text = format!("found=\"{found}\" understood=\"version 1\"");
            assert!(has(&text), "{log}");
        }
    }
    let slices = refused
        .iter()
        .find(|line| line.contains("slice") && line.contains("found=\"version 2\""));
    assert!(
        slices.is_some_and(|line| line.contains("values=\"2 ")),
        "{log}"
    );
}

#[test]
fn redis_may_be_absent_at_the_start_and_lose_everything_midway() {
    let mut server = RedisServer::start().unwrap();
    let url = server.url();
    server.stop().unwrap();
    let mut collector = running(&url);
    collector
        .wait_stderr_contains(&server.port().to_string(), DEADLINE)
        .unwrap();
    server.restart().unwrap();
    let redis = &mut connect(&url);
    send(redis, "inlet-R1-1", START, "30.0");
    wait_until_sync(DEADLINE, "the first alert", || {
        (alerts_of(redis, "high_temp").len() == 1).then_some(())
    })
    .unwrap();
    server.restart().unwrap();
    let redis = &mut connect(&url);
    send(redis, "inlet-R2-1", START, "30.0");
    wait_until_sync(DEADLINE, "an alert after the restart", || {
        (alerts_of(redis, "high_temp").len() == 1).then_some(())
    })
    .unwrap();
    redis::cmd("FLUSHALL").exec(redis).unwrap();
    send(redis, "inlet-R3-1", START, "30.0");
    wait_until_sync(DEADLINE, "an alert after FLUSHALL", || {
        (alerts_of(redis, "high_temp").len() == 1).then_some(())
    })
    .unwrap();
    collector
        .wait_stdout_contains("inlet-R3-1", DEADLINE)
        .unwrap();
    // One line a change of state, not one a try.
    let lines: BTreeSet<_> = collector.stderr().lines().map(str::to_owned).collect();
    assert!(lines.len() < 20, "{lines:#?}");
    collector.interrupt().unwrap();
    assert!(collector.wait_exit(DEADLINE).unwrap().success());
}

#[test]
fn a_group_that_is_destroyed_is_made_again_where_it_was() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    let mut second = 0;
    for _ in 0..5 {
        send_second(redis, second);
        wait_all_done(redis);
        let destroyed: bool = redis
            .xgroup_destroy("raw_sensor_data", "anomaly_detector_group")
            .unwrap();
        assert!(destroyed, "{}", collector.stderr());
        send_second(redis, second + 1);
        second += 2;
        wait_all_done(redis);
    }
    for device in 0..10 {
        let series = plain_series(redis, &format!("inlet-R1-{device}"));
        assert_eq!(series.len() as u64, second, "{}", collector.stderr());
    }
    let dead: u64 = redis.xlen("raw_sensor_data:dead").unwrap();
    assert_eq!(dead, 0);
}

#[test]
fn a_taken_port_and_a_wrong_config_stop_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut refused = collector(&["run", "--listen", &address]);
    assert_eq!(refused.wait_exit(DEADLINE).unwrap().code(), Some(2));
    assert!(refused.stderr().contains(&address), "{}", refused.stderr());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    let name = file.to_str().unwrap().to_owned();
    for (text, expected) in [
        ("[stream]\nkep = \"10m\"\n", vec!["stream.kep"]),
        ("[stream]\nkeep = \"soon\"\n", vec!["stream.keep", "soon"]),
        (
            "[partition]\ncount = 5000\n",
            vec!["partition.count", "1024"],
        ),
        (
            "[[rules]]\ntype = \"high_temp\"\nwarning = 33\ncritical = 30\n",
            vec!["rules[0].critical", "30", "line 4 column 1"],
        ),
        (
            "[[rules]]\ntype = \"high_temp\"\n[[rules]]\nscore = 3\ntype = \"spike\"\n",
            vec!["rules[1].score", "drift", "spike", "line 4 column 1"],
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let mut wrong = collector(&["run", "--config", &name, "--listen", &listen]);
        assert_eq!(wrong.wait_exit(DEADLINE).unwrap().code(), Some(2), "{text}");
        let error = wrong.stderr();
        assert!(error.contains(&name), "{error}");
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
    }
}
