//! The state of a detector in a snapshot.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{DetectorSpec, DetectorState};

/// A state on its way into a snapshot, or out of one.
///
/// Its JSON does not name the kind. On the way out it is kept as JSON until the rule is known: one state
/// that cannot be read must not spoil the others.
#[derive(Clone, Debug)]
pub enum SavedState {
    /// A state to be saved.
    State(DetectorState),
    /// A state that was saved.
    Json(Value),
}

impl SavedState {
    /// Returns the state of `spec`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON is not that of such a detector.
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

/// Two are equal if their JSON is.
impl PartialEq for SavedState {
    fn eq(&self, other: &Self) -> bool {
        let json = |saved: &Self| serde_json::to_value(saved).ok();
        json(self) == json(other)
    }
}
