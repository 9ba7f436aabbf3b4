//! One round trip: commands for a piece of work, and the meaning of their replies.
//!
//! In: descriptions, entries and a device to probe. Out: a pipeline with the descriptions first, and
//! from its replies how many entries Redis has. Pure except for [`Batch::send`].

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys;
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisError, RedisResult, Value};

use super::route::Route;
use super::sender::Sender;
use crate::backlog::Work;

/// Descriptions of one HSET: a longer command would delay other clients of Redis.
const DESCRIPTIONS: usize = 500;

/// Commands of one round trip.
#[derive(Debug)]
pub(super) struct Batch {
    work: Work,
    pipeline: Pipeline,
    /// Number of commands that write descriptions; they come first.
    description_commands: usize,
}

/// The meaning of the replies.
#[derive(Debug, Default)]
pub(super) struct BatchOutcome {
    /// Whether all descriptions are written.
    pub(super) descriptions_written: bool,
    /// Number of entries in the stream, counted from the first.
    pub(super) entries: usize,
    /// Whether Redis lacks a description that was written earlier.
    pub(super) descriptions_lost: bool,
    /// Whether the stream existed before and does not any more.
    pub(super) stream_vanished: bool,
    /// Present partitioning; `None` if the reply is unusable.
    pub(super) partitioning: Option<Partitioning>,
    /// First error among the replies.
    pub(super) error: Option<RedisError>,
}

/// Totals of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BatchTotals {
    /// Entries that Redis has, counted from the first.
    pub(super) entries: usize,
    /// Readings in these entries.
    pub(super) readings: u64,
}

impl Batch {
    /// Builds the commands.
    pub(super) fn new(work: Work, sender: &Sender, route: &Route) -> Self {
        let mut pipeline = redis::pipe();
        write_descriptions(&mut pipeline, &work.descriptions);
        let description_commands = pipeline.len();
        for (entry, skew) in work.entries.iter().zip(&work.skews) {
            let command = pipeline.cmd("XADD").arg(&route.stream);
            if route.exists {
                // A vanished stream must not be created anew with this entry as its first.
                command.arg("NOMKSTREAM");
            }
            command
                .arg("MAXLEN")
                .arg("~")
                .arg(sender.safety_cap.get())
                .arg("*")
                .arg(sender.fields(entry, *skew));
        }
        if let Some(device) = &work.probe {
            pipeline
                .cmd("HEXISTS")
                .arg(keys::DEVICES)
                .arg(device.as_str());
        }
        if !work.entries.is_empty() {
            pipeline.add_command(Partitioning::read_command());
        }
        Self {
            work,
            pipeline,
            description_commands,
        }
    }

    pub(super) fn into_work(self) -> Work {
        self.work
    }

    pub(super) fn descriptions(&self) -> &[(DeviceId, String)] {
        &self.work.descriptions
    }

    /// Sends the commands. After an error any of them may have been executed.
    pub(super) async fn send(&self, connection: &mut Connection) -> RedisResult<BatchOutcome> {
        if self.pipeline.is_empty() {
            return Ok(self.outcome(Vec::new()));
        }
        let count = self.pipeline.len();
        let replies = connection
            .req_packed_commands(&self.pipeline, 0, count)
            .await?;
        Ok(self.outcome(replies))
    }

    /// Interprets the replies. Entries after the first refused one count as refused, which keeps
    /// their order when they are sent again.
    fn outcome(&self, replies: Vec<Value>) -> BatchOutcome {
        let mut outcome = BatchOutcome {
            descriptions_written: true,
            ..BatchOutcome::default()
        };
        let mut replies = replies.into_iter();
        for reply in replies.by_ref().take(self.description_commands) {
            if let Value::ServerError(error) = reply {
                outcome.descriptions_written = false;
                outcome.error.get_or_insert(error.into());
            }
        }
        let mut in_order = true;
        for reply in replies.by_ref().take(self.work.entries.len()) {
            match reply {
                Value::ServerError(error) => {
                    in_order = false;
                    outcome.error.get_or_insert(error.into());
                }
                Value::Nil => {
                    in_order = false;
                    outcome.stream_vanished = true;
                }
                _ => {}
            }
            outcome.entries += usize::from(in_order);
        }
        if self.work.probe.is_some() {
            outcome.descriptions_lost =
                matches!(replies.next(), Some(Value::Int(0) | Value::Boolean(false)));
        }
        let partitioning = replies
            .next()
            .and_then(|reply| redis::from_redis_value(reply).ok());
        outcome.partitioning = partitioning.and_then(|reply| Partitioning::from_reply(reply).ok());
        outcome
    }

