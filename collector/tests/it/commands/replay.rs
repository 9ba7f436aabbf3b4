//! `replay`: evaluates rules on recordings and on history in Redis.

use std::fmt::Write;

use rackwatch_testing::RedisServer;
use redis::Commands;
use tempfile::TempDir;

use crate::rig::{DEADLINE, collector, connect};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }
}

fn replay(args: &[&str]) -> (i32, String, String) {
    let mut all = vec!["replay"];
    all.extend(args);
    let mut program = collector(&all);
    let code = program.wait_exit(DEADLINE).unwrap().code().unwrap();
    (code, program.stdout(), program.stderr())
}

/// Two devices, one line per minute each. The first is too hot from 10:05 to 10:07.
fn hot() -> String {
    let mut text = "timestamp,device_id,temperature\n".to_owned();
    for minute in 0..12 {
        let hot = if (5..8).contains(&minute) { 29.0 } else { 27.0 };
        writeln!(text, "2026-11-23 10:{minute:02}:00,inlet-B07-1,{hot}").unwrap();
        writeln!(text, "2026-11-23 10:{minute:02}:00,inlet-B07-2,23.5").unwrap();
    }
    text
}

#[test]
fn alerts_are_printed_and_counted() {
    let files = Files::new();
    let hot = files.write("hot.csv", &hot());
    let (code, out, _) = replay(&[&hot, "--only", "high_temp"]);
    assert_eq!(code, 0);
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with(
            "2026-11-23 10:05:00+00:00 WARNING  high_temp  B07 inlet inlet-B07-1  29.0 °C > 28.0, +1.0 °C/min  ["
        ),
        "{out}"
    );
    assert!(
        lines[1].starts_with(
            "2026-11-23 10:08:00+00:00 RESOLVED high_temp  B07 inlet inlet-B07-1  27.0 °C after 3m"
        ),
        "{out}"
    );
    assert!(
        lines[3].starts_with("24 readings of 2 devices over 11m in "),
        "{out}"
    );
    assert_eq!(lines[5], "rule       info  warning  critical  devices");
    assert_eq!(lines[6], "high_temp     0        1         0        1");
}

#[test]
fn rules_of_a_file_apply_and_records_are_json() {
    let files = Files::new();
    let hot = files.write("hot.csv", &hot());
    let rules = files.write(
        "rules.toml",
        "[[rules]]\ntype = 'high_temp'\ndevice = ['*-2']\nwarning = 23.0\n",
    );
    let (code, out, _) = replay(&[&hot, "--only", "high_temp", "--rules", &rules, "--json"]);
    assert_eq!(code, 0);
    let records: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let record = |n: usize| {
        (
            records[n]["device_id"].as_str(),
            records[n]["state"].as_str(),
        )
    };
    assert_eq!(records.len(), 3);
    assert_eq!(record(0), (Some("inlet-B07-2"), Some("firing")));
    assert_eq!(record(2), (Some("inlet-B07-1"), Some("resolved")));
}

