//! Evaluates the facts: problems and warnings, each with what to do. Pure.

use std::time::Duration;

use rackwatch_core::keys::{
    ALERT_FILE_GROUPS, DETECTOR_GROUP, INCIDENTS, LOGGER_GROUP, notifier_group,
};
use rackwatch_core::name::printable;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::format_bytes;
use serde::Serialize;

use super::facts::{Facts, Group, NotEvaluated};
use super::refused_agents::RefusedAgent;
use crate::notify::failures::REPORT_AFTER;
use crate::notify::line::format_duration;
use crate::peers::{Difference, differences};

/// Share of maxmemory above which series are too large.
pub(crate) const SERIES_MEMORY_LIMIT: f64 = 0.7;
/// Unread entries above which a group is too far behind.
pub(super) const MAX_LAG: u64 = 10_000;
/// Age above which an unread or unacknowledged entry is a problem.
pub(super) const MAX_AGE: Duration = Duration::from_secs(60);
/// Distance of an id ahead of Redis' clock that is worth a warning.
const MAX_AHEAD: Duration = Duration::from_mins(1);
/// Age up to which a conflict of readings is a warning.
const RECENT: Duration = Duration::from_mins(10);
/// Age of the last refused reading up to which a partition counts as full.
const REFUSING: Duration = Duration::from_mins(2);
/// Share of maxmemory above which Redis soon refuses writes.
const MEMORY_LIMIT: f64 = 0.9;

/// Problems and warnings, each with what to do.
#[derive(Debug, Default, Serialize)]
pub(crate) struct HealthVerdict {
    /// Conditions that stop readings, alerts or notifications. They make the exit code 1.
    pub(crate) problems: Vec<String>,
    /// Conditions to look at before they become problems.
    pub(crate) warnings: Vec<String>,
}

/// Finds all problems and warnings in the facts.
pub(crate) fn evaluate(facts: &Facts) -> HealthVerdict {
    let mut verdict = HealthVerdict::default();
    verdict.problems.extend(facts.broken_keys.iter().cloned());
    verdict.problems.extend(facts.wrong_series.iter().cloned());
    verdict.owners(facts);
    verdict.leader(facts);
    verdict.refused(facts);
    let differing = differences(&facts.announced);
    verdict
        .problems
        .extend(differing.iter().map(Difference::line));
    verdict.notifiers(facts);
    for group in &facts.groups {
        verdict.group(group, facts);
    }
    verdict.deliveries(facts);
    verdict.agents(facts);
    verdict.device_bound(facts);
    verdict.problems.extend(facts.undescribed.line());
    verdict.memory(facts);
    let ahead = Duration::from_millis(facts.ids_ahead_ms);
    if ahead > MAX_AHEAD {
        verdict.warnings.push(format!(
            "ids of readings are {} ahead of Redis' clock: a client writes ids of its own, or that clock was \
             set back",
            format_duration(ahead)
        ));
    }
    let dead = facts.dead.last_hour;
    if dead > 0 {
        let remedy = if facts.wrong_series.is_empty() {
            "fix the client that wrote them"
        } else {
            "mend the keys that they name, or fix the client that wrote them"
        };
        verdict.warnings.push(format!(
            "{} in the last hour: see the reasons under \"dead letters\", and {remedy}",
            count(dead, "dead letter")
        ));
    }
    let conflict = facts
        .not_evaluated
        .last_conflict_ms
        .map(Duration::from_millis);
    if let Some(age) = conflict.filter(|age| *age < RECENT) {
        verdict.warnings.push(format!(
            "{} with another temperature for the same device and time, the last {} ago: two clients write one \
             device, give each an id of its own",
            count(facts.not_evaluated.conflicting, "reading"),
            format_duration(age)
        ));
    }
    let lost = facts.losses.readings_last_day;
    if lost > 0 {
        verdict.warnings.push(format!(
            "{} lost in the last 24 hours: see the reasons under \"losses\"",
            count(lost, "reading")
        ));
    }
    verdict
}

