//! Alerts that a person resolves, because no reading ever will.

use rackwatch_testing::{Program, RedisServer, free_port, http_post, wait_until_sync};
use redis::{Commands, Connection};

use super::{command, notified, now, wait_notified};
use crate::rig::{DEADLINE, alerts, collector, connect, running, send};

/// Returns the ids of the alerts of a device, in the order of their records.
fn alert_ids(redis: &mut Connection, device: &str) -> Vec<String> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let ours = all
        .ids
        .iter()
        .filter(|entry| entry.get::<String>("device_id").as_deref() == Some(device));
    ours.filter_map(|entry| entry.get("alert_id")).collect()
}

/// Returns `ended_by` of each record that ends an alert.
fn ends(redis: &mut Connection) -> Vec<String> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let resolved = all
        .ids
        .iter()
        .filter(|entry| entry.get::<String>("state").as_deref() == Some("resolved"));
    let by = resolved.map(|entry| entry.get("ended_by").unwrap_or_default());
    by.collect()
}

fn wait_ends(redis: &mut Connection, expected: &[&str]) {
    wait_until_sync(DEADLINE, "the records are there", || {
        (ends(redis) == expected).then_some(())
    })
    .unwrap();
}

/// Sends a hot reading of a sensor that vanishes then, and waits for its incident. Returns the incident's id.
fn hot_and_gone(redis: &mut Connection, device: &str) -> String {
    send(redis, device, now(), "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let open: Vec<String> = redis.hkeys("{rackwatch:incidents}:open").unwrap();
    open[0].clone()
}

#[test]
fn an_alert_of_a_vanished_sensor_is_resolved_by_hand_on_an_idle_stream() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let collector = running(&url);
    hot_and_gone(redis, "inlet-R1-1");
    let id = alert_ids(redis, "inlet-R1-1").remove(0);
    let (code, out, err) = command(
        &url,
        &[
            "alerts",
            "resolve",
            &id[..6],
            "--by",
            "ann",
            "--note",
            "sensor was removed",
        ],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("1 alert resolved by ann"), "{out}");
    wait_ends(redis, &["operator"]);
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    collector
        .wait_stderr_contains("sensor was removed", DEADLINE)
        .unwrap();
    for key in ["rackwatch:resolutions", "rackwatch:episodes"] {
        assert_eq!(redis.hlen::<_, u64>(key).unwrap(), 0, "{key}");
    }
    // An id that is not open is an error, and leaves nothing behind.
    for (args, why) in [
        (
            ["alerts", "resolve", id.as_str()],
            "no open alert has an id that begins with",
        ),
        (["incidents", "resolve", "ffffffff"], "no open incident"),
    ] {
        let (code, _, err) = command(&url, &args);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(why), "{err}");
    }
    let (code, _, err) = command(&url, &["alerts", "resolve", "ab"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(!redis.exists::<_, bool>("rackwatch:resolutions").unwrap());
    // A sensor that still crosses its limit alerts again.
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_until_sync(DEADLINE, "it alerts again", || {
        let (_, firing): (Vec<_>, Vec<_>) = alerts(redis)
            .into_iter()
            .partition(|[_, _, _, state, _]| state == "resolved");
        (firing.len() == 2).then_some(())
    })
    .unwrap();
    assert_eq!(ends(redis), ["operator"]);
}

#[test]
fn an_incident_is_resolved_by_hand_after_another_collector_has_taken_over() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let mut first = running(&url);
    let incident = hot_and_gone(redis, "inlet-R1-1");
    send(redis, "inlet-R1-2", now(), "33.0");
    wait_until_sync(DEADLINE, "both are open", || {
        let members: u64 = redis.hlen("{rackwatch:incidents}:members").ok()?;
        (members == 2).then_some(())
    })
    .unwrap();
    first.kill().unwrap();
    let second = running(&url);
    let (code, out, err) = command(
        &url,
        &["incidents", "resolve", &incident[..6], "--by", "ann"],
    );
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains(&format!("2 alerts of incident {incident} resolved by ann")),
        "{out}"
    );
    wait_ends(redis, &["operator", "operator"]);
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    // The state of before is not taken for an alert after a restart.
    let third = running(&url);
    drop(second);
    send(redis, "inlet-R2-1", now(), "22.0");
    wait_until_sync(DEADLINE, "the third has taken over", || {
        let taken = third.stderr().contains("partition taken over");
        (taken && crate::rig::all_done(redis).is_some()).then_some(())
    })
    .unwrap();
    assert_eq!(alerts(redis).len(), 4, "{:?}", alerts(redis));
}

