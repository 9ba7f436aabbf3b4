//! What is wrong with the facts, and what to do. Pure.

use std::time::Duration;

use rackwatch_core::keys::{CORRELATOR_GROUP, DETECTOR_GROUP, LOGGER_GROUP};
use serde::Serialize;

use super::gather::{Facts, Group};
use crate::notify::line::length;
use rackwatch_runtime::redis::format_bytes;

/// From this part of maxmemory on, series are too large.
pub(crate) const MUCH: f64 = 0.7;
/// More entries unread than this are too many.
const MOST_LAG: u64 = 10_000;
/// An entry that has waited longer than this has waited too long.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Redis with less memory left than this will soon refuse to store.
const FULL: f64 = 0.9;

/// What is to be said of the facts, each with what to do.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// Makes the exit code 1.
    pub(crate) wrong: Vec<String>,
    /// To be looked at in time.
    pub(crate) warnings: Vec<String>,
}

/// Looks at everything.
pub(crate) fn judge(facts: &Facts) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.owners(facts);
    verdict.desk(facts);
    verdict.refused(facts);
    for group in &facts.groups {
        verdict.group(group);
    }
    verdict.memory(facts);
    let dead = facts.dead.last_hour;
    if dead > 0 {
        verdict.warnings.push(format!(
            "{dead} dead letters in the last hour: look at their reasons, and at who writes them"
        ));
    }
    let lost = facts.losses.readings_last_day;
    if lost > 0 {
        verdict.warnings.push(format!(
            "{lost} readings were lost in the last 24 hours: see which, and why, above"
        ));
    }
    verdict
}

impl Verdict {
    fn owners(&mut self, facts: &Facts) {
        if facts.changing {
            self.wrong.push(
                "the layout is being changed, and agents wait: if nobody does so any more, run \
                 `rackwatch-collector partitions resize` again"
                    .to_owned(),
            );
            return;
        }
        let nobodys = facts.partitions.iter().filter(|p| p.owner.is_none());
        let nobodys: Vec<_> = nobodys.map(|p| p.partition.as_str()).collect();
        match (nobodys.as_slice(), facts.partitions.len()) {
            ([], _) => {}
            (some, all) if some.len() == all => self
                .wrong
                .push("no collector owns the readings: start `rackwatch-collector run`".to_owned()),
            (some, _) => self.wrong.push(format!(
                "no collector owns partition {}: look at the collectors' logs",
                some.join(", ")
            )),
        }
    }

    fn desk(&mut self, facts: &Facts) {
        let somebody_runs = facts.partitions.iter().any(|p| p.owner.is_some());
        if facts.incidents.told_by.is_none() && somebody_runs && !facts.changing {
            self.wrong.push(
                "no collector makes incidents of alerts, so nobody is told: look at the collectors' logs"
                    .to_owned(),
            );
        }
    }

    /// What operators wrote must not lose its effect silently.
    fn refused(&mut self, facts: &Facts) {
        self.wrong.extend(facts.refused.iter().map(|refused| {
            format!(
                "{} of {} without effect: {}; use the version that wrote them, or add them again",
                refused.count, refused.key, refused.reason
            )
        }));
    }

    fn group(&mut self, group: &Group) {
        let Group { name, stream, .. } = group;
        if !group.exists {
            self.wrong.push(format!(
                "{name} does not exist on {stream}: start `rackwatch-collector run`"
            ));
            return;
        }
        let log = match name.as_str() {
            DETECTOR_GROUP => "detector",
            LOGGER_GROUP => "console",
            CORRELATOR_GROUP => "correlator",
            _ => "notifier",
        };
        if let Some(lag) = group.lag.filter(|lag| *lag > MOST_LAG) {
            self.wrong.push(format!(
                "{name} is {lag} entries behind: the {log} is down or too slow, look at the \
                 collector's log"
            ));
        } else if let Some(age) = too_old(group.oldest_unread_ms) {
            self.wrong.push(format!(
                "{name} has left an entry unread for {age}: the {log} is down, start \
                 `rackwatch-collector run` or look at its log"
            ));
        }
        if let Some(age) = too_old(group.oldest_pending_ms) {
            self.wrong.push(format!(
                "{name} has not finished an entry of {age} ago: the {log} is down or stuck, look \
                 at the collector's log"
            ));
        }
    }

    fn memory(&mut self, facts: &Facts) {
        let redis = &facts.redis;
        let full = redis.used_memory.and_then(|used| redis.fraction(used));
        if full.is_some_and(|share| share > FULL) {
            self.wrong.push(
                "Redis uses over 90 % of its maxmemory: raise it, or shorten \
                 series.raw_retention, before it refuses to store"
                    .to_owned(),
            );
        }
        let projected = facts.series.projected_bytes;
        if redis.fraction(projected).is_some_and(|share| share > MUCH) {
            self.warnings.push(format!(
                "series will grow to {}, over 70 % of maxmemory: raise it, or shorten \
                 series.raw_retention",
                format_bytes(projected)
            ));
        }
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        match (self.wrong.as_slice(), self.warnings.as_slice()) {
            ([], []) => "all is well".to_owned(),
            ([], warnings) => format!("all is well, but: {}", warnings.join("; ")),
            (wrong, _) => format!("wrong: {}", wrong.join("; ")),
        }
    }
}

fn too_old(age: Option<u64>) -> Option<String> {
    let age = Duration::from_millis(age?);
    (age > LONGEST_WAIT).then(|| length(age))
}
