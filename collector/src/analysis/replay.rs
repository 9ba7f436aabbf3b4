//! Recorded readings through the engine: what would have fired, and how good that is.
//!
//! `recording` reads files, `run` drives the engine over them in the order of time, `labels` and `score` compare
//! what fired with what is known to have been wrong. No Redis, and no clock: the same files and
//! rules give the same records.

pub mod labels;
pub mod recording;
pub mod score;

use std::sync::Arc;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::DeviceId;
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use recording::Recording;

/// Readings that are judged at a time: between two of these others get their turn.
const AT_ONCE: usize = 4096;

/// The engine over recordings.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    /// Each with the number of its next reading.
    recordings: Vec<(Recording, usize)>,
    /// What is known of devices, until it is told.
    known: Vec<Input>,
}

impl Replay {
    /// These rules over these recordings. Devices that are not described are inlets, as those of a plain
    /// client.
    pub fn new(rules: Arc<RuleSet>, recordings: Vec<Recording>) -> Self {
        let known = |recording: &Recording| {
            let description = recording.description.clone()?;
            Some(Input::Describe(recording.device.clone(), Some(description)))
        };
        Self {
            engine: Engine::new(rules),
            known: recordings.iter().filter_map(known).collect(),
            recordings: recordings
                .into_iter()
                .map(|recording| (recording, 0))
                .collect(),
        }
    }

    /// Judges some more; none where all is judged.
    pub fn go_on(&mut self) -> Option<Vec<AlertRecord>> {
        let mut inputs = std::mem::take(&mut self.known);
        let most = inputs.len() + AT_ONCE;
        while inputs.len() < most {
            let Some((device, at, value, by_agent)) = self.next() else {
                break;
            };
            inputs.push(Input::Reading {
                entry: StreamId {
                    ms: at.millis(),
                    seq: 0,
                },
                by_agent,
                reading: rackwatch_core::reading::Reading {
                    device,
                    at,
                    value: Ok(value),
                },
            });
        }
        (!inputs.is_empty()).then(|| self.engine.step(inputs).alerts)
    }

    /// How many episodes are open.
    pub fn open(&self) -> usize {
        self.engine.open()
    }

    /// The oldest of the next readings of each device. The readings of a device keep their order,
    /// for so they came.
    fn next(&mut self) -> Option<(DeviceId, Timestamp, Celsius, bool)> {
        let next = |(recording, next): &&mut (Recording, usize)| {
            recording.readings.get(*next).map(|(at, _)| *at)
        };
        let (recording, number) = self
            .recordings
            .iter_mut()
            .filter(|known| next(known).is_some())
            .min_by_key(next)?;
        let (at, value) = *recording.readings.get(*number)?;
        *number += 1;
        let by_agent = recording.description.is_some();
        Some((recording.device.clone(), at, value, by_agent))
    }
}
