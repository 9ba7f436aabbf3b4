//! The arguments of `commit.lua`.

use rackwatch_core::clock_offsets::ClockOffsets;
use rackwatch_core::engine::EpisodeChange;
use rackwatch_core::keys::{DETECTOR_GROUP, PartitionKeys};
use rackwatch_core::stored;
use rackwatch_core::wire::{alert, loss};
use redis::{Script, ScriptInvocation};

use super::super::{Commit, DeadLetter};
use crate::fencing::Fence;

/// Alerts kept in the stream, roughly: some years of a large site.
const MAX_ALERTS: u64 = 1_000_000;
/// Dead letters kept, roughly: enough to find the client that sends them.
const MAX_DEAD_LETTERS: u64 = 10_000;
/// Losses kept, roughly: each is a line of a report, some hundred bytes.
const MAX_LOSSES: u64 = 100_000;
/// Length to which each field of a dead letter is cut: enough to see what is wrong with it.
const MAX_FIELD_BYTES: usize = 4 * 1024;
/// Fields kept of a dead letter: our own entries have fewer.
const MAX_FIELDS: usize = 64;

/// Prepares a call of `script` that writes `commit` and the changes of `offsets` as the step after `fence`.
pub(super) fn invocation<'a>(
    script: &'a Script,
    keys: &PartitionKeys,
    fence: Fence,
    commit: &Commit,
    offsets: &ClockOffsets,
) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    call.key(&keys.raw)
        .key(&keys.alerts)
        .key(&keys.dead)
        .key(&keys.episodes)
        .key(&keys.fence)
        .key(&keys.losses)
        .key(&keys.loss_ledger)
        .key(&keys.clocks)
        .key(&keys.tally)
        .key(&keys.resolutions);
    call.arg(DETECTOR_GROUP)
        .arg(fence.epoch)
        .arg(fence.commit + 1);
    call.arg(MAX_ALERTS).arg(MAX_DEAD_LETTERS).arg(MAX_LOSSES);
    call.arg(commit.done.len());
    for id in &commit.done {
        call.arg(id.to_string());
    }
    records(&mut call, commit);
    changes(&mut call, commit, offsets);
    let tally = &commit.effects.tally;
    call.arg(tally.late)
        .arg(tally.duplicate)
        .arg(tally.conflicting)
        .arg(commit.beyond)
        .arg(tally.undescribed);
    call
}

/// Adds the entries of other streams.
fn records(call: &mut ScriptInvocation<'_>, commit: &Commit) {
    call.arg(commit.effects.alerts.len());
    for record in &commit.effects.alerts {
        entry(call, alert::encode(record));
    }
    call.arg(commit.dead.len());
    for letter in &commit.dead {
        dead_letter(call, letter);
    }
    call.arg(commit.effects.losses.len());
    for lost in &commit.effects.losses {
        entry(call, loss::encode(lost));
    }
}

/// Adds the changes of hashes.
fn changes(call: &mut ScriptInvocation<'_>, commit: &Commit, offsets: &ClockOffsets) {
    call.arg(commit.effects.episodes.len());
    for change in &commit.effects.episodes {
        episode(call, change);
    }
    call.arg(commit.effects.agents.len());
    for (agent, runs) in &commit.effects.agents {
        call.arg(agent).arg(stored::encode(runs));
    }
    let changes = offsets.changes();
    call.arg(changes.len());
    for (sender, offsets) in changes {
        call.arg(sender).arg(stored::encode(offsets));
    }
    call.arg(commit.resolutions.len());
    for alert in &commit.resolutions {
        call.arg(alert.as_str());
    }
}

fn entry(call: &mut ScriptInvocation<'_>, fields: Vec<(&'static str, String)>) {
    call.arg(fields.len() * 2);
    for (name, value) in fields {
        call.arg(name).arg(value);
    }
}

/// Adds `reason` and `entry`, then the original fields, cut to the limits.
fn dead_letter(call: &mut ScriptInvocation<'_>, letter: &DeadLetter) {
    let kept = letter.fields.len().min(MAX_FIELDS);
    call.arg((kept + 2) * 2);
    call.arg("reason")
        .arg(&letter.reason)
        .arg("entry")
        .arg(letter.id.to_string());
    for (name, value) in &letter.fields[..kept] {
        call.arg(&name[..name.len().min(MAX_FIELD_BYTES)]);
        call.arg(&value[..value.len().min(MAX_FIELD_BYTES)]);
    }
}

fn episode(call: &mut ScriptInvocation<'_>, change: &EpisodeChange) {
    match change {
        EpisodeChange::Open(episode) => {
            call.arg(format!("{} {}", episode.subject, episode.rule))
                .arg(stored::encode(episode.as_ref()));
        }
        EpisodeChange::Close { subject, rule } => {
            call.arg(format!("{subject} {rule}")).arg("");
        }
    }
}
