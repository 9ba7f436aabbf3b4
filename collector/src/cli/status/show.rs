//! The health report as text or JSON.

use std::fmt::Write;
use std::time::Duration;

use jiff::tz::TimeZone;
use rackwatch_core::alert::Severity;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::loss::LossSummary;
use rackwatch_core::words::count;
use serde_json::json;

use super::super::output::json_text;
use super::super::server::size;
use super::super::table::Table;
use crate::health::{
    Facts, Group, HealthVerdict, Incidents, Losses, NotEvaluated, Owned, RoomState, RoomVerdict,
    Streams,
};
use crate::notify::line::{self, Style, format_duration};

/// Returns the report as text.
pub(super) fn text(
    facts: &Facts,
    (pipeline, room): (&HealthVerdict, &RoomVerdict),
    style: &Style,
) -> String {
    let mut text = String::new();
    for (name, value) in lines(facts) {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "{name:<12} {value}");
    }
    if !facts.dead.reasons.is_empty() {
        text.push_str("\nReasons of dead letters:\n");
    }
    for reason in &facts.dead.reasons {
        let _ok = writeln!(text, "  {reason}");
    }
    if !facts.losses.last.is_empty() {
        text.push_str("\nLatest losses:\n");
    }
    for loss in &facts.losses.last {
        let LossSummary {
            agent,
            readings,
            reason,
            until,
        } = loss;
        let until = line::time(
            Timestamp::from_millis(*until).unwrap_or_default(),
            &TimeZone::system(),
        );
        let _ok = writeln!(
            text,
            "  {} of {agent} lost before {until}: {reason}",
            count(readings, "reading")
        );
    }
    text.push('\n');
    text.push_str(&groups(&facts.groups));
    text.push('\n');
    text.push_str(&verdicts(pipeline, room, style));
    text
}

/// Returns the lines of both verdicts, each in the colour of its worst part.
fn verdicts(pipeline: &HealthVerdict, room: &RoomVerdict, style: &Style) -> String {
    let worst = match (pipeline.problems.is_empty(), pipeline.warnings.is_empty()) {
        (false, _) => Some(Severity::Critical),
        (true, false) => Some(Severity::Warning),
        (true, true) => None,
    };
    let mut text = String::new();
    for line in pipeline.line().lines() {
        text.push_str(&style.paint(&format!("pipeline: {line}"), worst));
        text.push('\n');
    }
    let worst = match room.state {
        RoomState::Well => None,
        RoomState::Open(severity) => Some(severity),
        RoomState::Unknown => Some(Severity::Critical),
    };
    text.push_str(&style.paint(&format!("room: {}", room.verdict), worst));
    text.push('\n');
    text
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let Facts {
        redis,
        dead,
        devices,
        ..
    } = facts;
    let version = redis.version.as_deref().unwrap_or("unknown version");
    let used = redis.used_memory.map_or("unknown".to_owned(), size);
    let devices = format!(
        "{} known, {} without a rack, {} withdrawn",
        devices.described, devices.unplaced, devices.withdrawn
    );
    let severities = facts.open_episodes.iter().rev();
    let open: Vec<_> = severities
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    let projected = size(facts.series.projected_bytes);
    let letters = format!("{} kept, {} in the last hour", dead.kept, dead.last_hour);
    vec![
        ("redis", format!("{version} at {}", facts.endpoint)),
        ("memory", format!("{used} used, {}", redis.limit())),
        ("streams", streams(facts)),
        ("collectors", collectors(facts)),
        ("devices", devices),
        ("open alerts", open.join(", ")),
        ("incidents", incidents(&facts.incidents)),
        (
            "series",
            format!(
                "{}, {projected} expected at full retention",
                facts.series.backend
            ),
        ),
        ("dead letters", letters),
        ("not evaluated", not_evaluated(&facts.not_evaluated)),
        ("losses", losses(facts)),
    ]
}

fn not_evaluated(facts: &NotEvaluated) -> String {
    let NotEvaluated {
        late,
        duplicate,
        conflicting,
        undescribed,
        ..
    } = facts;
    format!(
        "{late} late, {duplicate} duplicate, {conflicting} conflicting, {undescribed} without a description"
    )
}

fn losses(facts: &Facts) -> String {
    let Losses {
        kept,
        readings_last_day,
        ..
    } = &facts.losses;
    format!(
        "{kept} recorded, {} in the last 24 hours",
        count(readings_last_day, "reading")
    )
}

fn incidents(facts: &Incidents) -> String {
    let Incidents {
        open,
        acked,
        silences,
        leader,
        ..
    } = facts;
    let leader = match leader {
        Some(leader) => format!("leader {leader}"),
        None => "no notifier running".to_owned(),
    };
    format!(
        "{open} open, {acked} acknowledged, {}; {leader}",
        count(silences, "silence")
    )
}

/// Lists the running collectors, and the partitions that each owns.
fn collectors(facts: &Facts) -> String {
    let owns = |name: &String| {
        let owned = |p: &&Owned| p.owner.as_ref() == Some(name);
        let owned = facts
            .partitions
            .iter()
            .filter(owned)
            .map(|p| p.partition.as_str());
        match owned.collect::<Vec<_>>().as_slice() {
            [] => format!("{name} on standby"),
            ["all"] => format!("{name} owns all partitions"),
            some => format!("{name} owns partitions {}", some.join(", ")),
        }
    };
    match facts.collectors.as_slice() {
        [] => "none running".to_owned(),
        some => some.iter().map(owns).collect::<Vec<_>>().join("; "),
    }
}

fn streams(facts: &Facts) -> String {
    let rate = match facts.entries_per_second {
        Some(rate) => format!("{rate:.1} per second"),
        None => "rate unknown".to_owned(),
    };
    let Streams {
        raw_sensor_data,
        anomaly_alerts,
    } = facts.streams;
    let raw = count(raw_sensor_data, "raw entry");
    format!("{raw} ({rate}), {}", count(anomaly_alerts, "alert"))
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
    let age =
        |ms: Option<u64>| ms.map_or("-".into(), |ms| format_duration(Duration::from_millis(ms)));
    for group in groups {
        let mut row = vec![group.name.clone(), group.stream.clone()];
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

/// Returns the report as JSON.
pub(super) fn json(
    facts: &Facts,
    (pipeline, room): (&HealthVerdict, &RoomVerdict),
) -> serde_json::Result<String> {
    let document = json!({
        "pipeline": {
            "verdict": pipeline.line(),
            "ok": pipeline.problems.is_empty(),
            "problems": pipeline.problems,
            "warnings": pipeline.warnings,
        },
        "room": room,
        "facts": facts,
    });
    json_text(&document)
}
