//! `alerts`: listing and following.

use std::process::{Command, Stdio};
use std::time::Duration;

use redis::Commands as _;

use super::{DEADLINE, json, now, run, server, spawn};

/// 2026-11-23 13:02:11 UTC.
const AT: &str = "1795438931000";

fn alert(connection: &mut redis::Connection, id: &str, device: &str, severity: &str) {
    let fields = [
        ("type", "high_temp"),
        ("device_id", device),
        ("temperature", "33.1"),
        ("timestamp", AT),
        ("threshold", "32"),
        ("severity", severity),
        ("state", "firing"),
        ("alert_id", "a1b2c3d4e5f60718"),
        ("rule", "high_temp"),
        ("rack", "B07"),
        ("u", "42"),
        ("role", "inlet"),
    ];
    let _: String = connection.xadd("anomaly_alerts", id, &fields).unwrap();
}

const INLET: &str = "2026-11-23 13:02:11+00:00 CRITICAL high_temp  B07/U42 inlet inlet-B07-1  \
                     33.1 °C > 32.0  [a1b2c3]\n";

#[test]
fn matching_alerts_are_listed_as_text_and_json() {
    let (_server, mut redis, url) = server();
    alert(
        &mut redis,
        &format!("{}-0", now() - 7_200_000),
        "inlet-B07-0",
        "critical",
    );
    alert(&mut redis, "*", "inlet-B07-1", "critical");
    alert(&mut redis, "*", "cpu-h1-1", "warning");
    let args = ["alerts", "--since", "1h", "--device", "inlet-*"];
    assert_eq!(run(&url, &args).out, INLET);
    assert_eq!(run(&url, &["alerts"]).out.lines().count(), 3);
    let worst = run(
        &url,
        &[
            "alerts",
            "--since",
            "1h",
            "--severity",
            "critical",
            "--json",
        ],
    );
    assert_eq!(json(&worst)["device_id"], "inlet-B07-1", "{}", worst.out);
    let none = run(&url, &["alerts", "--device", "x"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.contains("No matching alerts"), "{}", none.err);
}

#[test]
fn a_long_listing_contains_every_alert_once() {
    let (_server, mut redis, url) = server();
    for n in 0..1234 {
        alert(&mut redis, "*", &format!("inlet-B07-{n}"), "info");
    }
    let out = run(&url, &["alerts"]).out;
    let lines: std::collections::BTreeSet<_> = out.lines().collect();
    assert_eq!((lines.len(), out.lines().count()), (1234, 1234));
}

#[test]
fn following_survives_an_outage_and_ends_on_a_signal() {
    let (mut server, mut redis, url) = server();
    alert(&mut redis, "*", "inlet-B07-1", "critical");
    let mut program = spawn(&url, &["alerts", "--follow"]);
    program
        .wait_stdout_contains("inlet-B07-1", DEADLINE)
        .unwrap();
    alert(&mut redis, "*", "inlet-B07-2", "critical");
    program
        .wait_stdout_contains("inlet-B07-2", DEADLINE)
        .unwrap();
    server.stop().unwrap();
    program
        .wait_stderr_contains("no connection to redis", DEADLINE)
        .unwrap();
    server.restart().unwrap();
    let mut redis = server.client().get_connection().unwrap();
    alert(&mut redis, "*", "inlet-B07-3", "critical");
    program
        .wait_stdout_contains("inlet-B07-3", DEADLINE)
        .unwrap();
    program.term().unwrap();
    let ended = program.wait_exit(Duration::from_secs(5)).unwrap();
    assert_eq!(ended.code(), Some(0), "{}", program.stderr());
    assert_eq!(program.stdout().lines().count(), 3);
}

#[test]
fn a_closed_pipe_ends_a_listing_without_error() {
    let (_server, mut redis, url) = server();
    for n in 0..3000 {
        alert(&mut redis, "*", &format!("inlet-B07-{n}"), "info");
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_rackwatch-collector"))
        .args(["alerts", "--redis", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}
