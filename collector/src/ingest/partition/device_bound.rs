//! The bound on the devices of a partition: a client that makes up device ids must not exhaust memory.
//!
//! Devices that are known stay, whatever their number. Readings of further devices are refused before they are stored or
//! evaluated, and everything else of their entries is kept. Forgotten devices make room.

use std::collections::HashSet;

use rackwatch_core::device::DeviceId;
use rackwatch_core::engine::Engine;
use rackwatch_core::reading::Reading;
use rackwatch_core::wire::{Fields, Reason, Reject, field};

use super::super::raw_stream::{Batch, DeadLetter, Entry};

/// The part of a batch that was refused.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    /// The devices beyond the bound.
    pub(super) devices: HashSet<DeviceId>,
    /// The number of their readings.
    pub(super) readings: u64,
    /// The dead letters of entries that have another one already.
    pub(super) letters: Vec<DeadLetter>,
}

impl Beyond {
    /// Takes out of `batch` what is about new devices, once `engine` knows `limit` of them.
    pub(super) fn refuse(batch: &mut Batch, engine: &Engine, limit: usize) -> Self {
        let mut beyond = Self::default();
        let readings = batch
            .entries
            .iter()
            .map(|entry| entry.decoded.readings.len());
        // Far below the bound, which is nearly always, no device is looked up.
        if engine.devices() + readings.sum::<usize>() <= limit {
            return beyond;
        }
        let mut new = HashSet::new();
        for entry in &mut batch.entries {
            let mut first = None;
            let before = entry.decoded.readings.len();
            entry.decoded.readings.retain(|reading| {
                let device = &reading.device;
                let is_known = engine.knows(device) || new.contains(device);
                if !is_known && engine.devices() + new.len() >= limit {
                    first.get_or_insert_with(|| reading.clone());
                    beyond.devices.insert(device.clone());
                    return false;
                }
                if !is_known {
                    new.insert(device.clone());
                }
                true
            });
            if let Some(first) = first {
                let readings = before - entry.decoded.readings.len();
                beyond.reject(entry, &first, (readings, limit));
            }
        }
        let refused = &beyond.devices;
        batch.descriptions.retain(|(id, _)| !refused.contains(id));
        beyond
    }

    /// Notes in an entry that so many of its readings were refused, `first` among them.
    fn reject(&mut self, entry: &mut Entry, first: &Reading, (readings, limit): (usize, usize)) {
        self.readings += readings as u64;
        let reason = Reason::TooManyDevices {
            device: first.device.clone(),
            limit,
            readings,
        };
        if let Some(reject) = &mut entry.decoded.reject {
            reject.readings += readings;
            self.letters.push(DeadLetter {
                id: entry.id,
                reason: reason.to_string(),
                fields: fields_of(first),
            });
        } else {
            entry.decoded.reject = Some(Reject { reason, readings });
            entry.fields = fields_of(first);
        }
    }
}

/// Returns a reading as a plain client would write it.
fn fields_of(reading: &Reading) -> Fields {
    let field = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    let value = match &reading.value {
        Ok(value) => field(field::TEMPERATURE, value.to_string()),
        Err(fault) => field(field::FAULT, fault.to_string()),
    };
    vec![
        field(field::DEVICE_ID, reading.device.to_string()),
        value,
        field(field::TIMESTAMP, reading.at.to_string()),
    ]
}