/// A collector that dies between the record and the reply must not write the record twice.
#[test]
fn a_collector_killed_around_the_commit_resolves_once() {
    for failpoint in ["before commit", "after commit"] {
        let server = RedisServer::start().unwrap();
        let (redis, url) = (&mut connect(&server.url()), server.url());
        let first = running(&url);
        hot_and_gone(redis, "inlet-R1-1");
        drop(first);
        let id = alert_ids(redis, "inlet-R1-1").remove(0);
        let mut doomed = doomed(&url, failpoint);
        let asked = collector(&["alerts", "resolve", &id, "--by", "ann", "--redis", &url]);
        doomed.wait_exit(DEADLINE).unwrap();
        let _second = running(&url);
        wait_ends(redis, &["operator"]);
        wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
        drop(asked);
        assert_eq!(notified(redis).len(), 2);
        assert_eq!(ends(redis).len(), 1, "{failpoint}");
    }
}

fn doomed(url: &str, failpoint: &str) -> Program {
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", "127.0.0.1:0"],
        &[
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            ("RACKWATCH_FAILPOINT", failpoint),
        ],
    )
    .unwrap()
}

/// Without a collector nothing is resolved; the command says so, and the request does not stay for ever.
#[test]
fn a_resolution_that_nobody_carries_out_expires() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let first = running(&url);
    hot_and_gone(redis, "inlet-R1-1");
    drop(first);
    let id = alert_ids(redis, "inlet-R1-1").remove(0);
    let (code, _, err) = command(&url, &["alerts", "resolve", &id, "--wait", "0s"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no collector has carried it out"), "{err}");
    let left: i64 = redis.ttl("rackwatch:resolutions").unwrap();
    assert!((3_500..=3_600).contains(&left), "{left}");
    // Of another version, or of an alert that has ended: neither is in the way of the others.
    let _: () = redis
        .hset_multiple(
            "rackwatch:resolutions",
            &[
                (
                    "0123456789abcdef",
                    r#"{"v":1,"device":"inlet-R1-1","by":"bob","at_ms":0}"#,
                ),
                ("1123456789abcdef", r#"{"v":2}"#),
            ],
        )
        .unwrap();
    let _second = running(&url);
    wait_ends(redis, &["operator"]);
    wait_until_sync(DEADLINE, "those understood are gone", || {
        let left: Vec<String> = redis.hkeys("rackwatch:resolutions").ok()?;
        (left == ["1123456789abcdef"]).then_some(())
    })
    .unwrap();
    let (_, out, _) = command(&url, &["status"]);
    assert!(out.contains("rackwatch:resolutions"), "{out}");
}

#[test]
fn the_api_resolves_an_incident_by_hand() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let _collector = collector(&["run", "--redis", &url, "--listen", &listen]);
    let incident = hot_and_gone(redis, "inlet-R1-1");
    let path = format!("/api/v1/incidents/{incident}/resolve");
    let (status, body) = http_post(port, &path, r#"{"by":"ann","note":"removed"}"#).unwrap();
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected =
        serde_json::json!({"incident_id": incident, "by": "ann", "alerts": 1, "left": 0});
    assert_eq!(body, expected);
    wait_ends(redis, &["operator"]);
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
}
