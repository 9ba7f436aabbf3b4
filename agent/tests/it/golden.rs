//! Golden tests of what the agent's commands print.

use std::fmt::Write as _;
use std::process::Command;

use rackwatch_testing::{RedisServer, assert_golden, help_pages};

const AGENT: &str = env!("CARGO_BIN_EXE_rackwatch-agent");

#[test]
fn help_of_every_command() {
    let text = help_pages(AGENT).unwrap();
    assert_golden!("words_help.txt", text);
}

/// Lists only the simulated sensors, sorted by id.
fn sensors(json: bool) -> String {
    let mut command = Command::new(AGENT);
    command.arg("sensors");
    if json {
        command.arg("--json");
    }
    command
        .env("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true")
        .env("RACKWATCH_SOURCES__HWMON__ENABLED", "false")
        .env("RACKWATCH_AGENT__NAME", "host7");
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn sensors_of_a_host() {
    let mut text = String::new();
    let rows: serde_json::Value = serde_json::from_str(&sensors(true)).unwrap();
    for row in rows.as_array().unwrap() {
        let mut row = row.clone();
        assert!(row["read_us"].is_u64());
        assert!(row["temperature"].is_f64() || row["fault"].is_string());
        row["read_us"] = "<µs>".into();
        row["temperature"] = "<°C>".into();
        let description = &mut row["description"];
        assert_eq!(description["target"], description["host"]);
        description["host"] = "<host>".into();
        description["target"] = "<host>".into();
        // Not every system has these.
        for id in ["machine", "boot"] {
            description.as_object_mut().unwrap().remove(id);
        }
        writeln!(text, "{}", serde_json::to_string_pretty(&row).unwrap()).unwrap();
    }
    assert_golden!("format_sensors.txt", text);
}

/// Returns the output of `check` for a Redis without `TimeSeries`.
fn check(more: &[&str]) -> String {
    let server = RedisServer::start().unwrap();
    let output = Command::new(AGENT)
        .args(["check", "--redis", &server.url()])
        .args(more)
        .env("RACKWATCH_SOURCES__HWMON__ENABLED", "true")
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    out.replace(&server.url(), "<redis>")
}

#[test]
fn results_of_check() {
    let text: String = check(&[]).lines().map(without_times).collect();
    assert_golden!("words_check.txt", text);
    let mut document: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
    for step in document["steps"].as_array_mut().unwrap() {
        assert!(step["took_us"].is_u64());
        step["took_us"] = "<µs>".into();
    }
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    assert_golden!("format_check.txt", text);
}

/// Removes the durations of the steps from a line.
fn without_times(line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let mut kept = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let is_time = words.get(n + 1) == Some(&"ms") && word.parse::<f64>().is_ok();
        kept.push(if is_time { "<n>" } else { word });
    }
    kept.join(" ") + "\n"
}
