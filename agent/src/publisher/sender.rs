//! The sender of entries: fields that every entry carries besides its readings.
//!
//! In: an entry of the backlog. Out: its fields on the wire, with the agent's name and a unique
//! `seq`, from which receivers distinguish lost readings from absent ones.

use std::num::NonZeroU64;

use rackwatch_core::wire::{Provenance, Seq, entry, frame};
use rackwatch_runtime::clock;

use crate::backlog::{Content, Entry};
use crate::config::IdentityConfig;

/// The agent as a sender of entries.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Name of the agent.
    pub agent: String,
    /// Zone, which decides the partition.
    pub zone: String,
    /// Approximate number of entries at which Redis drops the oldest.
    pub safety_cap: NonZeroU64,
}

impl Sender {
    /// Returns the sender for an agent's settings.
    pub fn new(agent: &IdentityConfig, safety_cap: NonZeroU64) -> Self {
        Self {
            agent: agent.name.to_string(),
            zone: agent.zone.clone(),
            safety_cap,
        }
    }

    /// Returns the fields of `entry`; `skew` is the lead of this host's clock in milliseconds.
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

/// Returns a name for a run that starts now.
pub fn new_run() -> String {
    base36(clock::now().millis())
}

/// Writes a number in digits and lower-case letters: short, as every entry carries it.
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
    fn run_names_are_base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(36), "10");
        assert_eq!(
            u64::from_str_radix(&base36(1_795_579_615_000), 36),
            Ok(1_795_579_615_000)
        );
    }
}
