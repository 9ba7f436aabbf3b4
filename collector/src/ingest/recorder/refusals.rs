//! The reasons why series refused readings, as an operator needs them.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::device::DeviceId;
use rackwatch_runtime::redis::Connection;

use crate::series::{REFUSED, wrong_keys};

/// Most keys that are remembered as logged.
const MAX_LOGGED: usize = 1000;

/// Explains refusals, and logs each key that holds something else once.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    logged: BTreeSet<DeviceId>,
}

impl Refusals {
    /// Returns the reasons of dead letters, in the order of `refused`. They name the key of a series that holds something
    /// else.
    pub(super) async fn reasons(
        &mut self,
        connection: Option<Connection>,
        backend: &str,
        refused: &[(&DeviceId, String)],
    ) -> Vec<String> {
        let devices: BTreeSet<&DeviceId> = refused.iter().map(|(device, _)| *device).collect();
        let wrong = match connection {
            // The reason of the series stands in if Redis does not answer.
            Some(mut connection) => wrong_keys(&mut connection, backend, devices).await,
            None => Ok(BTreeMap::default()),
        };
        let wrong = wrong.unwrap_or_default();
        for (device, line) in &wrong {
            if self.logged.len() < MAX_LOGGED && self.logged.insert(device.clone()) {
                tracing::error!("{line}");
            }
        }
        let reason = |(device, reason): &(&DeviceId, String)| {
            format!("{REFUSED}{}", wrong.get(*device).unwrap_or(reason))
        };
        refused.iter().map(reason).collect()
    }
}
