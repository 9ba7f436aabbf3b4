//! Offsets of clocks: readings of a clock that is constantly wrong are taken at corrected time.
//!
//! In: what each entry says about its sender's clock, in the order of the stream. Out: the seconds by which that
//! clock is ahead, which the reader of the stream subtracts from the timestamps. Two observations count:
//!
//! - An agent measures its clock against Redis' and reports the difference, as it was when the readings were taken. An offset
//!   of either sign follows.
//! - Without a measurement only timestamps from the future show a wrong clock. The second reading with the same
//!   lead begins an offset. Old timestamps never do: a backlog looks the same.
//!
//! An offset is fixed for a run of an agent, or for a device of a plain client, in whole seconds, until an
//! observation contradicts it. So a reading that is sent twice has the same corrected time twice. Changes are
//! part of the commit, each with the entry from which it holds: after a restart an entry gets the same offset
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::stored::{IfRefused, StoredValue};
use crate::time::{StreamId, Timestamp};

/// The greatest difference of a clock that is right. Hosts with NTP stay within a fraction of a second.
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// The number of runs remembered for an agent. Readings of an earlier run may come again after a failover.
const MAX_RUNS: usize = 4;
/// The number of changes remembered for a run: a restart looks back half a minute.
const MAX_CHANGES: usize = 8;
/// The number of senders with an offset. The readings of further ones from the future are refused.
const MAX_SENDERS: usize = 10_000;

/// The sender of entries, whose clock stamps their readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// An agent, and its run where its readings are numbered.
    Agent(&'a str, &'a str),
    /// A plain client, known by the device that it writes.
    Client(&'a DeviceId),
}

/// The facts in an entry about its sender's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockObservation {
    /// The position of the entry.
    pub entry: StreamId,
    /// The arrival of the entry, by Redis' clock.
    pub arrived: Timestamp,
    /// The timestamp of its readings, as it was sent.
    pub at: Timestamp,
    /// The milliseconds that its agent's clock is ahead of Redis', where the entry reports a measurement.
    pub skew: Option<i64>,
}

/// The offsets of all senders with a wrong clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockOffsets {
    senders: BTreeMap<String, SenderOffsets>,
    /// Senders that changed since [`ClockOffsets::changes`] were taken over.
    changed: BTreeSet<String>,
}

/// The offsets of one sender: a value of `rackwatch:clocks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderOffsets {
    #[serde(rename = "runs")]
    runs: Vec<RunOffsets>,
}

impl StoredValue for SenderOffsets {
    const NAME: &'static str = "clock offset";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold(
        "the clock is measured again, its first readings may be dead letters",
    );
}

/// The offsets of one run of an agent, or of a plain client's device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct RunOffsets {
    #[serde(rename = "run", default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// Whether the agent measures its clock. Arrival says nothing then.
    #[serde(rename = "measured", default, skip_serializing_if = "is_false")]
    is_measured: bool,
    /// Seconds ahead, each with the first entry for which they hold.
    #[serde(rename = "offsets")]
    changes: Vec<(StreamId, i64)>,
    /// The last reading from the future, which the next one may confirm.
    #[serde(rename = "future", default, skip_serializing_if = "Option::is_none")]
    future: Option<Lead>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A reading from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lead {
    #[serde(rename = "entry")]
    entry: StreamId,
    #[serde(rename = "at")]
    at: Timestamp,
    #[serde(rename = "ms")]
    ms: i64,
}

impl Sender<'_> {
    /// Returns the field of the sender in the stored hash.
    fn field(self) -> String {
        match self {
            Self::Agent(name, _) => format!("agent {name}"),
            Self::Client(device) => format!("device {device}"),
        }
    }

    fn run(&self) -> &str {
        match self {
            Self::Agent(_, run) => run,
            Self::Client(_) => "",
        }
    }
}

impl ClockOffsets {
    /// Returns the seconds by which the sender's clock was ahead at `entry`; none while it was always right.
    pub fn at(&self, sender: Sender<'_>, entry: StreamId) -> Option<i64> {
        if self.senders.is_empty() {
            return None;
        }
        let known = self.senders.get(&sender.field())?;
        let run = known.runs.iter().find(|run| run.name == sender.run())?;
        Some(run.at(entry))
    }