impl HealthVerdict {
    fn owners(&mut self, facts: &Facts) {
        if facts.changing {
            self.problems.push(
                "partitions are being resized, and agents wait: if the resize was interrupted, run \
                 `rackwatch-collector partitions resize` again"
                    .to_owned(),
            );
            return;
        }
        let unowned = facts.partitions.iter().filter(|p| p.owner.is_none());
        let unowned: Vec<_> = unowned.map(|p| p.partition.as_str()).collect();
        match (unowned.as_slice(), facts.partitions.len()) {
            ([], _) => {}
            (some, all) if some.len() == all => self
                .problems
                .push("no collector owns the readings: start `rackwatch-collector run`".to_owned()),
            (some, _) => self.problems.push(format!(
                "no collector owns partition {}: look at the collectors' logs",
                some.join(", ")
            )),
        }
    }

    fn leader(&mut self, facts: &Facts) {
        let is_running = facts.partitions.iter().any(|p| p.owner.is_some());
        if facts.incidents.leader.is_none() && is_running && !facts.changing {
            self.problems.push(
                "no collector is the notification leader, so no notification is sent: look at the \
                 collectors' logs"
                    .to_owned(),
            );
        }
    }

    /// Reports recipients that no notification has reached for a while, or for which one waits for too long.
    fn notifiers(&mut self, facts: &Facts) {
        for failing in &facts.failing_notifiers {
            let lasts = Duration::from_millis(failing.failing_ms);
            let group = notifier_group(&failing.notifier);
            let mut groups = facts.groups.iter();
            let group = groups.find(|known| known.name == group && known.stream == INCIDENTS);
            let waits = group.and_then(|group| too_old(group.oldest_unread_ms));
            if lasts < REPORT_AFTER && waits.is_none() && !failing.waits {
                continue;
            }
            let to = failing.recipient.as_ref();
            let to = to.map_or_else(String::new, |to| format!(" to {to}"));
            self.problems.push(format!(
                "notifier {:?}{to} has delivered nothing for {}: {}",
                failing.notifier,
                format_duration(lasts),
                failing.reason
            ));
        }
    }

    /// Reports stored values that this version does not understand. Rackwatch does without its own state.
    fn refused(&mut self, facts: &Facts) {
        for refused in &facts.refused {
            if refused.is_problem() {
                self.problems.push(refused.line());
            } else {
                self.warnings.push(refused.line());
            }
        }
    }

    fn group(&mut self, group: &Group, facts: &Facts) {
        let Group { name, stream, .. } = group;
        if !group.exists {
            self.problems.push(format!(
                "{name} does not exist on {stream}: start `rackwatch-collector run`"
            ));
            return;
        }
        let foreign = group.foreign_consumers.iter();
        self.problems
            .extend(foreign.map(|consumer| consumer.line(stream, name)));
        if stream == INCIDENTS {
            self.notifier_group(group, facts);
            return;
        }
        let log = match name.as_str() {
            DETECTOR_GROUP => "detector",
            LOGGER_GROUP => "console",
            name if ALERT_FILE_GROUPS.contains(&name) => "alert file",
            _ => "correlator",
        };
        if let Some(lag) = group.lag.filter(|lag| *lag > MAX_LAG) {
            self.problems.push(format!(
                "{name} is {} behind: the {log} is down or too slow, look at the collector's log",
                count(lag, "entry")
            ));
        } else if let Some(age) = too_old(group.oldest_unread_ms) {
            self.problems.push(format!(
                "{name} has left an entry unread for {age}: the {log} is down, start \
                 `rackwatch-collector run` or look at its log"
            ));
        }
        if let Some(age) = too_old(group.oldest_pending_ms) {
            self.problems.push(format!(
                "{name} has not acknowledged an entry for {age}: the {log} is down or stuck, look \
                 at the collector's log"
            ));
        }
    }

