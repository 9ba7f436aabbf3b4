//! The state of a detector in a snapshot.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{DetectorSpec, DetectorState};

/// The state of one detector, before it is encoded or decoded.
///
/// The JSON does not name the kind of detector. It is decoded only once the rule is known, so that one
/// invalid state does not spoil the others.
#[derive(Clone, Debug)]
pub enum SavedState {
    /// A state to save.
    State(DetectorState),
    /// A saved state, not decoded yet.
    Json(Value),
}

impl SavedState {
    /// Returns the state for a detector of `spec`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON does not fit `spec`.
    pub fn load(self, spec: &DetectorSpec) -> Result<DetectorState, serde_json::Error> {
        match self {
            Self::State(state) => Ok(state),
            Self::Json(json) => DetectorState::load(spec, json),
        }
    }
}

impl Serialize for SavedState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::State(state) => state.serialize(to),
            Self::Json(json) => json.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for SavedState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::Json)
    }
}

/// Compares the JSON.
impl PartialEq for SavedState {
    fn eq(&self, other: &Self) -> bool {
        let json = |saved: &Self| serde_json::to_value(saved).ok();
        json(self) == json(other)
    }
}