    /// Takes in the next entry of a sender. Returns the seconds by which its clock is ahead; none while it was
    /// always right. Readings up to `max_future` ahead of their arrival are no sign of a wrong clock.
    pub fn observe(
        &mut self,
        sender: Sender<'_>,
        seen: &ClockObservation,
        max_future: Duration,
    ) -> Option<i64> {
        let is_off = match seen.skew {
            Some(skew) => skew.unsigned_abs() > millis(TOLERANCE).unsigned_abs(),
            None => seen.lead() > millis(max_future),
        };
        // Nearly always: no clock was ever wrong, and this one is right.
        if self.senders.is_empty() && !is_off {
            return None;
        }
        let field = sender.field();
        let is_known = self
            .senders
            .get(&field)
            .is_some_and(|known| known.runs.iter().any(|run| run.name == sender.run()));
        if !is_known && (!is_off || self.senders.len() >= MAX_SENDERS) {
            return None;
        }
        let known = self.senders.entry(field.clone()).or_default();
        let run = known.run(sender.run());
        let before = run.clone();
        run.observe(seen, max_future);
        let offset = run.at(seen.entry);
        if *run != before {
            self.changed.insert(field);
        }
        Some(offset)
    }

    /// Returns the changed senders as fields and values of the stored hash.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = (&str, &SenderOffsets)> {
        static NONE: SenderOffsets = SenderOffsets { runs: Vec::new() };
        let changed = self.changed.iter();
        changed.map(|field| (field.as_str(), self.senders.get(field).unwrap_or(&NONE)))
    }

    /// Takes note that the changes are stored.
    pub fn mark_stored(&mut self) {
        self.changed.clear();
    }

    /// Creates the offsets from the fields and values of the stored hash.
    pub fn resume(stored: impl IntoIterator<Item = (String, SenderOffsets)>) -> Self {
        Self {
            senders: stored.into_iter().collect(),
            changed: BTreeSet::new(),
        }
    }
}

impl SenderOffsets {
    fn run(&mut self, name: &str) -> &mut RunOffsets {
        let index = self.runs.iter().position(|run| run.name == name);
        let index = index.unwrap_or_else(|| {
            if self.runs.len() == MAX_RUNS {
                self.runs.remove(0);
            }
            self.runs.push(RunOffsets {
                name: name.to_owned(),
                ..RunOffsets::default()
            });
            self.runs.len() - 1
        });
        &mut self.runs[index]
    }
}

impl RunOffsets {
    fn at(&self, entry: StreamId) -> i64 {
        let mut newest_first = self.changes.iter().rev();
        let change = newest_first.find(|(from, _)| *from <= entry);
        change.map_or(0, |(_, seconds)| *seconds)
    }

    fn observe(&mut self, seen: &ClockObservation, max_future: Duration) {
        let last = self.changes.last().map(|(from, _)| *from);
        let last = last.max(self.future.map(|lead| lead.entry));
        if last.is_some_and(|last| seen.entry <= last) {
            // Taken in before.
            return;
        }
        let now = self.at(seen.entry).saturating_mul(1000);
        if let Some(skew) = seen.skew {
            self.is_measured = true;
            self.future = None;
            if skew.saturating_sub(now).unsigned_abs() > millis(TOLERANCE).unsigned_abs() {
                self.change(seen.entry, skew);
            }
            return;
        }
        if self.is_measured {
            return;
        }
        let (lead, limit) = (seen.lead(), millis(max_future));
        let corrected = lead.saturating_sub(now);
        if corrected > limit {
            self.observe_future(seen, lead);
        } else {
            self.future = None;
            if now != 0 && corrected < -limit && lead <= limit && lead >= -limit {
                // The clock was put right.
                self.change(seen.entry, 0);
            }
        }
    }

    /// Takes in a reading from the future. A single one may be garbled, so the next one has to agree.
    fn observe_future(&mut self, seen: &ClockObservation, lead: i64) {
        let confirms = |known: Lead| {
            let apart = known.ms.saturating_sub(lead).unsigned_abs();
            seen.at > known.at && apart <= millis(TOLERANCE).unsigned_abs()
        };
        if self.future.is_some_and(confirms) {
            self.future = None;
            self.change(seen.entry, lead);
        } else {
            self.future = Some(Lead {
                entry: seen.entry,
                at: seen.at,
                ms: lead,
            });
        }
    }

    fn change(&mut self, from: StreamId, ahead_ms: i64) {
        let within = ahead_ms.unsigned_abs() <= millis(TOLERANCE).unsigned_abs();
        let seconds = if within {
            0
        } else {
            // To the nearest second.
            ahead_ms.saturating_add(500).div_euclid(1000)
        };
        if self.changes.len() == MAX_CHANGES {
            self.changes.remove(0);
        }
        self.changes.push((from, seconds));
    }
}

impl ClockObservation {
    /// Returns the milliseconds by which the readings are ahead of their arrival; negative where they are older.
    fn lead(&self) -> i64 {
        let at = self.at.millis().cast_signed();
        at.saturating_sub(self.arrived.millis().cast_signed())
    }
}

