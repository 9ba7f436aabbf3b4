//! The input of operators: acknowledgements, silences and maintenance windows.

use std::collections::BTreeMap;

use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, IncidentId};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::stored::{StoredValue, StoredValues};
use rackwatch_core::time::Timestamp;

use crate::incidents::windows::Window;
use crate::stored::log_refusals;

/// A small hash of JSON, whole.
pub(super) type Hash = BTreeMap<String, Vec<u8>>;

/// The values of one hash, decoded when the hash changes.
#[derive(Debug)]
struct Cache<T> {
    key: &'static str,
    hash: Hash,
    values: Vec<(String, T)>,
}

/// Everything that operators have written, as of the last step.
#[derive(Debug)]
pub(super) struct OperatorInput {
    acks: Cache<Ack>,
    silences: Cache<Silence>,
    windows: Cache<Window>,
    in_force: Vec<Silence>,
}

impl<T: StoredValue> Cache<T> {
    fn new(key: &'static str) -> Self {
        Self {
            key,
            hash: Hash::new(),
            values: Vec::new(),
        }
    }

    /// Decodes the hash if it changed. Refused values are logged then, rather than at each step.
    fn update(&mut self, hash: Hash) {
        if hash == self.hash {
            return;
        }
        let decoded = StoredValues::<T>::from_hash(&hash);
        log_refusals::<T>(self.key, &decoded.refusals);
        self.values = decoded.values;
        self.hash = hash;
    }
}

impl OperatorInput {
    /// Returns an empty input.
    pub(super) fn new() -> Self {
        Self {
            acks: Cache::new(incidents::ACKS),
            silences: Cache::new(keys::SILENCES),
            windows: Cache::new(keys::WINDOWS),
            in_force: Vec::new(),
        }
    }

    /// Takes in the hashes as Redis has them.
    pub(super) fn update(&mut self, acks: Hash, silences: Hash, windows: Hash) {
        self.acks.update(acks);
        self.silences.update(silences);
        self.windows.update(windows);
    }

    /// Returns all acknowledgements of incidents that are not resolved.
    pub(super) fn acks(&self) -> impl Iterator<Item = (IncidentId, Ack)> {
        let acks = self.acks.values.iter();
        acks.map(|(id, ack)| (IncidentId::from_wire(id), ack.clone()))
    }

    /// Returns the silences that are in force, those of open windows included, if they changed since the last call.
    pub(super) fn changed_silences(&mut self, now: Timestamp) -> Option<Vec<Silence>> {
        let windows = self.windows.values.iter();
        let open = windows.filter_map(|(_, window)| window.silence(now));
        let silences = self.silences.values.iter();
        let all: Vec<Silence> = silences
            .map(|(_, silence)| silence.clone())
            .chain(open)
            .collect();
        if all == self.in_force {
            return None;
        }
        self.in_force.clone_from(&all);
        Some(all)
    }
}
