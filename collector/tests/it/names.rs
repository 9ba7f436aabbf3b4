//! Names that others choose: none forges a line, and each is one name wherever it is listed.

use std::fs;

use rackwatch_testing::{Program, RedisServer, WebhookReceiver, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::incidents::{command, now, wait_notified};
use crate::rig::{DEADLINE, connect, wait_all_done, xadd};

/// The start of a line that a name may not forge.
const FORGED: &str = "2026-01-01 00:00:00+00:00 CRITICAL";

/// Starts a collector with this configuration besides the usual one of tests.
fn configured(url: &str, folder: &tempfile::TempDir, config: &str) -> Program {
    let file = folder.path().join("collector.toml");
    let usual = "[partition]\nlease = \"1s\"\n[incidents]\nresolve_after = \"0s\"\n";
    fs::write(&file, format!("{usual}{config}")).unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[
            ("RACKWATCH_CONFIG", &file.display().to_string()),
            ("TZ", "UTC"),
        ],
    )
    .unwrap()
}

fn describe(redis: &mut Connection, device: &str, rack: &str) {
    let json = serde_json::json!({ "role": "inlet", "agent": "h", "rack": rack });
    let _: () = redis
        .hset("rackwatch:devices", device, json.to_string())
        .unwrap();
    let _: u64 = redis.incr("rackwatch:devices:revision", 1).unwrap();
}

/// Appends a reading of an agent, whose devices are evaluated once they are described.
fn read(redis: &mut Connection, device: &str, n: u64, temperature: &str) {
    let (seq, at) = (format!("r-{n}"), (now() + n).to_string());
    let agent = [("agent", "h"), ("seq", seq.as_str())];
    let value = [
        ("device_id", device),
        ("temperature", temperature),
        ("timestamp", &at),
    ];
    xadd(redis, &[&agent[..], &value[..]].concat());
}

#[test]
fn a_description_with_a_newline_in_a_name_is_refused_with_its_reason() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let folder = tempfile::tempdir().unwrap();
    let alerts = folder.path().join("alerts.log");
    describe(redis, "inlet-a-1", &format!("B07\n{FORGED} forged"));
    describe(redis, "inlet-a-2", "B08");
    let config = format!("[alerts]\nfile = {alerts:?}\n");
    let collector = configured(&url, &folder, &config);
    for device in ["inlet-a-1", "inlet-a-2"] {
        read(redis, device, 1, "33.0");
    }
    let written = || fs::read_to_string(&alerts).unwrap_or_default();
    wait_until_sync(DEADLINE, "the alert of the good rack", || {
        written().contains("inlet-a-2").then_some(())
    })
    .unwrap();
    wait_all_done(redis);
    for text in [written(), collector.stdout()] {
        assert!(!text.lines().any(|line| line.starts_with(FORGED)), "{text}");
        assert!(!text.contains("inlet-a-1"), "{text}");
    }
    let reason = "rack is not a name: it has the invisible character";
    collector.wait_stderr_contains(reason, DEADLINE).unwrap();
    let (code, out, _) = command(&url, &["status"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("1 device description in rackwatch:devices has no effect"),
        "{out}"
    );
    assert!(out.contains(reason), "{out}");
    let (_, out, _) = command(&url, &["devices", "list"]);
    assert!(out.contains(reason), "{out}");
}

#[test]
fn an_agent_with_an_invisible_name_is_a_dead_letter() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let folder = tempfile::tempdir().unwrap();
    let _collector = configured(&server.url(), &folder, "");
    let at = now().to_string();
    let reading = [
        ("device_id", "inlet-a-1"),
        ("temperature", "21"),
        ("timestamp", at.as_str()),
    ];
    for agent in ["node\u{202e}7", "node\u{200b}7"] {
        xadd(redis, &[&[("agent", agent)], &reading[..]].concat());
    }
    let odd = format!("no\nte{}", "x".repeat(1 << 20));
    xadd(redis, &[&[(odd.as_str(), "1")], &reading[..]].concat());
    wait_all_done(redis);
    let dead: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data:dead").unwrap();
    let reasons: Vec<String> = dead
        .ids
        .iter()
        .map(|one| one.get("reason").unwrap())
        .collect();
    let bad_agent = "agent is not a name of 1 to 128 visible characters";
    assert_eq!(&reasons[..2], [bad_agent, bad_agent]);
    assert!(reasons[2].starts_with("field no\\nte"), "{}", reasons[2]);
}

#[test]
fn records_of_other_programs_are_printed_escaped() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let folder = tempfile::tempdir().unwrap();
    let alerts = folder.path().join("alerts.log");
    let config = format!("[alerts]\nfile = {alerts:?}\n");
    let collector = configured(&url, &folder, &config);
    wait_until_sync(DEADLINE, "the console listens", || {
        let groups: redis::RedisResult<redis::streams::StreamInfoGroupsReply> =
            redis.xinfo_groups("anomaly_alerts");
        groups.ok().filter(|reply| !reply.groups.is_empty())
    })
    .unwrap();
    let at = now().to_string();
    let rack = format!("B07\n{FORGED} forged \u{1b}[31m\u{202e}");
    let record = [
        ("type", "high_temp"),
        ("device_id", "inlet-a-1"),
        ("temperature", "33.0"),
        ("timestamp", at.as_str()),
        ("threshold", "32"),
        ("severity", "critical"),
        ("state", "firing"),
        ("alert_id", "a1b2c3"),
        ("rule", "high\r\ntemp"),
        ("rack", rack.as_str()),
    ];
    let _id: String = redis.xadd("anomaly_alerts", "*", &record).unwrap();
    wait_notified(redis, &[("opened", "critical")]);
    wait_until_sync(DEADLINE, "the incident is printed", || {
        collector.stdout().contains(" incident ").then_some(())
    })
    .unwrap();
    let (_, listed, _) = command(&url, &["alerts"]);
    let (_, incidents, _) = command(&url, &["incidents"]);
    for text in [
        fs::read_to_string(&alerts).unwrap(),
        collector.stdout(),
        listed,
        incidents,
    ] {
        assert!(text.contains("B07\\n"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with(FORGED)), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text}");
    }
    // What is logged of it too.
    let bad = [
        ("type", "high_temp"),
        ("device_id", "inlet-a-1"),
        ("alert_id", "x\n1"),
    ];
    let _id: String = redis.xadd("anomaly_alerts", "*", &bad).unwrap();
    collector
        .wait_stderr_contains("cannot decode an alert record", DEADLINE)
        .unwrap();
}

#[test]
fn a_rack_named_with_a_comma_is_one_rack_for_routes() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "a secret of some length\n").unwrap();
    let config = format!(
        "[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = {:?}\nsecret_file = {secret:?}\n\
         [[notify.routes]]\nracks = [\"B07, left\"]\n",
        receiver.url()
    );
    describe(redis, "inlet-a-1", "B07, left");
    let _collector = configured(&server.url(), &folder, &config);
    wait_until_sync(DEADLINE, "the notifier listens", || {
        let groups: redis::RedisResult<redis::streams::StreamInfoGroupsReply> =
            redis.xinfo_groups("rackwatch:incidents");
        groups.ok().filter(|reply| !reply.groups.is_empty())
    })
    .unwrap();
    read(redis, "inlet-a-1", 1, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let sent = wait_until_sync(DEADLINE, "the notification", || receiver.requests().pop()).unwrap();
    let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
    assert!(body.to_string().contains(r#"["B07, left"]"#), "{body}");
}