/// Returns the timestamp by a right clock of one that a clock `ahead` seconds ahead stamped.
pub fn correct(at: Timestamp, ahead: i64) -> Timestamp {
    let by = Duration::from_secs(ahead.unsigned_abs());
    if ahead < 0 { at.plus(by) } else { at.minus(by) }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stored;

    const NOW: u64 = 1_700_000_000_000;
    const MAX_FUTURE: Duration = Duration::from_mins(1);
    const HOUR: i64 = 3600;

    fn client() -> DeviceId {
        DeviceId::new("inlet-R7-1").unwrap()
    }

    /// Returns what an entry that arrives `second` seconds after [`NOW`] says, from a clock `ahead` seconds ahead.
    fn seen(second: u64, ahead: i64, skew: Option<i64>) -> ClockObservation {
        let ms = NOW + second * 1000;
        ClockObservation {
            entry: StreamId { ms, seq: 0 },
            arrived: Timestamp::from_millis(ms).unwrap(),
            at: correct(Timestamp::from_millis(ms).unwrap(), -ahead),
            skew,
        }
    }

    #[test]
    fn an_agent_that_measures_its_clock_is_corrected_at_once_in_both_directions() {
        for ahead in [HOUR, -HOUR] {
            let mut offsets = ClockOffsets::default();
            let agent = Sender::Agent("web01", "a");
            let first = seen(0, ahead, Some(ahead * 1000 + 240));
            assert_eq!(offsets.observe(agent, &first, MAX_FUTURE), Some(ahead));
            // The next measurement differs by a little: the offset stays.
            let next = seen(60, ahead, Some(ahead * 1000 - 900));
            assert_eq!(offsets.observe(agent, &next, MAX_FUTURE), Some(ahead));
            let right = seen(120, 0, Some(30));
            assert_eq!(offsets.observe(agent, &right, MAX_FUTURE), Some(0));
            // Entries before that keep their offset.
            assert_eq!(offsets.at(agent, next.entry), Some(ahead));
            assert_eq!(offsets.at(Sender::Agent("web01", "b"), next.entry), None);
        }
    }

    #[test]
    fn readings_from_before_a_step_that_come_later_have_their_own_offset() {
        let mut offsets = ClockOffsets::default();
        let agent = Sender::Agent("web01", "a");
        let mut observe = |second, ahead: i64, skew: Option<i64>| {
            let now = seen(second, ahead, skew);
            offsets.observe(agent, &now, MAX_FUTURE)
        };
        assert_eq!(observe(0, HOUR, Some(HOUR * 1000)), Some(HOUR));
        assert_eq!(observe(1, 0, Some(0)), Some(0));
        // Redis lost both: the agent sends them again.
        assert_eq!(observe(2, HOUR, Some(HOUR * 1000)), Some(HOUR));
        assert_eq!(observe(3, HOUR, None), Some(HOUR));
        assert_eq!(observe(4, 0, Some(0)), Some(0));
        assert_eq!(observe(5, 0, None), Some(0));
    }

    #[test]
    fn clocks_within_the_tolerance_leave_no_trace() {
        let mut offsets = ClockOffsets::default();
        let agent = Sender::Agent("web01", "a");
        for (second, skew) in [(0, 5_000), (60, -5_000), (120, 0)] {
            let now = seen(second, skew / 1000, Some(skew));
            assert_eq!(offsets.observe(agent, &now, MAX_FUTURE), None);
        }
        let id = client();
        let ahead = seen(180, MAX_FUTURE.as_secs().cast_signed(), None);
        let observed = offsets.observe(Sender::Client(&id), &ahead, MAX_FUTURE);
        assert_eq!(observed, None);
        assert_eq!(offsets.changes().len(), 0);
    }

    #[test]
    fn each_sender_with_a_wrong_clock_has_a_field_and_others_have_none() {
        let mut offsets = ClockOffsets::default();
        let id = client();
        let wrong = seen(0, HOUR, Some(HOUR * 1000));
        offsets.observe(Sender::Agent("web01", "a"), &wrong, MAX_FUTURE);
        offsets.observe(Sender::Client(&id), &seen(1, HOUR, None), MAX_FUTURE);
        let right = Sender::Agent("web02", "a");
        assert_eq!(
            offsets.observe(right, &seen(2, 0, Some(0)), MAX_FUTURE),
            None
        );
        assert_eq!(offsets.at(right, seen(2, 0, None).entry), None);
        let fields: Vec<_> = offsets.changes().map(|(field, _)| field).collect();
        assert_eq!(fields, ["agent web01", "device inlet-R7-1"]);
    }

    #[test]
    fn an_offset_stays_while_readings_fit_it() {
        let mut offsets = ClockOffsets::default();
        let agent = Sender::Agent("web01", "a");
        for (second, skew) in [
            (0, HOUR * 1000),
            (1, HOUR * 1000 + 5_000),
            (2, HOUR * 1000 - 5_000),
        ] {
            let now = seen(second, HOUR, Some(skew));
            assert_eq!(offsets.observe(agent, &now, MAX_FUTURE), Some(HOUR));
        }
        let id = client();
        let mut observe = |second, ahead| {
            let now = seen(second, ahead, None);
            offsets.observe(Sender::Client(&id), &now, MAX_FUTURE)
        };
        observe(0, HOUR);
        assert_eq!(observe(1, HOUR), Some(HOUR));
        for second in 2..5 {
            let most = HOUR + MAX_FUTURE.as_secs().cast_signed();
            assert_eq!(observe(second, most), Some(HOUR));
        }
        assert_eq!(observe(5, -HOUR), Some(HOUR), "a backlog");
    }

    #[test]
    fn the_second_reading_from_the_future_with_the_same_lead_begins_an_offset() {
        let mut offsets = ClockOffsets::default();
        let id = client();
        let sender = Sender::Client(&id);
        let mut observe = |second, ahead| {
            let now = seen(second, ahead, None);
            offsets.observe(sender, &now, MAX_FUTURE)
        };
        assert_eq!(observe(0, 0), None);
        assert_eq!(observe(1, HOUR), Some(0), "a single one may be garbled");
        assert_eq!(observe(2, 0), Some(0), "and was");
        assert_eq!(observe(3, HOUR), Some(0));
        assert_eq!(observe(4, HOUR + 1), Some(HOUR + 1));
        assert_eq!(observe(5, HOUR), Some(HOUR + 1));
        assert_eq!(observe(6, 0), Some(0), "the clock was put right");
    }

    #[test]
    fn readings_from_the_future_that_disagree_begin_no_offset() {
        let mut offsets = ClockOffsets::default();
        let id = client();
        let mut observe = |second, ahead| {
            let now = seen(second, ahead, None);
            offsets.observe(Sender::Client(&id), &now, MAX_FUTURE)
        };
        assert_eq!(observe(0, HOUR), Some(0));
        assert_eq!(observe(1, 2 * HOUR), Some(0), "another lead");
        // Its clock has not moved on: the same reading once more.
        assert_eq!(observe(2, 2 * HOUR - 1), Some(0));
        assert_eq!(observe(3, 2 * HOUR), Some(2 * HOUR));
    }

    #[test]
    fn a_reading_that_is_only_late_by_the_corrected_clock_puts_no_clock_right() {
        let mut offsets = ClockOffsets::default();
        let id = client();
        let mut observe = |second, ahead| {
            let now = seen(second, ahead, None);
            offsets.observe(Sender::Client(&id), &now, MAX_FUTURE)
        };
        assert_eq!(observe(0, 90), Some(0));
        assert_eq!(observe(1, 90), Some(90));
        assert_eq!(observe(2, 30), Some(90), "a minute late");
        assert_eq!(observe(3, 0), Some(0), "90 seconds late, or right");
    }

    #[test]
    fn old_timestamps_of_plain_clients_are_never_corrected() {
        let mut offsets = ClockOffsets::default();
        let id = client();
        for second in 0..100 {
            let old = seen(second, -HOUR, None);
            let observed = offsets.observe(Sender::Client(&id), &old, MAX_FUTURE);
            assert_eq!(observed, None);
        }
    }

    proptest! {
        /// An entry that comes again after a restart has the offset that it had.
        #[test]
        fn an_entry_has_the_same_offset_again(steps in prop::collection::vec((0i64..4, any::<bool>()), 2..40)) {
            let mut offsets = ClockOffsets::default();
            let agent = Sender::Agent("web01", "a");
            let mut first = Vec::new();
            for (second, (ahead, is_measured)) in (0u64..).zip(&steps) {
                let ahead = ahead * HOUR;
                let now = seen(second, ahead, is_measured.then_some(ahead * 1000));
                first.push((now, offsets.observe(agent, &now, MAX_FUTURE).unwrap_or(0)));
                let changes: Vec<_> = offsets.changes().map(|(f, o)| (f.to_owned(), stored::encode(o))).collect();
                if !changes.is_empty() {
                    let decoded = changes.iter().map(|(f, json)| (f.clone(), stored::decode(json.as_bytes()).unwrap()));
                    let resumed = ClockOffsets::resume(decoded);
                    offsets.mark_stored();
                    prop_assert_eq!(&resumed, &offsets);
                }
            }
            let recent = first.len().saturating_sub(MAX_CHANGES - 1);
            for (now, offset) in &first[recent..] {
                prop_assert_eq!(offsets.observe(agent, now, MAX_FUTURE).unwrap_or(0), *offset);
                prop_assert_eq!(offsets.at(agent, now.entry).unwrap_or(0), *offset);
            }
        }
    }
}
