//! Storms: the rate of messages above which an outbox sends digests, and the text of a digest.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use rackwatch_core::alert::Severity;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::words::count;
use tokio::time::Instant;

/// Window in which messages are counted: a person can read a few messages a minute.
const WINDOW: Duration = Duration::from_mins(1);
/// Time for which notifications are collected: most of a storm fits in, and the delay stays short.
pub(super) const COLLECT: Duration = Duration::from_secs(15);
/// Most notifications in a digest, so that its message stays below the limits of receivers.
pub(super) const DIGEST_LIMIT: usize = 50;
/// Number of incidents that the text of a digest names: as many as fit in a line.
const NAMED: usize = 3;

/// Returns the default of `storm`: a person can read a message every six seconds, but no more.
pub(in crate::notify) fn default_threshold() -> usize {
    10
}

/// Counts the messages of the last minute.
#[derive(Debug)]
pub(super) struct StormDetector {
    /// The number of messages that makes a storm; zero means never.
    threshold: usize,
    sent: VecDeque<Instant>,
}

impl StormDetector {
    /// Creates a detector without messages.
    pub(super) fn new(threshold: usize) -> Self {
        Self {
            threshold,
            sent: VecDeque::new(),
        }
    }

    /// Counts a message that was sent now.
    pub(super) fn count(&mut self) {
        self.sent.push_back(Instant::now());
    }

    /// Returns whether the messages of the last minute make a storm.
    pub(super) fn is_storm(&mut self) -> bool {
        while self.sent.front().is_some_and(|at| at.elapsed() >= WINDOW) {
            self.sent.pop_front();
        }
        self.threshold > 0 && self.sent.len() >= self.threshold
    }
}

/// Returns the text of a digest: `12 notifications, 3 critical: cooling is failing: room hall-1; …`.
pub(super) fn digest_text(records: &[&IncidentRecord]) -> String {
    let open = records.iter().filter(|record| record.until.is_none());
    let critical = open
        .filter(|record| record.severity == Severity::Critical)
        .count();
    let mut worst: Vec<_> = records.iter().collect();
    worst.sort_by_key(|record| Reverse(record.severity));
    let named: Vec<&str> = worst
        .iter()
        .take(NAMED)
        .map(|record| record.title.as_str())
        .collect();
    let more = if records.len() > NAMED { "; …" } else { "" };
    format!(
        "{}, {critical} critical: {}{more}",
        count(records.len(), "notification"),
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::example::incident;

    #[test]
    fn a_digest_names_the_worst() {
        let warning = IncidentRecord {
            severity: Severity::Warning,
            title: "too hot: sensor a".to_owned(),
            ..incident()
        };
        let all = [&warning, &incident(), &warning, &warning];
        assert_eq!(
            digest_text(&all),
            "4 notifications, 1 critical: cooling is failing: rack B07; too hot: sensor a; too hot: sensor a; …"
        );
    }
}
