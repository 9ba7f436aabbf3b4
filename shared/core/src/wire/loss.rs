//! Losses as fields of `rackwatch:losses`.
//!
//! `loss_id`, `agent`, `run`, `from`, `to`, `readings`, `since`, `until`, `reason`: which numbers of
//! which run are missing, how many readings that is, between which times (`since` is empty where
//! nothing came before), and why.

use super::{Fields, Lookup, Reason};
use crate::ledger::Loss;

/// The fields of the entry that says `loss`.
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

/// What people are told of a loss.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// Whose readings.
    pub agent: String,
    /// How many.
    pub readings: u64,
    /// Why, in a word.
    pub reason: String,
    /// When the first reading after them was taken, in milliseconds since 1970.
    pub until: u64,
}

/// Reads the part back that people are told.
///
/// # Errors
///
/// The reason says which field is wrong.
pub fn decode(fields: &Fields) -> Result<Told, Reason> {
    let lookup = Lookup::new(fields)?;
    let number = |name| {
        let text = lookup.need(name)?;
        text.parse().map_err(|_| Reason::BadSeq)
    };
    Ok(Told {
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
    fn a_loss_is_written_and_told() {
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
        let told = decode(&fields.collect()).unwrap();
        assert_eq!(
            (told.readings, told.reason.as_str(), told.until),
            (5, "spool_full", 12_000)
        );
    }
}
