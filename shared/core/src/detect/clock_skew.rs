//! Wrong clocks: the engine itself watches them, without a rule.

use std::time::Duration;

use super::kind::{AlertFacts, AnomalyKind, Extras, Family, KindInfo, Payload, Phrase};
use crate::time::format_duration;

/// `clock_skew`: a clock that is wrong, or was set back.
#[derive(Clone, Copy, Debug)]
pub struct ClockSkew;

impl AnomalyKind for ClockSkew {
    const INFO: KindInfo = KindInfo {
        headline: "clock is wrong",
        unit: "s",
        ..KindInfo::new("clock_skew", "clock skew", Family::NoData)
    };

    type Payload = SkewPayload;

    fn phrase(payload: Option<&SkewPayload>, facts: &AlertFacts) -> Phrase {
        let skew = payload.map_or(0, |skew| skew.ms);
        let by = format_duration(Duration::from_millis(skew.unsigned_abs()));
        let direction = if skew < 0 { "behind" } else { "ahead" };
        if let Some(reason) = payload.and_then(|skew| skew.reason.as_deref()) {
            return format!(" is wrong: {reason}").into();
        }
        // A clock that was set back shows at a reading. Any other is measured, and corrected.
        if facts.temperature.is_some() {
            format!(", clock {by} {direction}").into()
        } else {
            format!(" {by} {direction}, readings are corrected").into()
        }
    }

    fn without_temperature(_payload: Option<&SkewPayload>, facts: &AlertFacts) -> String {
        let words = if facts.is_firing {
            "its clock"
        } else {
            "its clock is right"
        };
        words.to_owned()
    }
}

/// The error of a wrong clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkewPayload {
    /// Milliseconds that the clock is ahead of Redis' clock; negative where it is behind.
    pub ms: i64,
    /// The consequence, where the readings cannot be corrected.
    pub reason: Option<String>,
}

impl Payload for SkewPayload {
    fn from_extras(extras: Extras) -> Option<Self> {
        Some(Self {
            ms: extras.skew_ms?,
            reason: extras.reason,
        })
    }

    fn extras(&self) -> Extras {
        Extras {
            skew_ms: Some(self.ms),
            reason: self.reason.clone(),
            ..Extras::default()
        }
    }
}
