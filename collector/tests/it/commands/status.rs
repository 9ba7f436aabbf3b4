//! `status`: health, warnings and problems.

use rackwatch_testing::RedisServer;
use redis::Commands as _;
use serde_json::Value;

use super::{json, now, run, server};

/// Writes an owner, a leader, and groups without pending entries.
fn groups(redis: &mut redis::Connection) {
    let _: () = redis.set("rackwatch:lease", "1-host-2").unwrap();
    let leader = "{rackwatch:incidents}:lease";
    let _: () = redis.set(leader, "1-host-2").unwrap();
    for (stream, group) in [
        ("raw_sensor_data", "anomaly_detector_group"),
        ("anomaly_alerts", "alert_logger_group"),
        ("anomaly_alerts", "alert_correlator_group"),
    ] {
        let _: () = redis.xgroup_create_mkstream(stream, group, "0").unwrap();
    }
}

#[test]
fn status_reports_health_and_problems() {
    let (_server, mut redis, url) = server();
    let empty = run(&url, &["status"]);
    assert_eq!(empty.code, Some(1), "{}", empty.err);
    assert!(
        empty
            .out
            .contains("anomaly_detector_group does not exist on raw_sensor_data: start"),
        "{}",
        empty.out
    );
    groups(&mut redis);
    let _: () = redis
        .hset(
            "rackwatch:devices",
            "a",
            r#"{"rack":"B07","interval_ms":1000}"#,
        )
        .unwrap();
    let _: () = redis.hset("rackwatch:devices", "b", "{}").unwrap();
    let open = r#"{"v":1,"id":"0123456789abcdef","device":"a","rule":"high","kind":"high_temp","started":1,
        "severity":"critical","threshold":32,"temperature":33,"at":2,"rack":"","role":"inlet"}"#;
    let _: () = redis.hset("rackwatch:episodes", "a high", open).unwrap();
    let well = run(&url, &["status"]);
    assert_eq!(well.code, Some(3), "{}{}", well.out, well.err);
    assert!(
        well.out.contains("\npipeline: all is well\n"),
        "{}",
        well.out
    );
    assert!(
        well.out
            .contains("devices      2 known, 1 without a rack, 0 withdrawn\n"),
        "{}",
        well.out
    );
    assert!(
        well.out
            .contains("open alerts  1 critical, 0 warning, 0 info\n"),
        "{}",
        well.out
    );
    assert!(
        well.out
            .contains("incidents    0 open, 0 acknowledged, 0 silences; leader 1-host-2\n"),
        "{}",
        well.out
    );
    let _: () = redis.del("{rackwatch:incidents}:lease").unwrap();
    let leaderless = run(&url, &["status"]);
    assert_eq!(leaderless.code, Some(1));
    assert!(
        leaderless
            .out
            .contains("no collector is the notification leader"),
        "{}",
        leaderless.out
    );
}

#[test]
fn dead_letters_are_a_warning_with_their_reasons() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let letter = [
        ("reason", "temperature is not a decimal number"),
        ("entry", "5-0"),
    ];
    let _: String = redis.xadd("raw_sensor_data:dead", "*", &letter).unwrap();
    let report = run(&url, &["status", "--json"]);
    let report_json = json(&report);
    assert_eq!(
        (report.code, &report_json["pipeline"]["ok"]),
        (Some(0), &Value::Bool(true))
    );
    assert_eq!(
        report_json["pipeline"]["warnings"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        report_json["facts"]["dead"]["reasons"][0],
        "temperature is not a decimal number (entry 5-0)"
    );
    assert_eq!(report_json["facts"]["entries_per_second"], 0.0);
}

