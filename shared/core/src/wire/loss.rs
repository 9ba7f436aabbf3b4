//! Losses as fields of `rackwatch:losses`.
//!
//! `loss_id`, `agent`, `run`, `from`, `to`, `readings`, `since`, `until`, `reason`: the missing numbers of a run,
//! the number of readings, the times around them (`since` is empty where nothing arrived before), and the
//! reason.

use super::fields::{Fields, Lookup};
use super::reason::Reason;
use crate::loss_ledger::Loss;

/// Returns the fields of the entry for `loss`.
pub fn encode(loss: &Loss) -> Vec<(&'static str, String)> {
    vec![
        ("loss_id", loss.id()),
        ("agent", loss.agent.clone()),
        ("run", loss.run.clone()),
        ("from", loss.from.to_string()),
        ("to", loss.to.to_string()),
        ("readings", loss.readings().to_string()),
        (
            "since",
            loss.since.map_or_else(String::new, |at| at.to_string()),
        ),
        ("until", loss.until.to_string()),
        ("reason", loss.reason().to_owned()),
    ]
}

/// The part of a loss that people see.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LossSummary {
    /// The agent that produced the readings.
    pub agent: String,
    /// The number of readings.
    pub readings: u64,
    /// The reason as a word.
    pub reason: String,
    /// The time of the first reading after them, in milliseconds since 1970.
    pub until: u64,
}

/// Reads the summary of a loss.
///
/// # Errors
///
/// Returns the reason, which names the wrong field.
pub fn decode(fields: &Fields) -> Result<LossSummary, Reason> {
    let lookup = Lookup::new(fields)?;
    let number = |name| {
        let text = lookup.need(name)?;
        text.parse().map_err(|_| Reason::BadSeq)
    };
    Ok(LossSummary {
        agent: lookup.need("agent")?.to_owned(),
        readings: number("readings")?,
        reason: lookup.need("reason")?.to_owned(),
        until: number("until")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wire::Gap;

    #[test]
    fn a_loss_is_written_and_read_as_a_summary() {
        let loss = Loss {
            agent: "node7".to_owned(),
            run: "r1".to_owned(),
            from: 6,
            to: 10,
            since: None,
            until: Timestamp::from_millis(12_000).unwrap(),
            gap: Some(Gap::SpoolFull),
        };
        let fields = encode(&loss);
        let words: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let id = loss.id();
        assert_eq!(
            words.join(" "),
            format!(
                "loss_id={id} agent=node7 run=r1 from=6 to=10 readings=5 since= until=12000 \
                 reason=spool_full"
            )
        );
        let fields = fields
            .into_iter()
            .map(|(n, v)| (n.as_bytes().to_vec(), v.into_bytes()));
        let summary = decode(&fields.collect()).unwrap();
        assert_eq!(
            (summary.readings, summary.reason.as_str(), summary.until),
            (5, "spool_full", 12_000)
        );
    }
}
