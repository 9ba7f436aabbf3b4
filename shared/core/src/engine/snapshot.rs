//! The engine's state, in slices small enough for Redis, and back.
//!
//! Each slice stands for the stream up to `through`: restored, the entries after it are run through
//! [`Engine::warm`], and the state is as it was. The devices are dealt into slices by the hash of
//! their id, so that a slice can be written by itself, at its own time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::device::Saved;
use super::{Effects, Engine};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::time::StreamId;

/// About as many devices go into a slice: one of 1,000 inlets is about 1 MB, and storing it takes
/// Redis less than a millisecond.
const DEVICES_A_SLICE: usize = 500;

/// A part of the engine's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Layout of the JSON; another one is not restored.
    version: u32,
    /// The last entry that had been taken in.
    pub through: StreamId,
    devices: Vec<Saved>,
}

/// Counts up when the layout of a slice changes.
const VERSION: u32 = 1;

impl Engine {
    /// All of the state, standing for the stream up to `through`.
    pub fn snapshot(&self, through: StreamId) -> Vec<Slice> {
        let count = self.devices.len().div_ceil(DEVICES_A_SLICE).max(1);
        let mut slices: BTreeMap<usize, Vec<Saved>> = BTreeMap::new();
        for (index, (id, device)) in self.devices.iter().enumerate() {
            slices
                .entry(index % count)
                .or_default()
                .push(device.save(id));
        }
        slices
            .into_values()
            .map(|devices| Slice {
                version: VERSION,
                through,
                devices,
            })
            .collect()
    }

    /// Takes over the state of `slices`, and what was said as `said` has it. To be called on a new
    /// engine; then [`Engine::warm`] with what came after the oldest slice, then
    /// [`Engine::step`], which ends the episodes of rules that are gone.
    pub fn restore(&mut self, slices: Vec<Slice>, said: Vec<Episode>) {
        for slice in slices.into_iter().filter(|slice| slice.version == VERSION) {
            for saved in slice.devices {
                let (id, device, states) = saved.into_device();
                self.devices.insert(id.clone(), device);
                // A plan that has no state yet ends no episode.
                self.replan(&id, &mut Effects::default());
                if let Some(device) = self.devices.get_mut(&id) {
                    device.resume(states);
                }
            }
        }
        for episode in &said {
            self.know(&episode.device);
            self.open
                .insert((episode.device.clone(), episode.rule.clone()));
        }
        self.said = Some(said);
    }

    fn know(&mut self, id: &DeviceId) {
        self.devices.entry(id.clone()).or_default();
    }
}

impl Slice {
    /// The JSON kept in Redis.
    pub fn to_json(&self) -> String {
        // Strings, numbers and plain enums only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON kept in Redis.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}
