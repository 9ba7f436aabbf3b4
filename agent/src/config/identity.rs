//! The section `[agent]`: the names and the place of an agent.
//!
//! In: the section. Out: names that are always set. A container gets another host name at each
//! start; with `host` its devices keep their ids, and the agent keeps its name.

use rackwatch_core::device::Description;
use serde::Deserialize;

use crate::name::{self, Name};

/// The identity and place of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "IdentityKeys")]
pub struct IdentityConfig {
    /// Unique name in entries and descriptions; default `host`.
    pub name: Name,
    /// Name of the host in descriptions and in the ids of its own sensors; default the system's.
    pub host: Name,
    /// Rack of devices whose source does not know it; default none.
    pub rack: Option<String>,
    /// Room or row, which decides the partition on large sites; default `default`.
    pub zone: String,
}

/// The keys of the section as they are written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IdentityKeys {
    name: Option<Name>,
    host: Option<Name>,
    #[serde(deserialize_with = "name::spaced")]
    rack: Option<String>,
    #[serde(deserialize_with = "name::spaced")]
    zone: Option<String>,
}

impl From<IdentityKeys> for IdentityConfig {
    fn from(keys: IdentityKeys) -> Self {
        let host = keys.host.unwrap_or_else(Name::of_this_host);
        Self {
            name: keys.name.unwrap_or_else(|| host.clone()),
            host,
            rack: keys.rack,
            zone: keys
                .zone
                .unwrap_or_else(|| Description::DEFAULT_ZONE.to_owned()),
        }
    }
}

impl Default for IdentityConfig {
    fn default() -> Self {
        IdentityKeys::default().into()
    }
}