    /// Reports notifications that wait without an attempt that failed. [`HealthVerdict::notifiers`] reports the others.
    fn notifier_group(&mut self, group: &Group, facts: &Facts) {
        let is_it = |notifier: &str| notifier_group(notifier) == group.name;
        let mut failing = facts.failing_notifiers.iter();
        let age = too_old(group.oldest_unread_ms);
        let Some(age) = age.filter(|_| !failing.any(|failing| is_it(&failing.notifier))) else {
            return;
        };
        let reason = match &facts.incidents.leader {
            None => "no collector is the notification leader, start `rackwatch-collector run`"
                .to_owned(),
            Some(leader) => format!(
                "no attempt has failed, so the leader {leader} does not run the notifier, or is stuck: look at its \
                 configuration and its log"
            ),
        };
        self.problems.push(format!(
            "a notification has waited for {age} in {}: {reason}",
            group.name
        ));
    }

    /// Reports notifications that people did not get.
    fn deliveries(&mut self, facts: &Facts) {
        for failed in &facts.failed_deliveries {
            if failed.is_problem() {
                self.problems.push(failed.line());
            } else {
                self.warnings.push(failed.line());
            }
        }
    }

    /// Reports agents whose readings are not stored.
    fn agents(&mut self, facts: &Facts) {
        for RefusedAgent { agent, reason } in &facts.refused_agents {
            let (agent, reason) = (printable(agent), printable(reason));
            self.problems.push(format!(
                "every entry of agent {agent} is refused, so none of its readings is stored or evaluated: {reason}"
            ));
        }
    }

    /// Reports readings of more devices than a partition may have.
    fn device_bound(&mut self, facts: &Facts) {
        let NotEvaluated {
            beyond,
            last_beyond_ms,
            ..
        } = &facts.not_evaluated;
        let age = last_beyond_ms.map(Duration::from_millis);
        if let Some(age) = age.filter(|age| *age < REFUSING) {
            self.problems.push(format!(
                "{} of devices beyond partition.max_devices refused, the last {} ago: see the devices under \"dead \
                 letters\", stop a client that makes up device ids, forget devices that are gone (`devices forget`), or \
                 raise the limit",
                count(*beyond, "reading"),
                format_duration(age)
            ));
        }
    }

    fn memory(&mut self, facts: &Facts) {
        let redis = &facts.redis;
        self.warnings.extend(redis.eviction_warning());
        let share = redis.used_memory.and_then(|used| redis.fraction(used));
        if share.is_some_and(|share| share > MEMORY_LIMIT) {
            self.problems.push(
                "Redis uses over 90 % of its maxmemory, and refuses writes when it is full: raise it, or shorten \
                 series.raw_retention"
                    .to_owned(),
            );
        }
        let projected = facts.series.projected_bytes;
        if redis
            .fraction(projected)
            .is_some_and(|share| share > SERIES_MEMORY_LIMIT)
        {
            self.warnings.push(format!(
                "series will grow to {}, over 70 % of maxmemory: raise it, or shorten \
                 series.raw_retention",
                format_bytes(projected)
            ));
        }
    }

    /// Returns a one-line summary.
    pub(crate) fn line(&self) -> String {
        match (self.problems.as_slice(), self.warnings.as_slice()) {
            ([], []) => "all is well".to_owned(),
            ([], warnings) => format!("warnings: {}", warnings.join("; ")),
            (problems, []) => format!("problems: {}", problems.join("; ")),
            (problems, warnings) => format!(
                "problems: {}\nwarnings: {}",
                problems.join("; "),
                warnings.join("; ")
            ),
        }
    }
}

/// Formats an age above [`MAX_AGE`].
fn too_old(age: Option<u64>) -> Option<String> {
    let age = Duration::from_millis(age?);
    (age > MAX_AGE).then(|| format_duration(age))
}