#[test]
fn alarms_are_scored_against_labels() {
    let files = Files::new();
    let mut text = "n,mote,value\n".to_owned();
    for n in 0..1000 {
        writeln!(
            text,
            "{n},a,{}",
            if (400..420).contains(&n) { 33 } else { 22 }
        )
        .unwrap();
    }
    let file = files.write("motes.csv", &text);
    let labels = files.write("labels.json", r#"{"windows": [[3990000, 4290000]]}"#);
    let args = [
        &file,
        "--columns",
        "device=mote",
        "--interval",
        "10s",
        "--only",
        "high_temp",
        "--labels",
        &labels,
    ];
    let (code, out, err) = replay(&args);
    assert_eq!(code, 0, "{err}");
    let last = out.lines().last().unwrap();
    assert_eq!(
        last,
        "a: 1 of 1 anomalies detected, median delay 10s, 0 false alarms after the first 15 %, NAB score 99.9",
        "{out}"
    );
}

#[test]
fn labels_that_touch_no_reading_are_an_error() {
    let files = Files::new();
    let file = files.write("a.csv", "timestamp,value\n1000,22\n2000,22\n");
    for labels in [
        r#"{"windows": [[3990000, 4290000]]}"#,
        r#"{"other-device": [[1000, 2000]]}"#,
    ] {
        let labels = files.write("labels.json", labels);
        let (code, _, err) = replay(&[&file, "--labels", &labels]);
        assert_eq!(code, 2);
        assert!(
            err.contains("no window of") && err.contains("labels.json"),
            "{err}"
        );
    }
}

#[test]
fn invalid_recordings_and_rule_types_are_errors() {
    let files = Files::new();
    let file = files.write("odd.csv", "when,value\n1,2\n");
    let (code, _, err) = replay(&[&file]);
    assert_eq!(code, 2);
    assert!(
        err.contains("no timestamp column") && err.contains("when, value"),
        "{err}"
    );
    let (code, _, err) = replay(&[&file, "--only", "noise"]);
    assert_eq!(code, 2);
    assert!(err.contains("expected high_temp, "), "{err}");
    let (code, _, err) = replay(&["/nowhere.csv"]);
    assert_eq!(code, 2);
    assert!(err.contains("/nowhere.csv"), "{err}");
}

#[test]
fn history_is_replayed_with_the_descriptions_of_devices() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let now = rackwatch_runtime::clock::now().millis();
    for (device, role) in [("inlet-B07-1", "inlet"), ("cpu-B07-1", "cpu")] {
        let described = format!(r#"{{"role":"{role}","agent":"node7"}}"#);
        let _: () = redis.hset("rackwatch:devices", device, described).unwrap();
        for n in 0..10u64 {
            let at = format!("{}-0", now - 600_000 + n * 10_000);
            let value = if n < 5 { "24.0" } else { "29.0" };
            let key = format!("sensor:{device}:temp");
            let _: String = redis.xadd(key, at, &[("t", value)]).unwrap();
        }
    }
    let (code, out, err) = replay(&[
        "--history",
        "*-B07-*",
        "--from",
        "-20m",
        "--redis",
        &server.url(),
        "--only",
        "high_temp",
        "--json",
    ]);
    assert_eq!(code, 0, "{err}");
    // 29 °C is hot for an inlet, and normal for a CPU.
    let records: Vec<_> = out.lines().collect();
    assert_eq!(records.len(), 1, "{out}");
    assert!(records[0].contains("inlet-B07-1"), "{out}");
    let (code, _, err) = replay(&["--history", "nothing*", "--redis", &server.url()]);
    assert_eq!(code, 1);
    assert!(
        err.contains("no readings of devices matching nothing*"),
        "{err}"
    );
}

/// A sensor stops while it is hot; another goes on for ten minutes.
#[test]
fn alerts_of_a_silent_device_end_after_the_configured_time() {
    let files = Files::new();
    let mut text = "timestamp,device_id,temperature\n".to_owned();
    for step in 0..80 {
        let (minute, second) = (step * 10 / 60, step * 10 % 60);
        if step < 12 {
            writeln!(
                text,
                "2026-11-23 10:{minute:02}:{second:02},inlet-B07-1,35.0"
            )
            .unwrap();
        }
        writeln!(
            text,
            "2026-11-23 10:{minute:02}:{second:02},inlet-B07-2,23.5"
        )
        .unwrap();
    }
    let recording = files.write("silent.csv", &text);
    let ended = |config: &str| {
        let config = files.write("collector.toml", config);
        let (code, out, err) = replay(&[
            &recording,
            "--only",
            "high_temp",
            "--config",
            &config,
            "--json",
        ]);
        assert_eq!(code, 0, "{err}");
        let records = out.lines().map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["ended_by"].as_str().unwrap_or_default().to_owned()
        });
        records.filter(|by| !by.is_empty()).collect::<Vec<String>>()
    };
    assert_eq!(ended(""), Vec::<String>::new(), "a day by default");
    assert_eq!(ended("[alerts]\nstale_after = '5m'\n"), ["stale"]);
    let config = files.write("wrong.toml", "[alerts]\nstale_after = '10s'\n");
    let (code, _, err) = replay(&[&recording, "--config", &config]);
    assert_eq!(code, 2);
    assert!(
        err.contains("alerts.stale_after") && err.contains("at least 1m"),
        "{err}"
    );
}
