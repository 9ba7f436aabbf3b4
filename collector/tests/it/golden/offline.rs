//! The output of commands without Redis: `replay` of a recording and `drill`.

use std::fmt::Write as _;
use std::fs;

use rackwatch_testing::assert_golden;
use serde_json::Value;
use tempfile::TempDir;

use super::shape;
use crate::rig::{DEADLINE, collector};

/// Simulates six hours of four sensors, read every 30 s, in integers, so that every machine computes the same.
fn recording() -> String {
    let mut text = "timestamp,device_id,temperature\n".to_owned();
    let mut random: u32 = 7;
    for n in 0..720u32 {
        let at = 1_795_438_800_000u64 + u64::from(n) * 30_000;
        for sensor in 0..4 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // In tenths of a degree: a slow wave and some noise.
            let wave = if n / 60 % 2 == 0 { n % 60 } else { 60 - n % 60 };
            let mut tenths = 210 + sensor * 5 + wave / 10 + (random >> 16) % 3;
            match (sensor, n) {
                // One jumps and comes back.
                (0, 100..140) => tenths += 80,
                // One is far too hot.
                (1, 200..260) => tenths += 130,
                // One stands still.
                (2, 300..600) => tenths = 221,
                // One is too cold.
                (3, 400..440) => tenths -= 90,
                // One is silent for an hour.
                (0, 500..620) => continue,
                _ => {}
            }
            let (whole, tenth) = (tenths / 10, tenths % 10);
            writeln!(text, "{at},inlet-B07-{sensor},{whole}.{tenth}").unwrap();
        }
        // From the third hour on three sensors of another rack warm together.
        for sensor in 0..3 {
            let warmer = n.saturating_sub(400).min(30) * 10;
            let tenths = 220 + warmer + sensor;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            writeln!(text, "{at},inlet-B08-{sensor},{whole}.{tenth}").unwrap();
        }
    }
    text
}

fn run(args: &[&str]) -> String {
    let mut program = collector(args);
    let code = program.wait_exit(DEADLINE * 4).unwrap().code();
    assert_eq!(code, Some(0), "{}", program.stderr());
    program.stdout()
}

#[test]
fn a_recording_gives_these_records() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recording.csv");
    fs::write(&file, recording()).unwrap();
    let file = file.to_str().unwrap();
    let (mut contract, mut format) = (String::new(), String::new());
    let records = run(&["replay", file, "--json"]);
    for record in records.lines() {
        let record: Value = serde_json::from_str(record).unwrap();
        let fields = [
            "type",
            "device_id",
            "temperature",
            "timestamp",
            "threshold",
            "severity",
            "state",
            "alert_id",
            "rule",
            "rack",
        ];
        let fields = fields.map(|name| format!("{name}={}", record[name]));
        writeln!(contract, "{}", fields.join(" ")).unwrap();
        writeln!(format, "{}", shape::rounded(record)).unwrap();
    }
    assert_golden!("contract_replay.txt", contract);
    assert_golden!("format_replay.txt", format);
    let lines = run(&["replay", file]);
    // How long it took is in the line of the totals.
    let lines = lines
        .lines()
        .map(|line| match line.split_once(" readings of ") {
            Some(_) => shape::without_numbers(line) + "\n",
            None => line.to_owned() + "\n",
        });
    assert_golden!("words_replay.txt", lines.collect::<String>());
}

#[test]
fn drills_come_to_these_results() {
    let drills = ["cooling loss", "stuck", "BMC hang", "--seeds", "2"];
    let mut format = String::new();
    for document in run(&[&["drill", "--json"], &drills[..]].concat()).lines() {
        let document = shape::rounded(serde_json::from_str(document).unwrap());
        writeln!(format, "{document}").unwrap();
    }
    assert_golden!("format_drill.txt", format);
    let mut text = run(&["drill", "--list"]);
    text += &run(&[&["drill"], &drills[..]].concat());
    assert_golden!("words_drill.txt", text);
}
