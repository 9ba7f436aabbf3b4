//! The commit as one Lua script, and the arguments it takes.

use rackwatch_core::engine::EpisodeChange;
use rackwatch_core::keys::{DETECTOR_GROUP, PartitionKeys};
use rackwatch_core::stored;
use rackwatch_core::wire::{alert, loss};
use redis::{Script, ScriptInvocation};

use super::{Commit, DeadLetter};

/// Alerts kept in the stream, about: some years of a large site.
const MOST_ALERTS: u64 = 1_000_000;
/// Dead letters kept, about. Each is up to 4 KiB a field.
const MOST_DEAD: u64 = 10_000;
/// Losses kept, about.
const MOST_LOSSES: u64 = 100_000;
/// Of each field of a dead letter this much is kept, in bytes.
const FIELD_KEPT: usize = 4 * 1024;
/// Of a dead letter so many fields are kept.
const FIELDS_KEPT: usize = 64;

/// Who commits, and how far the commits are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fence {
    /// Counts the owners.
    pub(super) epoch: u64,
    /// Number of the last commit.
    pub(super) commit: u64,
}

/// What the script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done, now or by an earlier try whose answer was lost.
    Done,
    /// Another owner has the stream.
    Taken,
    /// Redis went back behind this commit.
    Gone,
    /// An older entry is pending.
    Behind,
}

impl Answer {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "ok" | "again" => Self::Done,
            "taken" => Self::Taken,
            "behind" => Self::Behind,
            _ => Self::Gone,
        }
    }
}

/// The script; Redis is sent its text once and its hash from then on.
pub(super) fn script() -> Script {
    Script::new(include_str!("commit.lua"))
}

/// `script` with the arguments for `commit`, which would be the one after `fence`.
pub(super) fn invocation<'a>(
    script: &'a Script,
    keys: &PartitionKeys,
    fence: Fence,
    commit: &Commit,
) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    call.key(&keys.raw)
        .key(&keys.alerts)
        .key(&keys.dead)
        .key(&keys.episodes)
        .key(&keys.fence)
        .key(&keys.losses)
        .key(&keys.ledger);
    call.arg(DETECTOR_GROUP)
        .arg(fence.epoch)
        .arg(fence.commit + 1);
    call.arg(MOST_ALERTS).arg(MOST_DEAD).arg(MOST_LOSSES);
    call.arg(commit.done.len());
    for id in &commit.done {
        call.arg(id.to_string());
    }
    call.arg(commit.effects.alerts.len());
    for record in &commit.effects.alerts {
        entry(&mut call, alert::encode(record));
    }
    call.arg(commit.dead.len());
    for letter in &commit.dead {
        dead_letter(&mut call, letter);
    }
    call.arg(commit.effects.losses.len());
    for lost in &commit.effects.losses {
        entry(&mut call, loss::encode(lost));
    }
    call.arg(commit.effects.episodes.len());
    for change in &commit.effects.episodes {
        episode(&mut call, change);
    }
    call.arg(commit.effects.agents.len());
    for (agent, runs) in &commit.effects.agents {
        call.arg(agent).arg(stored::encode(runs));
    }
    call
}

fn entry(call: &mut ScriptInvocation<'_>, fields: Vec<(&'static str, String)>) {
    call.arg(fields.len() * 2);
    for (name, value) in fields {
        call.arg(name).arg(value);
    }
}

/// `reason` and `entry` first, then the original fields, cut to what is kept.
fn dead_letter(call: &mut ScriptInvocation<'_>, letter: &DeadLetter) {
    let kept = letter.fields.len().min(FIELDS_KEPT);
    call.arg((kept + 2) * 2);
    call.arg("reason")
        .arg(&letter.reason)
        .arg("entry")
        .arg(letter.id.to_string());
    for (name, value) in &letter.fields[..kept] {
        call.arg(&name[..name.len().min(FIELD_KEPT)]);
        call.arg(&value[..value.len().min(FIELD_KEPT)]);
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
