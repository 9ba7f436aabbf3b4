//! The streams that the read model follows, and their entries as changes.

use rackwatch_core::clock_offsets::ClockOffsets;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::wire::{self, alert, incident};
use rackwatch_runtime::redis::RawEntry;

use super::change::Change;

/// A stream, and the id of the last entry read.
pub(super) struct StreamPosition {
    pub(super) stream: String,
    pub(super) last_id: String,
    pub(super) content: StreamContent,
    /// The clocks of its senders: a hash, and what was read from it.
    pub(super) clocks: Option<(String, ClockOffsets)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamContent {
    Readings,
    Alerts,
    Incidents,
}

/// Returns the streams to follow: readings from the id `from` on, records from the beginning.
pub(super) fn positions(partitions: Partitions, from: &str) -> Vec<StreamPosition> {
    let position = |stream, last_id: &str, content| StreamPosition {
        stream,
        last_id: last_id.to_owned(),
        content,
        clocks: None,
    };
    let each = partitions.all().map(PartitionKeys::of);
    let mut streams: Vec<_> = each
        .flat_map(|keys| {
            [
                StreamPosition {
                    clocks: Some((keys.clocks, ClockOffsets::default())),
                    ..position(keys.raw, from, StreamContent::Readings)
                },
                position(keys.alerts, "0-0", StreamContent::Alerts),
            ]
        })
        .collect();
    // Readings come first, then alerts, then incidents, as one causes the other.
    streams.sort_by_key(|position| position.content);
    let incidents = keys::INCIDENTS.to_owned();
    streams.push(position(incidents, "0-0", StreamContent::Incidents));
    streams
}

/// Decodes an entry into changes. An entry that cannot be decoded is skipped.
pub(super) fn decode(position: &StreamPosition, entry: &RawEntry, changes: &mut Vec<Change>) {
    let Some(fields) = &entry.fields else {
        return;
    };
    match position.content {
        StreamContent::Readings => {
            let arrived = StreamId {
                ms: entry.id.0,
                seq: entry.id.1,
            };
            let clocks = position.clocks.as_ref().map(|(_, offsets)| offsets);
            changes.extend(readings(arrived, fields, clocks));
        }
        StreamContent::Alerts => {
            let record = alert::decode(fields).ok();
            changes.extend(record.map(|record| Change::Alert(Box::new(record))));
        }
        StreamContent::Incidents => {
            let record = incident::decode(fields).ok();
            changes.extend(record.map(|record| Change::Incident(Box::new(record))));
        }
    }
}

/// Returns the readings of an entry at corrected time, without those from the future.
fn readings(
    arrived: StreamId,
    fields: &wire::Fields,
    clocks: Option<&ClockOffsets>,
) -> impl Iterator<Item = Change> + use<> {
    let at = Timestamp::from_millis(arrived.ms).unwrap_or_default();
    let mut decoded = wire::decode(fields);
    let ahead = clocks.and_then(|clocks| clocks.at(decoded.sender()?, arrived));
    decoded.correct(ahead.unwrap_or(0));
    let decoded = decoded.without_future(at, wire::Decoded::MAX_FUTURE);
    let by_agent = decoded.agent.is_some();
    let readings = decoded.readings.into_iter();
    readings.map(move |reading| Change::Reading { reading, by_agent })
}

/// Returns the id after which to read on, `0-0` without entries.
pub(super) fn last_id(entries: &[RawEntry]) -> String {
    let last = entries.last().map_or((0, 0), |entry| entry.id);
    format!("{}-{}", last.0, last.1)
}
