//! Consumers of other programs in groups of ours.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::keys;
use rackwatch_core::name::printable;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::{Connection, reply_field};
use redis::{RedisResult, Value};
use serde::Serialize;

use crate::notify::line::format_duration;

/// Time after which a consumer that no longer reads, and has nothing pending, is of no concern.
const IDLE: Duration = Duration::from_mins(10);

/// A consumer that no program of ours uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ForeignConsumer {
    pub(crate) name: String,
    /// The number of entries that it has read and not acknowledged.
    pub(crate) pending: u64,
    /// The time since it last read.
    pub(crate) idle_ms: u64,
}

impl ForeignConsumer {
    fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// Returns whether it reads, or holds entries.
    fn is_of_concern(&self) -> bool {
        self.pending > 0 || self.idle() <= IDLE
    }

    /// Returns a line that says when it last read, and how to remove it.
    pub(super) fn line(&self, stream: &str, group: &str) -> String {
        let name = printable(&self.name);
        let idle = format_duration(self.idle());
        let pending = match self.pending {
            0 => "nothing pending".to_owned(),
            pending => format!("{} pending", count(pending, "entry")),
        };
        let remove = format!(
            "remove it with `redis-cli XGROUP DELCONSUMER '{stream}' '{group}' '{}'`",
            quoted(&self.name)
        );
        if self.idle() <= IDLE {
            return format!(
                "another program reads {stream} as consumer {name} of {group}, and takes entries from the collector \
                 (last active {idle} ago, {pending}): stop it, or give it a consumer group of its own; then {remove}"
            );
        }
        format!(
            "consumer {name} of {group} on {stream} belongs to another program, and was last active {idle} ago \
             ({pending}): a running collector takes over what is pending; then {remove}"
        )
    }
}

/// Returns a name as it stands between single quotes of a shell.
fn quoted(name: &str) -> String {
    printable(name).replace('\'', r"'\''")
}

/// Returns the consumers of a group that no program of ours uses, if they read lately or have entries pending.
pub(super) async fn foreign_consumers(
    connection: &mut Connection,
    stream: &str,
    group: &str,
) -> RedisResult<Vec<ForeignConsumer>> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("CONSUMERS").arg(stream).arg(group);
    let all: Vec<BTreeMap<String, Value>> = ask.query_async(connection).await?;
    let ours = keys::consumer_of(group);
    let foreign = all.into_iter().filter_map(|consumer| {
        let name = reply_field::<String>(&consumer, "name").filter(|name| name != ours)?;
        let consumer = ForeignConsumer {
            name,
            pending: reply_field(&consumer, "pending").unwrap_or(0),
            idle_ms: reply_field(&consumer, "idle").unwrap_or(0),
        };
        consumer.is_of_concern().then_some(consumer)
    });
    Ok(foreign.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_stopped_is_removed_by_the_very_command() {
        let mut consumer = ForeignConsumer {
            name: "it's".to_owned(),
            pending: 0,
            idle_ms: 30_000,
        };
        let reading = consumer.line("raw_sensor_data", "anomaly_detector_group");
        let command =
            r"`redis-cli XGROUP DELCONSUMER 'raw_sensor_data' 'anomaly_detector_group' 'it'\''s'`";
        assert!(
            reading.contains("(last active 30s ago, nothing pending): stop it"),
            "{reading}"
        );
        assert!(reading.ends_with(command), "{reading}");
        (consumer.idle_ms, consumer.pending) = (3_600_000, 2);
        let stopped = consumer.line("raw_sensor_data", "anomaly_detector_group");
        assert!(
            stopped.contains("was last active 1h ago (2 entries pending)"),
            "{stopped}"
        );
        assert!(stopped.ends_with(command), "{stopped}");
        assert!(consumer.is_of_concern(), "it holds entries");
        consumer.pending = 0;
        assert!(!consumer.is_of_concern());
        consumer.idle_ms = 600_000;
        assert!(consumer.is_of_concern());
    }
}
