//! `devices`, `check`, `rules`, and all commands without Redis or with an invalid configuration.

use rackwatch_testing::{TimeSeriesServer, free_port};
use redis::Commands as _;

use super::{DEVICE, json, now, run, server};
use crate::rig::{DEADLINE, connect, running, send, wait_all_done};

#[test]
fn devices_are_listed() {
    let (_server, mut redis, url) = server();
    let described = r#"{"agent":"h1","source":"hwmon","role":"inlet","rack":"B07","u":42,
        "interval_ms":1000,"limits":{"high_critical":42}}"#;
    let _: () = redis.hset("rackwatch:devices", DEVICE, described).unwrap();
    let _: () = redis
        .hset(
            "rackwatch:devices",
            "x",
            r#"{"leaving":true,"interval_ms":500}"#,
        )
        .unwrap();
    let open = r#"{"v":1,"id":"0123456789abcdef","device":"y","rule":"inlet","kind":"high_temp","started":1,
        "severity":"critical","threshold":32,"temperature":33,"at":2,"rack":"","role":"inlet"}"#;
    let _: () = redis.hset("rackwatch:episodes", "y inlet", open).unwrap();
    let board = r#"{"role":"inlet","interval_ms":1000,"verdict":"ok"}"#;
    let _: () = redis.hset("rackwatch:devices", "y", board).unwrap();
    let read = |redis: &mut redis::Connection, device: &str| {
        let (key, id) = (format!("sensor:{device}:temp"), format!("{}-0", now()));
        let _: String = redis.xadd(key, id, &[("t", "22.0")]).unwrap();
    };
    for device in [DEVICE, "y"] {
        read(&mut redis, device);
    }
    assert_eq!(
        run(&url, &["devices", "list"]).out,
        "device       role   rack  u   source  agent  every  limits       state\n\
         inlet-B07-1  inlet  B07   42  hwmon   h1     1s     critical 42  ok\n\
         x            other  -     -   -       -      500ms  -            withdrawn\n\
         y            inlet  -     -   -       -      1s     -            critical, but its board says ok\n"
    );
    let list = json(&run(&url, &["devices", "list", "--json"]));
    assert_eq!(
        (&list[0]["device_id"], &list[0]["u"]),
        (&DEVICE.into(), &42.into())
    );
}

