//! Digests: what one message says about many incidents. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rackwatch_core::alert::Severity;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::words::count;

use super::notification::Notification;

/// Most incidents that a digest describes. Slack recommends no more than 20 attachments (docs.slack.dev, "Secondary
/// message attachments").
const DESCRIBED: usize = 20;
/// Number of incidents that the text of a digest names: as many as fit in a line.
const NAMED: usize = 3;

/// One message about many incidents.
#[derive(Debug)]
pub(super) struct Digest<'n> {
    /// The newest notification of each incident, oldest first.
    pub(super) newest: Vec<&'n Notification>,
    /// The notifications that those replace.
    pub(super) replaced: Vec<&'n Notification>,
    /// The records to describe, the worst first.
    pub(super) described: Vec<&'n IncidentRecord>,
    /// The summary, which counts those that are not described.
    pub(super) text: String,
    /// The keys of the first and the last notification, joined by `..`.
    pub(super) key: String,
}

impl<'n> Digest<'n> {
    /// Returns the digest of notifications in their order. None for an empty list.
    pub(super) fn of(all: &'n [Notification]) -> Option<Self> {
        let mut known = BTreeSet::new();
        let (mut newest, mut replaced): (Vec<_>, Vec<_>) = all
            .iter()
            .rev()
            .partition(|one| known.insert(&one.record.id));
        newest.reverse();
        replaced.reverse();
        let key = format!("{}..{}", newest.first()?.key, newest.last()?.key);
        let mut described: Vec<_> = newest.iter().map(|one| &one.record).collect();
        described.sort_by_key(|record| Reverse(rank(record)));
        let text = text(&described);
        described.truncate(DESCRIBED);
        Some(Self {
            newest,
            replaced,
            described,
            text,
            key,
        })
    }
}

/// Returns the importance of a record: what still fires first, then the severity.
fn rank(record: &IncidentRecord) -> (bool, Severity) {
    (record.until.is_none(), record.severity)
}

/// Returns a summary of the records, which are sorted: `12 incidents, 3 critical: cooling is failing: room hall-1; …`.
fn text(records: &[&IncidentRecord]) -> String {
    let open = records.iter().filter(|record| record.until.is_none());
    let critical = open
        .filter(|record| record.severity == Severity::Critical)
        .count();
    let named: Vec<&str> = records
        .iter()
        .take(NAMED)
        .map(|record| record.title.as_str())
        .collect();
    let more = if records.len() > NAMED { "; …" } else { "" };
    let rest = match records.len().saturating_sub(DESCRIBED) {
        0 => String::new(),
        rest => format!(" ({DESCRIBED} are described here, and {rest} more are open in Rackwatch)"),
    };
    format!(
        "{}, {critical} critical: {}{more}{rest}",
        count(records.len(), "incident"),
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use rackwatch_core::incident::IncidentId;

    use super::*;
    use crate::notify::example::incident;

    fn notification(n: usize, count: usize, severity: Severity) -> Notification {
        let record = IncidentRecord {
            id: IncidentId::from_wire(&n.to_string()),
            severity,
            title: format!("{severity} {n}"),
            ..incident()
        };
        Notification {
            id: None,
            record,
            key: format!("{n}-{count}"),
        }
    }

    #[test]
    fn a_digest_names_the_worst() {
        let mut all: Vec<_> = (0..3)
            .map(|n| notification(n, 1, Severity::Warning))
            .collect();
        all.push(notification(3, 1, Severity::Critical));
        let digest = Digest::of(&all).unwrap();
        assert_eq!(
            digest.text,
            "4 incidents, 1 critical: critical 3; warning 0; warning 1; …"
        );
        assert_eq!(digest.key, "0-1..3-1");
    }

    #[test]
    fn a_digest_is_bounded_and_counts_the_rest() {
        let all: Vec<_> = (0..132)
            .map(|n| notification(n, 1, Severity::Warning))
            .collect();
        let digest = Digest::of(&all).unwrap();
        assert_eq!((digest.newest.len(), digest.described.len()), (132, 20));
        assert!(digest.text.starts_with("132 incidents, 0 critical: "));
        assert!(digest.text.contains("and 112 more"), "{}", digest.text);
    }

    #[test]
    fn the_newest_notification_of_an_incident_replaces_the_others() {
        let all: Vec<_> = (0..60)
            .map(|n| notification(n % 20, n / 20, Severity::Warning))
            .collect();
        let digest = Digest::of(&all).unwrap();
        assert_eq!((digest.newest.len(), digest.replaced.len()), (20, 40));
        assert!(digest.newest.iter().all(|one| one.key.ends_with("-2")));
        assert!(Digest::of(&[]).is_none());
    }
}
