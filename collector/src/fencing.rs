//! Fencing: one script writes a step, and only for the newest owner and the step after the last.
//!
//! A fence is a hash with the epoch of the newest owner and the number of its last step. Scripts
//! that write for an owner begin with `fencing.lua`, so that all of them decide alike.

use redis::Script;

/// The owner that writes, and its last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fence {
    /// Count of owners so far.
    pub(crate) epoch: u64,
    /// Number of the last step, or commit.
    pub(crate) commit: u64,
}

/// The answer of a script that writes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The step is written, now or by an earlier try whose reply was lost.
    Done,
    /// A newer owner exists.
    TakenOver,
    /// Redis does not hold what the step builds on.
    StateLost,
}

impl Answer {
    /// Parses the word that a script returns.
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "ok" | "again" => Self::Done,
            "taken" => Self::TakenOver,
            _ => Self::StateLost,
        }
    }
}

/// Prepares a script that may call what `fencing.lua` defines. Redis receives its text once, and
/// its hash from then on.
pub(crate) fn script(body: &str) -> Script {
    Script::new(&[include_str!("fencing.lua"), body].concat())
}