#[test]
fn status_detects_a_collector_that_is_down_or_slow() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let old = format!("{}-0", now() - 120_000);
    let _: String = redis.xadd("raw_sensor_data", &old, &[("a", "b")]).unwrap();
    let unread = run(&url, &["status"]);
    assert_eq!(unread.code, Some(1));
    assert!(
        unread.out.contains("has left an entry unread for 2m"),
        "{}",
        unread.out
    );

    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("anomaly_detector_group").arg("owner");
    read.arg("STREAMS").arg("raw_sensor_data").arg(">");
    read.exec(&mut redis).unwrap();
    let stuck = run(&url, &["status"]);
    assert_eq!(stuck.code, Some(1));
    assert!(
        stuck.out.contains("has not acknowledged an entry for 2m"),
        "{}",
        stuck.out
    );
}

#[test]
fn status_detects_a_collector_that_is_behind() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let mut many = redis::pipe();
    for _ in 0..10_001 {
        many.xadd("raw_sensor_data", "*", &[("a", "b")]).ignore();
    }
    many.exec(&mut redis).unwrap();
    let behind = run(&url, &["status"]);
    assert_eq!(behind.code, Some(1));
    assert!(
        behind.out.contains("is 10001 entries behind"),
        "{}",
        behind.out
    );
}

#[test]
fn status_warns_before_redis_is_full() {
    let server = RedisServer::start_with(&["--maxmemory", "100mb"]).unwrap();
    let mut redis = server.client().get_connection().unwrap();
    groups(&mut redis);
    for n in 0..20 {
        let _: () = redis
            .hset("rackwatch:devices", format!("d{n}"), "{}")
            .unwrap();
    }
    let report = run(&server.url(), &["status"]);
    assert_eq!(report.code, Some(0), "{}", report.out);
    assert!(
        report.out.contains("over 70 % of maxmemory"),
        "{}",
        report.out
    );
    let _: () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("1mb")
        .query(&mut redis)
        .unwrap();
    let full = run(&server.url(), &["status"]);
    assert_eq!(full.code, Some(1), "{}", full.out);
    assert!(full.out.contains("Redis uses over 90 %"), "{}", full.out);
}

/// Writes an open episode of this severity.
fn open_episode(redis: &mut redis::Connection, device: &str, severity: &str) {
    let open = format!(
        r#"{{"v":1,"id":"0123456789abcdef","device":"{device}","rule":"high","kind":"high_temp","started":1,
        "severity":"{severity}","threshold":32,"temperature":33,"at":2,"rack":"","role":"inlet"}}"#
    );
    let field = format!("{device} high");
    let _: () = redis.hset("rackwatch:episodes", field, open).unwrap();
}

#[test]
fn the_room_has_a_verdict_of_its_own_and_exit_code_3_while_something_critical_is_open() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let status = |url: &str| {
        let text = run(url, &["status"]);
        let report = json(&run(url, &["status", "--json"]));
        (text, report)
    };
    let (text, report) = status(&url);
    assert_eq!(text.code, Some(0), "{}{}", text.out, text.err);
    assert!(text.out.ends_with("\nroom: all is well\n"), "{}", text.out);
    assert_eq!(report["room"]["state"], "well");

    open_episode(&mut redis, "a", "warning");
    let (text, report) = status(&url);
    assert_eq!(text.code, Some(0), "{}", text.out);
    assert!(
        text.out.ends_with("\nroom: 1 warning alert open\n"),
        "{}",
        text.out
    );
    assert_eq!(report["room"]["state"], "warning");

    open_episode(&mut redis, "b", "critical");
    let (text, report) = status(&url);
    assert_eq!(text.code, Some(3), "{}", text.out);
    assert!(text.out.contains("pipeline: all is well\n"), "{}", text.out);
    assert!(
        text.out
            .ends_with("\nroom: 1 critical and 1 warning alert open\n"),
        "{}",
        text.out
    );
    assert_eq!(report["room"]["state"], "critical");
    assert_eq!(report["pipeline"]["ok"], true);

    // Nothing groups alerts: the room may be worse by now.
    let _: () = redis.del("{rackwatch:incidents}:lease").unwrap();
    let (text, report) = status(&url);
    assert_eq!(text.code, Some(1), "{}", text.out);
    assert!(text.out.contains("\nroom: unknown: "), "{}", text.out);
    assert_eq!(report["room"]["state"], "unknown");
    assert_eq!(report["room"]["episodes"]["critical"], 1);
}

