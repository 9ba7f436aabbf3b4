//! Agents of one name: the engine itself finds them, without a rule.

use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Phrase};

/// `duplicate_agent`: two agents that send under one name, such as those of a copied disk image.
#[derive(Clone, Copy, Debug)]
pub struct DuplicateAgent;

impl AnomalyKind for DuplicateAgent {
    const INFO: KindInfo = KindInfo {
        headline: "two agents have one name",
        rank: 3,
        unit: "s",
        ..KindInfo::new("duplicate_agent", "duplicate agent", Family::NoData)
    };

    type Payload = RunsPayload;

    fn phrase(payload: Option<&RunsPayload>, _facts: &AlertFacts) -> Phrase {
        let runs = payload.map_or("", |payload| payload.runs.as_str());
        format!(" (runs {runs}): give each an `agent.host` or `agent.name` of its own").into()
    }

    fn without_temperature(_payload: Option<&RunsPayload>, facts: &AlertFacts) -> String {
        let words = if facts.is_firing {
            "several agents send under this name"
        } else {
            "one agent sends under this name again"
        };
        words.to_owned()
    }
}

/// The agents that send under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsPayload {
    /// Their runs, as each agent logs its own at its start: `a1b2 and c3d4`.
    pub runs: String,
}

impl Payload for RunsPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        Some(Self {
            runs: extras.reason?,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            reason: Some(self.runs.clone()),
            ..Extras::default()
        }
    }
}
