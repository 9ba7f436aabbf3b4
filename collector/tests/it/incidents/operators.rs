//! Actions of operators: acknowledgements, silences, maintenance windows and the site.

use std::fs;

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::Commands;

use super::{command, notified, now, records, wait_dealt_with, wait_notified};
use crate::rig::{DEADLINE, alerts, connect, running, send};

/// Returns the id in parentheses at the end of the output of `silence add` and `maintenance add`.
fn printed_id(out: &str) -> &str {
    let (_, id) = out.trim_end().rsplit_once('(').unwrap();
    id.trim_end_matches(')')
}

#[test]
fn an_incident_is_acknowledged_by_the_id_of_one_of_its_alerts() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let _collector = running(&url);
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let alerts: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let id: String = alerts.ids[0].get("alert_id").unwrap();
    let (code, out, err) = command(&url, &["ack", &id[..6], "--by", "ann"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("acknowledged by ann"), "{out}");
    wait_until_sync(DEADLINE, "it is recorded", || {
        let last = records(redis).pop()?;
        (last.0 == "acked").then_some(())
    })
    .unwrap();
    let (_, out, _) = command(&url, &["incidents"]);
    assert!(
        out.contains("CRITICAL incident   too hot: sensor inlet-R1-1"),
        "{out}"
    );
    assert!(out.trim_end().ends_with("acknowledged by ann"), "{out}");
    let (code, _, err) = command(&url, &["ack", "ffffffffffff"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no open incident"), "{err}");
}

/// A rise of severity is news, which the person has not seen.
#[test]
fn an_acknowledgement_that_growth_ended_is_not_counted() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let _collector = running(&url);
    send(redis, "inlet-R1-1", now(), "29.0");
    wait_notified(redis, &[("opened", "warning")]);
    let open: Vec<String> = redis.hkeys("{rackwatch:incidents}:open").unwrap();
    let (code, _, err) = command(&url, &["ack", &open[0], "--by", "ann"]);
    assert_eq!(code, Some(0), "{err}");
    let acknowledged = |count: u64| {
        wait_until_sync(DEADLINE, "status counts it", || {
            let (_, out, _) = command(&url, &["status", "--json"]);
            let status: serde_json::Value = serde_json::from_str(&out).ok()?;
            let incidents = &status["facts"]["incidents"];
            (incidents["open"] == 1 && incidents["acked"] == count).then_some(())
        })
        .unwrap();
    };
    acknowledged(1);
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_until_sync(DEADLINE, "it is worse", || {
        let last = records(redis).pop()?;
        (last.0 == "worse").then_some(())
    })
    .unwrap();
    acknowledged(0);
}

#[test]
fn a_silence_suppresses_notifications_until_it_ends() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let (code, out, err) = command(
        &url,
        &[
            "silence",
            "add",
            "--maintenance",
            "R1",
            "--for",
            "2h",
            "--by",
            "ann",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("Silenced rack R1 until "), "{out}");
    let id = printed_id(&out);
    let _collector = running(&url);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_until_sync(DEADLINE, "it is recorded", || {
        (!alerts(redis).is_empty() && !records(redis).is_empty()).then_some(())
    })
    .unwrap();
    wait_dealt_with(redis);
    assert!(notified(redis).is_empty());
    // Another rack is heard of.
    send(redis, "inlet-R2-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let (_, list, _) = command(&url, &["silence", "list"]);
    assert!(list.contains(id) && list.contains("rack R1"), "{list}");
    for (device, later) in [("inlet-R2-1", 1000), ("inlet-R1-1", 1000)] {
        send(redis, device, start + later, "24.0");
    }
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    // An alert that fires when a silence ends is notified.
    send(redis, "inlet-R1-1", start + 2000, "33.0");
    wait_until_sync(DEADLINE, "it is recorded", || {
        (records(redis).last()?.0 == "pending").then_some(())
    })
    .unwrap();
    let (code, ..) = command(&url, &["silence", "remove", id]);
    assert_eq!(code, Some(0));
    wait_notified(
        redis,
        &[
            ("opened", "critical"),
            ("resolved", "critical"),
            ("opened", "critical"),
        ],
    );
}

#[test]
fn a_window_suppresses_notifications_until_it_is_removed() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let add = ["maintenance", "add", "--rack", "R1", "--for", "2h"];
    let (code, out, err) = command(&url, &[&add[..], &["--from", "now"]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("Maintenance of rack R1 open until "),
        "{out}"
    );
    let id = printed_id(&out);
    // Every minute for an hour: it is always open.
    let again = [&add[..5], &["1h", "--cron", "* * * * *"]].concat();
    let (code, out, err) = command(&url, &again);
    assert_eq!(code, Some(0), "{err}");
    let other = printed_id(&out);
    let _collector = running(&url);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_until_sync(DEADLINE, "it is recorded", || {
        (!alerts(redis).is_empty() && !records(redis).is_empty()).then_some(())
    })
    .unwrap();
    wait_dealt_with(redis);
    assert!(notified(redis).is_empty());
    let (_, list, _) = command(&url, &["maintenance", "list"]);
    assert!(
        list.contains(id) && list.contains("* * * * * UTC"),
        "{list}"
    );
    let (code, _, err) = command(&url, &["maintenance", "remove", id]);
    assert_eq!(code, Some(0), "{err}");
    wait_dealt_with(redis);
    assert!(notified(redis).is_empty(), "the other is open");
    let (code, _, err) = command(&url, &["maintenance", "remove", other]);
    assert_eq!(code, Some(0), "{err}");
    wait_notified(redis, &[("opened", "critical")]);
    for (args, why) in [
        (vec!["--cron", "often"], "five fields"),
        (
            vec!["--cron", "0 1 * * *", "--zone", "Atlantis"],
            "Atlantis",
        ),
    ] {
        let (code, _, err) = command(&url, &[&add[..], &args].concat());
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn a_silence_for_everything_is_refused() {
    let server = RedisServer::start().unwrap();
    let (code, _, err) = command(&server.url(), &["silence", "add", "--for", "1h"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("matches every alert"), "{err}");
}

const SITE: &str = r#"
[[racks]]
rack = ["B*"]
row = "B"
room = "hall 1"
cooler = ["crah-1"]

[[devices]]
device = ["probe-*"]
rack = "B07"
u = 12
"#;

#[test]
fn the_site_says_where_alerts_are() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    fs::write(&file, SITE).unwrap();
    let file = file.display().to_string();
    let described = r#"{"role":"inlet","rack":"B01"}"#;
    let _: () = redis
        .hset("rackwatch:devices", "inlet-B01-1", described)
        .unwrap();
    let _: () = redis
        .hset("rackwatch:devices", "probe-1", r#"{"role":"inlet"}"#)
        .unwrap();
    let _: () = redis
        .hset("rackwatch:devices", "lost-1", r#"{"role":"inlet"}"#)
        .unwrap();
    let (code, out, err) = command(&url, &["site", "check", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.ends_with(
            "room    row  rack  coolers  devices\n\
             hall 1  B    B01   crah-1         1\n\
             hall 1  B    B07   crah-1         1\n\n\
             Without a rack: lost-1\n"
        ),
        "{out}"
    );
    let (_, out, _) = command(&url, &["site", "show"]);
    assert_eq!(out, "# no site applied\n");
    let (code, out, err) = command(&url, &["site", "apply", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("Applied site version 1:"), "{out}");
    let (_, out, _) = command(&url, &["site", "show"]);
    assert!(out.starts_with("# version 1, applied by "), "{out}");
    fs::write(&file, out).unwrap();
    let (code, ..) = command(&url, &["site", "check", &file]);
    assert_eq!(code, Some(0), "what is shown is a file");

    let _collector = running(&url);
    let start = now();
    send(redis, "probe-1", start, "33.0");
    send(redis, "inlet-B01-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    wait_until_sync(DEADLINE, "both are one", || {
        let last = records(redis).pop()?;
        (last.3 == "too hot: cooler crah-1, 2 sensors in B01, B07").then_some(())
    })
    .unwrap();
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let probe = all
        .ids
        .iter()
        .find(|entry| entry.get::<String>("device_id").as_deref() == Some("probe-1"));
    assert_eq!(probe.unwrap().get::<String>("rack").as_deref(), Some("B07"));
}

#[test]
fn a_fault_in_a_site_file_is_reported_with_its_place() {
    let server = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    for (text, why) in [
        ("[[racks]]\nrack = [\"B[\"]", "racks[0].rack = \"B[\""),
        ("[[devices]]\nrack = \"B1\"", "devices[0].host"),
        ("[[racks]]\nrack = [\"B\"]\nrwo = \"B\"", "rwo"),
    ] {
        fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let (code, _, err) = command(&server.url(), &["site", "apply", &path]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(why) && err.contains("site.toml"), "{err}");
    }
}
