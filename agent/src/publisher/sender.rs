//! Who sends: what stands in every entry beside the readings.
//!
//! In: an entry of the backlog. Out: its fields on the wire, with the agent's name and a `seq` that
//! no other entry has, from which receivers tell a gap from silence.

use std::num::NonZeroU64;

use rackwatch_core::wire::{Provenance, Seq, entry, frame};

use crate::backlog::{Content, Entry};
use crate::clock;
use crate::config::IdentityConfig;

/// Who sends, and how much Redis keeps.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The agent's name.
    pub agent: String,
    /// The zone, which decides the partition.
    pub zone: String,
    /// About how many entries the stream may hold.
    pub safety_cap: NonZeroU64,
}

impl Sender {
    /// Sends as `agent`.
    pub fn new(agent: &IdentityConfig, safety_cap: NonZeroU64) -> Self {
        Self {
            agent: agent.name.to_string(),
            zone: agent.zone.clone(),
            safety_cap,
        }
    }

    /// What the stream holds of `entry`, and what it says of this host's clock.
    pub(super) fn fields(&self, entry: &Entry, skew: Option<i64>) -> Vec<(&'static str, String)> {
        let seq = Seq {
            run: entry.run.to_string(),
            n: entry.n,
        };
        let from = Provenance {
            prev: entry.prev.clone(),
            gap: entry.gap,
            skew,
            ..Provenance::new(&self.agent, seq)
        };
        match &entry.content {
            Content::Reading(reading) => entry::encode(reading, Some(&from)),
            Content::Frame(sample) => frame::encode(sample, &from),
        }
    }
}

/// The name of a run that starts now.
pub fn new_run() -> String {
    base36(clock::now().millis())
}

/// The number in digits and small letters: it stands in every entry, so it had better be short.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.extend(char::from_digit(digit, 36));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_in_base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(36), "10");
        assert_eq!(
            u64::from_str_radix(&base36(1_795_579_615_000), 36),
            Ok(1_795_579_615_000)
        );
    }
}