    /// Counts the entries that Redis has.
    pub(super) fn totals(&self, outcome: &BatchOutcome) -> BatchTotals {
        let sent = &self.work.entries[..outcome.entries.min(self.work.entries.len())];
        BatchTotals {
            entries: sent.len(),
            readings: sent.iter().map(|entry| entry.readings() as u64).sum(),
        }
    }
}

/// Returns the commands that mark the devices of an agent that stops as leaving. It never deletes them: their open
/// alerts would end as if all were well.
pub(super) fn departure(devices: &[(DeviceId, String)]) -> Pipeline {
    let mut pipeline = redis::pipe();
    write_descriptions(&mut pipeline, devices);
    pipeline
}

fn write_descriptions(pipeline: &mut Pipeline, descriptions: &[(DeviceId, String)]) {
    if descriptions.is_empty() {
        return;
    }
    for descriptions in descriptions.chunks(DESCRIPTIONS) {
        let command = pipeline.cmd("HSET").arg(keys::DEVICES);
        for (device, json) in descriptions {
            command.arg(device.as_str()).arg(json);
        }
    }
    pipeline.cmd("INCR").arg(keys::DEVICES_REVISION);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use rackwatch_core::reading::{Fault, Reading};
    use rackwatch_core::time::Timestamp;

    use super::*;
    use crate::backlog::{Content, Entry};
    use crate::host_clock::ClockState;

    fn batch() -> Batch {
        let device = DeviceId::new("cpu-1").unwrap();
        let entry = |n| Entry {
            run: "r1".into(),
            n,
            prev: None,
            gap: None,
            queued: std::time::Instant::now(),
            clock: ClockState::default(),
            content: Content::Reading(Reading {
                device: device.clone(),
                at: Timestamp::default(),
                value: Err(Fault::TIMEOUT),
            }),
        };
        let mut work = Work::from_memory(
            vec![(device.clone(), "{}".to_owned())],
            vec![entry(7), entry(8), entry(9)],
            Some(device.clone()),
        );
        let sender = Sender {
            agent: "node7".to_owned(),
            zone: "default".to_owned(),
            safety_cap: NonZeroU64::MIN,
        };
        let route = Route {
            stream: "raw".to_owned(),
            exists: true,
            partitioning: Partitioning::Unset,
        };
        work.skews[1] = Some(12);
        Batch::new(work, &sender, &route)
    }

    fn refused() -> Value {
        redis::parse_redis_value(b"-OOM command not allowed\r\n").unwrap_or(Value::Nil)
    }

    fn added() -> Value {
        Value::BulkString(b"1-1".to_vec())
    }

    #[test]
    fn descriptions_go_before_entries() {
        let text = String::from_utf8(batch().pipeline.get_packed_pipeline()).unwrap();
        let at = |command: &str| text.find(command).unwrap();
        assert!(at("HSET") < at("INCR") && at("INCR") < at("XADD") && at("XADD") < at("HEXISTS"));
        assert!(text.contains("r1-7"), "{text}");
        assert_eq!(text.matches("skew").count(), 1, "only one entry reports it");
        assert!(at("r1-8") < at("skew") && at("skew") < at("r1-9"));
    }

    #[test]
    fn accepted_entries_are_counted() {
        let replies = vec![
            Value::Int(1),
            Value::Int(1),
            added(),
            added(),
            added(),
            Value::Int(1),
        ];
        let batch = batch();
        let outcome = batch.outcome(replies);
        assert!(
            outcome.descriptions_written && !outcome.descriptions_lost && outcome.error.is_none()
        );
        let sent = batch.totals(&outcome);
        assert_eq!((sent.entries, sent.readings), (3, 3));
    }

    #[test]
    fn a_vanished_stream_is_noticed() {
        let batch = batch();
        let partitioning = Value::Array(vec![Value::BulkString(b"4".to_vec()), Value::Nil]);
        let replies = vec![
            Value::Int(1),
            Value::Int(1),
            added(),
            Value::Nil,
            Value::Nil,
            Value::Int(1),
            partitioning,
        ];
        let outcome = batch.outcome(replies);
        assert!(outcome.stream_vanished && outcome.error.is_none());
        assert_eq!(batch.totals(&outcome).entries, 1);
        let partitions = outcome.partitioning.unwrap().partitions();
        assert_eq!(u16::from(partitions), 4);
    }

    #[test]
    fn entries_after_a_refused_one_are_sent_again() {
        let replies = vec![
            Value::Int(1),
            refused(),
            added(),
            refused(),
            added(),
            Value::Int(0),
        ];
        let batch = batch();
        let outcome = batch.outcome(replies);
        assert!(!outcome.descriptions_written && outcome.descriptions_lost);
        assert_eq!(outcome.error.as_ref().and_then(|e| e.code()), Some("OOM"));
        assert_eq!(batch.totals(&outcome).entries, 1);
    }
}
