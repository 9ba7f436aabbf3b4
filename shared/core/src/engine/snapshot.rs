//! Slices: the stored form of the engine's state, in parts that are small enough for Redis.
//!
//! Each slice stands for the stream up to `through`. After a restore the entries behind that are caught up on,
//! and the state is as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::commissioning::Commissioning;
use super::device::{Devices, SavedDevice};
use super::duplicates::RecentRuns;
use super::listening::Listening;
use crate::hash::fnv1a;
use crate::partition::{PartitionId, Partitions};
use crate::rules::{Plan, RuleKey};
use crate::stored::{IfRefused, StoredValue};
use crate::time::StreamId;

/// The approximate number of devices in a slice: making, storing and reading one takes little time and memory,
/// here and in Redis.
const DEVICES_PER_SLICE: usize = 100;

/// A part of the engine's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The last entry that had been taken in.
    #[serde(rename = "through")]
    pub through: StreamId,
    #[serde(rename = "listening")]
    pub(super) listening: Listening,
    #[serde(
        rename = "commissioning",
        default,
        skip_serializing_if = "Commissioning::is_empty"
    )]
    pub(super) commissioning: Commissioning,
    /// The recent runs of agents that have several.
    #[serde(rename = "agents", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) duplicates: BTreeMap<String, RecentRuns>,
    /// The names of the rules in each plan of its devices. Saved state is taken over only by the same rule.
    #[serde(rename = "plans")]
    pub(super) plans: Vec<Vec<RuleKey>>,
    #[serde(rename = "devices")]
    pub(super) devices: Vec<SavedDevice>,
}

impl StoredValue for Slice {
    const NAME: &'static str = "detector state slice";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("detectors of its devices start cold");
}

/// Returns all slices, each made when it is asked for. A device stays in the slice of the same number as long
/// as the number of slices stays the same.
pub(super) fn slices<'e>(
    devices: &'e Devices,
    through: StreamId,
    listening: Listening,
    commissioning: &'e Commissioning,
    duplicates: BTreeMap<String, RecentRuns>,
) -> impl ExactSizeIterator<Item = Slice> + 'e {
    let count = devices.len().div_ceil(DEVICES_PER_SLICE).max(1);
    let mut dealt = vec![Vec::new(); count];
    for id in devices.keys() {
        let number = fnv1a([id.as_str().as_bytes()]) % count as u64;
        dealt[usize::try_from(number).unwrap_or(0)].push(id);
    }
    dealt.into_iter().map(move |ids| {
        let known = ids.into_iter().filter_map(|id| devices.get_key_value(id));
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
        let plans = plans.into_iter().map(|plan| plan.keys().to_vec());
        Slice {
            through,
            listening,
            commissioning: commissioning.clone(),
            duplicates: duplicates.clone(),
            plans: plans.collect(),
            devices,
        }
    })
}

impl Slice {
    /// Splits the slice by the partitions of its devices' zones. The parts stand for the beginning of their
    /// new streams.
    pub fn split(self, partitions: Partitions) -> BTreeMap<PartitionId, Self> {
        let mut parts: BTreeMap<_, Self> = BTreeMap::new();
        for saved in self.devices {
            let part = parts
                .entry(partitions.of_zone(saved.zone()))
                .or_insert(Self {
                    through: StreamId::ZERO,
                    listening: self.listening,
                    commissioning: self.commissioning.clone(),
                    duplicates: self.duplicates.clone(),
                    plans: self.plans.clone(),
                    devices: Vec::new(),
                });
            part.devices.push(saved);
        }
        parts
    }
}
