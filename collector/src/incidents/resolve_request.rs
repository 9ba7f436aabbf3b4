//! Requests of operators to resolve alerts by hand, as Redis keeps them until the owner of the partition takes them in.

use std::time::Duration;

use rackwatch_core::episode::Episode;
use rackwatch_core::stored::{IfRefused, StoredValue};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A request to resolve one alert: a value of `rackwatch:resolutions`, under the id of the alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResolveRequest {
    /// The sensor, target or agent of the alert.
    #[serde(rename = "device")]
    pub subject: Subject,
    /// The name of the person.
    #[serde(rename = "by")]
    pub by: String,
    /// The time of the request.
    #[serde(rename = "at_ms")]
    pub at: Timestamp,
    /// A remark, which may be empty.
    #[serde(rename = "note", skip_serializing_if = "String::is_empty", default)]
    pub note: String,
    /// The episode, if its stored value was lost: the owner may not know it then.
    #[serde(rename = "lost", skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<Box<Episode>>,
}

impl StoredValue for ResolveRequest {
    const NAME: &'static str = "resolution";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::HasNoEffect("resolve the alerts again");
}

impl ResolveRequest {
    /// Life of requests that no owner takes in: an alert that a person resolved must not end by surprise much later.
    pub const LIFE: Duration = Duration::from_hours(1);
    /// Most requests that wait in one partition.
    pub const MAX_WAITING: usize = 10_000;
}
