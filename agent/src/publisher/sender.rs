//! Who sends: what stands in every entry beside the readings.
//!
//! In: an entry of the backlog. Out: its fields on the wire, with the agent's name and a `seq` that
//! no other entry has, from which receivers tell a gap from silence.

use std::num::NonZeroU64;

use rackwatch_core::wire::{Provenance, Seq, entry, frame};

use crate::backlog::{Content, Entry};
use crate::clock;
use crate::config::AgentName;

/// Who sends, and how much Redis keeps.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The agent's name.
    pub agent: String,
    /// Names this run of the agent: its entries are numbered from 1.
    pub run: String,
    /// About how many entries the stream may hold.
    pub safety_cap: NonZeroU64,
}

impl Sender {
    /// A run of `agent` that starts now.
    pub fn new(agent: &AgentName, safety_cap: NonZeroU64) -> Self {
        Self {
            agent: agent.to_string(),
            run: base36(clock::now().millis()),
            safety_cap,
        }
    }

    /// What the stream holds of `entry`.
    pub(super) fn fields(&self, entry: &Entry) -> Vec<(&'static str, String)> {
        let from = Provenance {
            agent: self.agent.clone(),
            seq: Seq {
                run: self.run.clone(),
                n: entry.n,
            },
        };
        match &entry.content {
            Content::Reading(reading) => entry::encode(reading, Some(&from)),
            Content::Frame(sample) => frame::encode(sample, &from),
        }
    }
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
