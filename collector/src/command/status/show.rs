//! Facts and verdict as text or JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use super::super::server::size;
use super::super::table::Table;
use super::gather::{Facts, Group};
use super::judge::Verdict;
use crate::notify::line::length;

/// For people.
pub(super) fn text(facts: &Facts, verdict: &Verdict) -> String {
    let mut text = String::new();
    for (name, what) in lines(facts) {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{name:<12} {what}");
    }
    for reason in &facts.dead.reasons {
        let _ok = writeln!(text, "{:<12} {reason}", "");
    }
    text.push('\n');
    text.push_str(&groups(&facts.groups));
    text.push('\n');
    text + &verdict.line() + "\n"
}

fn lines(facts: &Facts) -> [(&'static str, String); 7] {
    let Facts {
        redis,
        streams,
        dead,
        devices,
        open_episodes,
        series,
        ..
    } = facts;
    let version = redis.version.as_deref().unwrap_or("of unknown version");
    let used = redis.used_memory.map_or("unknown".to_owned(), size);
    let rate = match facts.entries_per_second {
        Some(rate) => format!("{rate:.1}"),
        None => "unknown".to_owned(),
    };
    let open: Vec<_> = open_episodes
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    [
        ("redis", format!("{version} at {}", facts.endpoint)),
        ("memory", format!("{used} used, {}", redis.limit())),
        (
            "streams",
            format!(
                "{} readings' entries, {} alerts; entries a second: {rate}",
                streams.raw_sensor_data, streams.anomaly_alerts
            ),
        ),
        (
            "devices",
            format!(
                "{} described, {} in no rack, {} leaving",
                devices.described, devices.unplaced, devices.leaving
            ),
        ),
        ("open alerts", open.join(", ")),
        (
            "series",
            format!(
                "{}, {} in the end",
                series.backend,
                size(series.projected_bytes)
            ),
        ),
        (
            "dead letters",
            format!("{} kept, {} in the last hour", dead.kept, dead.last_hour),
        ),
    ]
}

fn groups(groups: &[Group]) -> String {
    let headings = [
        "group",
        "stream",
        "consumers",
        "pending",
        "lag",
        "oldest pending",
        "oldest unread",
    ];
    let mut table = Table::new(&headings, 2);
    let age = |ms: Option<u64>| ms.map_or("-".into(), |ms| length(Duration::from_millis(ms)));
    for group in groups {
        let mut row = vec![group.name.to_owned(), group.stream.to_owned()];
        if group.exists {
            row.push(group.consumers.to_string());
            row.push(group.pending.to_string());
            row.push(
                group
                    .lag
                    .map_or("unknown".to_owned(), |lag| lag.to_string()),
            );
            row.push(age(group.oldest_pending_ms));
            row.push(age(group.oldest_unread_ms));
        } else {
            row.push("missing".to_owned());
        }
        table.push(row);
    }
    table.text()
}

/// For programs.
pub(super) fn json(facts: &Facts, verdict: &Verdict) -> serde_json::Result<String> {
    let document = json!({
        "verdict": verdict.line(),
        "ok": verdict.wrong.is_empty(),
        "wrong": verdict.wrong,
        "warnings": verdict.warnings,
        "facts": facts,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