/// A device that no rule looks at, or whose readings never arrived, is not well.
#[test]
fn devices_that_are_not_evaluated_are_not_listed_as_ok() {
    let (_server, mut redis, url) = server();
    let at = now();
    let good = r#"{"agent":"h1","role":"inlet","interval_ms":1000}"#;
    for (device, json) in [
        ("inlet-A-1", good),
        ("inlet-A-2", r#"{"v":9,"agent":"h1"}"#),
        ("inlet A 3", good),
    ] {
        let _: () = redis.hset("rackwatch:devices", device, json).unwrap();
    }
    let entry = |device: &str, agent: Option<&str>| {
        let mut fields = vec![
            ("device_id", device.to_owned()),
            ("temperature", "22.0".to_owned()),
            ("timestamp", at.to_string()),
        ];
        fields.extend(agent.map(|agent| ("agent", agent.to_owned())));
        fields
    };
    for (device, agent) in [
        ("inlet-A-2", Some("h1")),
        ("inlet-A-4", Some("h1")),
        ("inlet-A-5", None),
    ] {
        let fields = entry(device, agent);
        let _: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
    }
    let states = |url: &str| {
        let list = json(&run(url, &["devices", "list", "--json"]));
        let rows = list.as_array().unwrap().clone();
        let row = |row: &serde_json::Value| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (text("device_id"), text("state"), text("not_evaluated"))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let expected = [
        ("inlet A 3", "not_evaluated", "not a device id: "),
        ("inlet-A-1", "unknown", ""),
        (
            "inlet-A-2",
            "not_evaluated",
            "description refused: version 9 found, version 1 understood",
        ),
        (
            "inlet-A-4",
            "not_evaluated",
            "its agent has not described it",
        ),
        ("inlet-A-5", "unknown", ""),
    ];
    let listed = states(&url);
    for ((device, state, why), seen) in expected.iter().zip(&listed) {
        assert_eq!((*device, *state), (seen.0.as_str(), seen.1.as_str()));
        assert!(
            seen.2.starts_with(why) && seen.2.is_empty() == why.is_empty(),
            "{seen:?}"
        );
    }
    assert_eq!(listed.len(), expected.len(), "{listed:?}");
    let text = run(&url, &["devices", "list"]).out;
    assert!(!text.lines().any(|line| line.ends_with(" ok")), "{text}");
}

#[test]
fn a_known_device_is_forgotten() {
    let (_server, mut redis, url) = server();
    for device in [DEVICE, "x"] {
        let _: () = redis.hset("rackwatch:devices", device, "{}").unwrap();
    }
    let forgot = run(&url, &["devices", "forget", "x"]);
    assert_eq!(forgot.code, Some(0), "{}", forgot.err);
    assert!(forgot.out.starts_with("Forgot x: "), "{}", forgot.out);
    let left: Vec<String> = redis.hkeys("rackwatch:devices").unwrap();
    let revision: u64 = redis.get("rackwatch:devices:revision").unwrap();
    assert_eq!((left, revision), (vec![DEVICE.to_owned()], 1));
    let again = run(&url, &["devices", "forget", "x"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("no such device: x"), "{}", again.err);
}

#[test]
fn check_leaves_no_keys_behind() {
    let (_server, mut redis, url) = server();
    let report = run(&url, &["check"]);
    assert_eq!(report.code, Some(0), "{}{}", report.out, report.err);
    for line in [
        "PING       ok",
        "XACK       ok",
        "script     ok",
        "TS.ADD     skipped",
    ] {
        assert!(report.out.contains(line), "{line}: {}", report.out);
    }
    assert!(
        report.out.ends_with("all checks passed\n"),
        "{}",
        report.out
    );
    let left: u64 = redis::cmd("DBSIZE").query(&mut redis).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn check_reports_refused_commands_with_advice() {
    let (_server, mut redis, url) = server();
    let _: () = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-eval", "-set"])
        .query(&mut redis)
        .unwrap();
    let refused = run(&url, &["check", "--json"]);
    assert_eq!(refused.code, Some(1));
    let steps = json(&refused)["steps"].as_array().unwrap().clone();
    let failed: Vec<_> = steps.iter().filter(|s| s["result"] == "failed").collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed.iter().all(|step| step["advice"].is_string()));
}

#[test]
fn all_commands_work_with_time_series_and_without_info() {
    let server = TimeSeriesServer::start().unwrap();
    let url = server.url();
    let report = run(&url, &["check"]);
    assert!(
        report.out.contains("TS.ADD     ok"),
        "{}{}",
        report.out,
        report.err
    );
    assert!(
        report
            .out
            .contains("(timeseries series, unknown maxmemory)"),
        "{}",
        report.out
    );
    let mut redis = redis::Client::open(url.as_str())
        .unwrap()
        .get_connection()
        .unwrap();
    let start = now() / 60_000 * 60_000 - 600_000;
    for (at, value) in [(60_000, 20.0), (61_000, 23.0), (120_000, 30.0)] {
        let mut add = redis::cmd("TS.ADD");
        let at = start + at;
        add.arg(format!("sensor:{DEVICE}:temp"))
            .arg(at)
            .arg(value)
            .exec(&mut redis)
            .unwrap();
    }
    let history = run(&url, &["history", DEVICE, "--every", "1m", "--json"]);
    let rows = &json(&history)["rows"];
    assert_eq!(
        (&rows[0]["avg"], &rows[0]["max"], &rows[1]["min"]),
        (&21.5.into(), &23.0.into(), &30.0.into())
    );
    let status = run(&url, &["status"]);
    assert_eq!(status.code, Some(1), "{}", status.err);
    assert!(
        status.out.contains("unknown version"),
        "{}{}",
        status.out,
        status.err
    );
}

#[test]
fn without_redis_commands_fail_with_its_address() {
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    for args in [
        &["alerts"][..],
        &["alerts", "--follow"],
        &["status"],
        &["history", DEVICE],
        &["devices", "list"],
        &["devices", "forget", "x"],
    ] {
        let ended = run(&url, args);
        assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.err);
        assert!(
            ended
                .err
                .contains("cannot reach Redis at redis://127.0.0.1"),
            "{}",
            ended.err
        );
    }
    let check = run(&url, &["check"]);
    assert_eq!(check.code, Some(1), "{}", check.err);
    assert!(
        check
            .out
            .contains("connect    FAILED     cannot reach Redis"),
        "{}",
        check.out
    );
}

#[test]
fn an_invalid_configuration_is_an_error_with_its_path() {
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    std::fs::write(&file, "[redis]\nurll = 1\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [
        &["status"][..],
        &["check"],
        &["alerts"],
        &["devices", "list"],
    ] {
        let ended = run(&url, &[args, &["--config", file]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.err);
        assert!(ended.err.contains("collector.toml"), "{}", ended.err);
    }
}

#[test]
fn inventory_changes_are_listed() {
    let (_server, mut redis, url) = server();
    assert_eq!(
        run(&url, &["devices", "changes"]).out,
        "No inventory changes\n"
    );
    let mut place_in = |rack: &str| {
        let described = format!(r#"{{"agent":"h1","host":"h1","role":"inlet","rack":"{rack}"}}"#);
        let _: () = redis.hset("rackwatch:devices", DEVICE, described).unwrap();
    };
    place_in("B07");
    let _collector = running(&url);
    let stream = &mut connect(&url);
    let start = now() - 60_000;
    send(stream, DEVICE, start, "21");
    wait_all_done(stream);
    place_in("B08");
    let _: () = stream.incr("rackwatch:devices:revision", 1).unwrap();
    send(stream, DEVICE, start + 1000, "21");
    wait_all_done(stream);
    let change = json(&run(&url, &["devices", "changes", "--json"]));
    assert_eq!(
        (&change["device_id"], &change["was"]),
        (&DEVICE.into(), &DEVICE.into())
    );
    let listed = run(&url, &["devices", "changes"]).out;
    assert!(
        listed.contains("inlet-B07-1  rack B07  rack B08\n"),
        "{listed}"
    );
}

#[test]
fn rules_are_printed_as_toml_and_keys_as_a_table() {
    let default = run("", &["rules"]);
    assert_eq!(default.code, Some(0), "{}", default.err);
    rackwatch_core::rules::parse(&default.out).unwrap();
    let ashrae = run("", &["rules", "--profile", "ashrae-a3"]);
    let lines = "# ASHRAE class A3: recommended 18.0 to 27.0 °C, allowable 5.0\n# to 40.0 °C.\n";
    assert!(
        ashrae.out.starts_with(&default.out) && ashrae.out.contains(lines),
        "{}",
        ashrae.out
    );
    let keys = run("", &["rules", "--keys"]);
    let mut rows = keys
        .out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert!(
        rows.any(|row| row.starts_with(&["drift", "score", "1", "to", "20", "3.0"])),
        "{}",
        keys.out
    );
    let wrong = run("", &["rules", "--profile", "a9"]);
    assert!(
        wrong.code == Some(2) && wrong.err.contains("ashrae-h1"),
        "{}",
        wrong.err
    );
}

#[test]
fn senseless_arguments_are_errors() {
    let (_server, mut redis, url) = server();
    let far = ["--from", "2020-01-01T00:00", "--for", "1h"];
    let add = |args: &[&'static str]| [&["maintenance", "add", "--rack", "B07"], args].concat();
    for (args, expected) in [
        (
            vec!["silence", "add", "--rack", "", "--for", "1h"],
            "invalid silence: rack must have 1 to 200 bytes",
        ),
        (
            vec!["silence", "add", "--rack", "B07", "--for", "0s"],
            "invalid silence: the duration must be between a minute and a year",
        ),
        (
            vec!["silence", "add", "--rack", "B07", "--for", "99999d"],
            "invalid silence: the duration must be between a minute and a year",
        ),
        (
            add(&far),
            "the window has already ended: choose a later start",
        ),
        (
            add(&["--cron", "0 0 30 2 *", "--for", "1h"]),
            "\"0 0 30 2 *\" never comes",
        ),
        (add(&["--for", "1h"]), "<--cron <CRON>|--from <TIME>>"),
        (vec!["drill", "--seeds", "0"], "0 is not in 1.."),
        (
            vec!["replay", "x.csv", "--interval", "0s"],
            "expected more than 0s",
        ),
    ] {
        let refused = run(&url, &args);
        assert_eq!(
            refused.code,
            Some(2),
            "{args:?}: {}{}",
            refused.out,
            refused.err
        );
        assert!(refused.err.contains(expected), "{args:?}: {}", refused.err);
    }
    let left: u64 = redis::cmd("DBSIZE").query(&mut redis).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn indices_of_an_unknown_area_are_an_error() {
    let (_server, _redis, url) = server();
    let unknown = run(&url, &["indices", "room", "nope"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("no indices of room \"nope\""),
        "{}",
        unknown.err
    );
}

#[test]
fn a_resize_without_a_collector_fails_at_once() {
    let (_server, mut redis, url) = server();
    let fields = [
        ("device_id", DEVICE),
        ("temperature", "20"),
        ("timestamp", "1"),
    ];
    let _: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
    let refused = run(&url, &["partitions", "resize", "2"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("no collector is running"),
        "{}",
        refused.err
    );
    let shown = run(&url, &["partitions", "show"]);
    assert!(
        shown
            .out
            .starts_with("One raw stream, without partitions, by default\n"),
        "{}",
        shown.out
    );
}

#[test]
fn a_cause_is_printed_once() {
    let refused = run("redis://127.0.0.1:1", &["status"]);
    assert_eq!(
        refused.err.matches("os error 111").count(),
        1,
        "{}",
        refused.err
    );
}

#[test]
fn lists_that_no_collector_keeps_up_to_date_say_so() {
    let (_server, mut redis, url) = server();
    for command in ["incidents", "alerts"] {
        let listed = run(&url, &[command]);
        assert_eq!(listed.code, Some(0), "{}", listed.err);
        assert!(
            listed.err.contains("no collector is running"),
            "{command}: {}",
            listed.err
        );
    }
    let mut collector = running(&url);
    rackwatch_testing::wait_until_sync(DEADLINE, "the collector leads", || {
        let lease: Option<String> = redis.get("{rackwatch:incidents}:lease").ok()?;
        lease
    })
    .unwrap();
    let listed = run(&url, &["incidents"]);
    assert_eq!(
        (listed.out.as_str(), listed.err.as_str()),
        ("No open incidents\n", "")
    );
    // Its leases hold, and it does nothing.
    collector.kill().unwrap();
    for lease in ["rackwatch:lease", "{rackwatch:incidents}:lease"] {
        let _: () = redis.set(lease, "1-host-2").unwrap();
    }
    let _: () = redis.del("raw_sensor_data").unwrap();
    let group = "anomaly_detector_group";
    let _: () = redis
        .xgroup_create_mkstream("raw_sensor_data", group, "0")
        .unwrap();
    let old = format!("{}-0", now() - 120_000);
    let _: String = redis.xadd("raw_sensor_data", &old, &[("a", "b")]).unwrap();
    let listed = run(&url, &["incidents"]);
    let why = "partition all is stuck: an entry is not read for 2m";
    assert!(listed.err.contains(why), "{}", listed.err);
}