#[test]
fn a_row_without_cooling_is_exit_code_3() {
    let (_server, mut redis, url) = server();
    let _collector = crate::rig::running(&url);
    for second in 0..10 {
        for rack in ["R1", "R2", "R3"] {
            let (device, at) = (format!("inlet-{rack}-1"), 1_795_438_931_000 + second * 1000);
            crate::rig::send(&mut redis, &device, at, "45.0");
        }
    }
    rackwatch_testing::wait_until_sync(super::DEADLINE, "an incident is open", || {
        let open: u64 = redis.hlen("{rackwatch:incidents}:open").ok()?;
        (open > 0).then_some(())
    })
    .unwrap();
    let text = run(&url, &["status"]);
    assert_eq!(text.code, Some(3), "{}", text.out);
    assert!(text.out.contains("critical"), "{}", text.out);
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = run("redis://127.0.0.1:1", &["status", "--help"]);
    for code in ["0 ", "1 ", "2 ", "3 "] {
        assert!(help.out.contains(&format!("  {code}")), "{}", help.out);
    }
}

#[test]
fn an_agent_whose_every_entry_is_refused_is_a_problem_by_name() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let at = now().to_string();
    let mut send = |agent: &str, temperature: &str| {
        let fields = [
            ("device_id", "inlet-R1-1"),
            ("temperature", temperature),
            ("timestamp", &at),
            ("agent", agent),
            ("seq", "r1-1"),
        ];
        let id: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
        if temperature == "hot" {
            let letter = [("reason", "no number"), ("entry", &id), ("agent", agent)];
            let _: String = redis.xadd("raw_sensor_data:dead", "*", &letter).unwrap();
        }
    };
    for _ in 0..3 {
        send("host7", "hot");
        send("host8", "21.0");
    }
    send("host9", "21.0");
    send("host9", "hot");
    let refused = run(&url, &["status"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    let named = "every entry of agent host7 is refused";
    assert!(refused.out.contains(named), "{}", refused.out);
    for other in ["host8", "host9"] {
        let named = format!("agent {other}");
        assert!(!refused.out.contains(&named), "{}", refused.out);
    }
}

#[test]
fn a_notification_that_failed_for_good_is_a_problem_by_notifier() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let deliver = |redis: &mut redis::Connection, key: &str, state: &str, at: u64| {
        let json = format!(
            r#"{{"v":1,"notifier":"ops","key":"{key}","incident_id":"a","event":"opened","title":"too hot: rack R1",
            "state":"{state}","attempts":1,"at_ms":{at},"reason":"404 Not Found"}}"#
        );
        let fields = [("delivery", json)];
        let _: String = redis.xadd("rackwatch:deliveries", "*", &fields).unwrap();
    };
    deliver(&mut redis, "1", "sent", now());
    deliver(&mut redis, "2", "retrying", now());
    let well = run(&url, &["status"]);
    assert_eq!(well.code, Some(0), "{}", well.out);
    // Of yesterday's, nothing can be done any more.
    deliver(&mut redis, "3", "failed", now() - 2 * 3_600_000);
    let past = run(&url, &["status"]);
    assert_eq!(past.code, Some(0), "{}", past.out);
    assert!(past.out.contains("warnings: ops"), "{}", past.out);
    deliver(&mut redis, "4", "failed", now());
    let failed = run(&url, &["status"]);
    assert_eq!(failed.code, Some(1), "{}", failed.out);
    let named = "problems: ops rejected 1 notification in the last hour, and people did not get it: too hot: rack R1 (404 Not Found)";
    assert!(failed.out.contains(named), "{}", failed.out);
}
