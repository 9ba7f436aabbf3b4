//! One round trip: commands out of work, and what the replies mean.
//!
//! In: descriptions, entries and a device to ask for. Out: a pipeline with the descriptions first,
//! and from its replies how far the entries are done. Pure but for [`Batch::send`].

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys;
use rackwatch_runtime::redis::{Connection, Partitioning};
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisError, RedisResult, Value};

use super::route::Route;
use super::{Departure, Sender};
use crate::backlog::Work;

/// How many descriptions one HSET writes: a long command would keep Redis from all others.
const DESCRIPTIONS: usize = 500;

/// Commands that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    work: Work,
    pipeline: Pipeline,
    /// How many commands write descriptions; they come first.
    describing: usize,
}

/// What the replies say.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The descriptions are written.
    pub(super) described: bool,
    /// The first so many entries are in the stream.
    pub(super) entries: usize,
    /// The descriptions written earlier are gone.
    pub(super) lost: bool,
    /// The stream was there, and is not any more.
    pub(super) vanished: bool,
    /// How the readings are spread now.
    pub(super) layout: Option<Partitioning>,
    /// The first error.
    pub(super) error: Option<RedisError>,
}

/// Which entries are done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many, from the first on.
    pub(super) entries: usize,
    /// The readings in them.
    pub(super) readings: u64,
}

impl Batch {
    /// `skew` is what the first entry says of this host's clock.
    pub(super) fn new(work: Work, sender: &Sender, route: &Route, skew: Option<i64>) -> Self {
        let mut pipeline = redis::pipe();
        describe(&mut pipeline, &work.descriptions);
        let describing = pipeline.len();
        let skews = std::iter::once(skew).chain(std::iter::repeat(None));
        for (entry, skew) in work.entries.iter().zip(skews) {
            let command = pipeline.cmd("XADD").arg(&route.stream);
            if route.exists {
                // A stream that vanished must not come back with this entry as its first.
                command.arg("NOMKSTREAM");
            }
            command
                .arg("MAXLEN")
                .arg("~")
                .arg(sender.safety_cap.get())
                .arg("*")
                .arg(sender.fields(entry, skew));
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
            describing,
        }
    }

    pub(super) fn into_work(self) -> Work {
        self.work
    }

    pub(super) fn descriptions(&self) -> &[(DeviceId, String)] {
        &self.work.descriptions
    }

    /// An error means that nobody knows what was done.
    pub(super) async fn send(&self, connection: &mut Connection) -> RedisResult<Outcome> {
        if self.pipeline.is_empty() {
            return Ok(self.outcome(Vec::new()));
        }
        let count = self.pipeline.len();
        let replies = connection
            .req_packed_commands(&self.pipeline, 0, count)
            .await?;
        Ok(self.outcome(replies))
    }

    /// Entries behind the first refused one count as not done, so that their order is kept.
    fn outcome(&self, replies: Vec<Value>) -> Outcome {
        let mut outcome = Outcome {
            described: true,
            ..Outcome::default()
        };
        let mut replies = replies.into_iter();
        for reply in replies.by_ref().take(self.describing) {
            if let Value::ServerError(error) = reply {
                outcome.described = false;
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
                    outcome.vanished = true;
                }
                _ => {}
            }
            outcome.entries += usize::from(in_order);
        }
        if self.work.probe.is_some() {
            outcome.lost = matches!(replies.next(), Some(Value::Int(0) | Value::Boolean(false)));
        }
        let layout = replies
            .next()
            .and_then(|reply| redis::from_redis_value(reply).ok());
        outcome.layout = layout.and_then(|answer| Partitioning::from_reply(answer).ok());
        outcome
    }

    pub(super) fn sent(&self, outcome: &Outcome) -> Sent {
        let done = &self.work.entries[..outcome.entries.min(self.work.entries.len())];
        Sent {
            entries: done.len(),
            readings: done.iter().map(|entry| entry.readings() as u64).sum(),
        }
    }
}

/// What is said of the devices at the end.
pub(super) fn goodbye(devices: &[(DeviceId, String)], departure: Departure) -> Pipeline {
    let mut pipeline = redis::pipe();
    match departure {
        Departure::Leave => describe(&mut pipeline, devices),
        Departure::Remove => {
            for devices in devices.chunks(DESCRIPTIONS) {
                let names: Vec<_> = devices.iter().map(|(device, _)| device.as_str()).collect();
                pipeline.cmd("HDEL").arg(keys::DEVICES).arg(names);
            }
            pipeline.cmd("INCR").arg(keys::DEVICES_REVISION);
        }
    }
    pipeline
}

fn describe(pipeline: &mut Pipeline, descriptions: &[(DeviceId, String)]) {
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

    fn batch() -> Batch {
        let device = DeviceId::new("cpu-1").unwrap();
        let entry = |n| Entry {
            run: "r1".into(),
            n,
            prev: None,
            gap: None,
            taken: std::time::Instant::now(),
            content: Content::Reading(Reading {
                device: device.clone(),
                at: Timestamp::default(),
                value: Err(Fault::TIMEOUT),
            }),
        };
        let work = Work::of(
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
            layout: Partitioning::Unset,
        };
        Batch::new(work, &sender, &route, Some(12))
    }

    fn refused() -> Value {
        redis::parse_redis_value(b"-OOM command not allowed\r\n").unwrap_or(Value::Nil)
    }

    fn added() -> Value {
        Value::BulkString(b"1-1".to_vec())
    }

    #[test]
    fn descriptions_go_first() {
        let text = String::from_utf8(batch().pipeline.get_packed_pipeline()).unwrap();
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("HSET") < at("INCR") && at("INCR") < at("XADD") && at("XADD") < at("HEXISTS"));
        assert!(text.contains("r1-7"), "{text}");
        assert_eq!(text.matches("skew").count(), 1, "the first entry says it");
    }

    #[test]
    fn all_done() {
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
        assert!(outcome.described && !outcome.lost && outcome.error.is_none());
        let sent = batch.sent(&outcome);
        assert_eq!((sent.entries, sent.readings), (3, 3));
    }

    #[test]
    fn a_stream_that_vanished_is_noticed() {
        let batch = batch();
        let layout = Value::Array(vec![Value::BulkString(b"4".to_vec()), Value::Nil]);
        let replies = vec![
            Value::Int(1),
            Value::Int(1),
            added(),
            Value::Nil,
            Value::Nil,
            Value::Int(1),
            layout,
        ];
        let outcome = batch.outcome(replies);
        assert!(outcome.vanished && outcome.error.is_none());
        assert_eq!(batch.sent(&outcome).entries, 1);
        let partitions = outcome.layout.unwrap().partitions();
        assert_eq!(u16::from(partitions), 4);
    }

    #[test]
    fn what_follows_a_refused_entry_is_sent_again() {
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
        assert!(!outcome.described && outcome.lost);
        assert_eq!(outcome.error.as_ref().and_then(|e| e.code()), Some("OOM"));
        assert_eq!(batch.sent(&outcome).entries, 1);
    }
}
