//! Replays of recorded readings: the alerts that would have fired, and their score.
//!
//! `recording` reads files, [`Replay`] passes them through the engine in the order of time, `labels` and `score` compare
//! the alerts with known anomalies. No Redis and no clock, so the same files and rules give the same records.

pub(crate) mod labels;
pub(crate) mod recording;
pub(crate) mod score;

use std::sync::Arc;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::DeviceId;
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use recording::Recording;

/// Readings to evaluate in one step, after which other tasks may run.
const READINGS_PER_STEP: usize = 4096;

/// An engine with the recordings that it evaluates.
#[derive(Debug)]
pub(crate) struct Replay {
    engine: Engine,
    /// Recordings, each with the index of its next reading.
    recordings: Vec<(Recording, usize)>,
    /// Descriptions of devices for the first step.
    descriptions: Vec<Input>,
}

impl Replay {
    /// Starts a replay. Devices without a description count as inlets, like those of plain clients.
    pub(crate) fn new(rules: Arc<RuleSet>, recordings: Vec<Recording>) -> Self {
        let describe = |recording: &Recording| {
            let description = recording.description.clone()?;
            Some(Input::Describe(recording.device.clone(), Some(description)))
        };
        Self {
            engine: Engine::new(rules),
            descriptions: recordings.iter().filter_map(describe).collect(),
            recordings: recordings
                .into_iter()
                .map(|recording| (recording, 0))
                .collect(),
        }
    }

    /// Evaluates the next readings and returns their alert records, or none at the end.
    pub(crate) fn step(&mut self) -> Option<Vec<AlertRecord>> {
        let mut inputs = std::mem::take(&mut self.descriptions);
        let most = inputs.len() + READINGS_PER_STEP;
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

    /// Returns the number of open episodes.
    pub(crate) fn open(&self) -> usize {
        self.engine.open()
    }

    /// Takes the oldest of the next readings of all devices. Readings of one device keep the order of their recording.
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
