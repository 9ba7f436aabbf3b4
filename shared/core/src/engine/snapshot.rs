//! The engine's state, in slices small enough for Redis, and back.
//!
//! Each slice stands for the stream up to `through`: restored, the entries after it are run through
//! [`Engine::warm`], and the state is as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::agents::Agents;
use super::device::Saved;
use super::newcomers::Newcomers;
use super::outage::Outages;
use super::silence::{Listening, Missed};
use super::{Effects, Engine};
use crate::device::DeviceId;
use crate::episode::Episode;
use crate::hash::fnv1a;
use crate::ledger::Runs;
use crate::partition::{PartitionId, Partitions};
use crate::rules::Plan;
use crate::rules::plan::RuleName;
use crate::time::StreamId;

/// About as many devices go into a slice: making, storing and reading one takes little time and
/// memory, here and in Redis.
const DEVICES_A_SLICE: usize = 100;

/// A part of the engine's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Layout of the JSON; another one is not restored.
    version: u32,
    /// The last entry that had been taken in.
    pub through: StreamId,
    listening: Listening,
    #[serde(default, skip_serializing_if = "Newcomers::is_empty")]
    newcomers: Newcomers,
    /// The plans of its devices, in short: what was saved of a rule is only taken for one that means the
    /// same.
    plans: Vec<Vec<RuleName>>,
    devices: Vec<Saved>,
}

/// Counts up when the layout of a slice changes.
const VERSION: u32 = 4;

impl Engine {
    /// All of the state, standing for the stream up to `through`, slice by slice: each is made
    /// when it is asked for. A device is in the slice of the same number as long as their count
    /// stays the same.
    pub fn snapshot(&self, through: StreamId) -> impl ExactSizeIterator<Item = Slice> + '_ {
        let count = self.devices.len().div_ceil(DEVICES_A_SLICE).max(1);
        let mut dealt = vec![Vec::new(); count];
        for id in self.devices.keys() {
            let number = fnv1a([id.as_str().as_bytes()]) % count as u64;
            dealt[usize::try_from(number).unwrap_or(0)].push(id);
        }
        dealt.into_iter().map(move |ids| {
            let known = ids
                .into_iter()
                .filter_map(|id| self.devices.get_key_value(id));
            let mut plans: Vec<&Arc<Plan>> = Vec::new();
            let mut number = |plan| {
                let known = plans.iter().position(|known| Arc::ptr_eq(known, plan));
                let number = known.unwrap_or_else(|| {
                    plans.push(plan);
                    plans.len() - 1
                });
                u32::try_from(number).unwrap_or(u32::MAX)
            };
            let devices = known
                .map(|(id, device)| device.save(id, number(device.plan())))
                .collect();
            let plans = plans.into_iter().map(|plan| plan.names().to_vec());
            Slice {
                version: VERSION,
                through,
                listening: self.listening,
                newcomers: self.newcomers.clone(),
                plans: plans.collect(),
                devices,
            }
        })
    }

    /// Takes over the state of a slice. To be called on a new engine, for each slice in any order;
    /// then [`Engine::resume`], then [`Engine::warm`] with what came after the oldest slice, then
    /// [`Engine::step`].
    ///
    /// A device that is in several slices, as after a crash while they were written, is taken from
    /// the youngest. False where the layout is another version's: the slice is ignored.
    pub fn restore(&mut self, slice: Slice) -> bool {
        if slice.version != VERSION {
            return false;
        }
        // The youngest holds: in the others a device seems to be silent for longer, until it is read.
        if slice.listening.count > self.listening.count {
            self.listening = slice.listening;
            self.newcomers.restore(slice.newcomers);
        }
        for saved in slice.devices {
            let (id, device, plan, states) = saved.into_device();
            if self
                .devices
                .get(&id)
                .is_some_and(|known| known.is_newer_than(&device))
            {
                continue;
            }
            if let Some(known) = device.description() {
                // Where it stood is known again; it did not move by that.
                let _known = self.hardware.describe(&id, None, known);
            }
            self.devices.insert(id.clone(), Box::new(device));
            // A plan that has no state yet ends no episode.
            self.replan(&id, &mut Effects::default());
            if let Some(device) = self.devices.get_mut(&id) {
                let plan = slice.plans.get(plan as usize);
                device.resume(plan.map_or(&[], Vec::as_slice), states);
            }
        }
        true
    }

    /// Takes over what was said as `said` has it, and how far `agents` had come; the first step
    /// ends the episodes of rules that are gone.
    pub fn resume(&mut self, said: Vec<Episode>, agents: Vec<(String, Runs)>) {
        self.ledger.resume(agents);
        for episode in &said {
            if !Agents::has(episode) && !Missed::has(episode) && !Outages::has(episode) {
                self.know(&episode.device);
            }
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
    /// Deals the devices to partitions, by the zone that is known of each; the slices stand for
    /// their new streams from the beginning.
    pub fn deal(self, partitions: Partitions) -> BTreeMap<PartitionId, Self> {
        let mut dealt: BTreeMap<_, Self> = BTreeMap::new();
        for saved in self.devices {
            let slice = dealt
                .entry(partitions.of_zone(saved.zone()))
                .or_insert(Self {
                    version: self.version,
                    through: StreamId::ZERO,
                    listening: self.listening,
                    newcomers: self.newcomers.clone(),
                    plans: self.plans.clone(),
                    devices: Vec::new(),
                });
            slice.devices.push(saved);
        }
        dealt
    }

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
