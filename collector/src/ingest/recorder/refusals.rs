//! The reasons why series refused readings and minutes, as an operator needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::field;
use rackwatch_runtime::redis::Connection;

use crate::ingest::raw_stream::DeadLetter;
use crate::series::{REFUSED, REFUSED_MINUTE, SeriesContent, WrongKey, wrong_keys};

/// Most keys that are remembered as logged, and most devices as reported.
const MAX_REMEMBERED: usize = 1000;
/// Time between two dead letters about the minutes of one device: `status` looks back an hour.
const REPEAT: Duration = Duration::from_mins(30);

/// Explains refusals, and logs each key that holds something else once.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    logged: BTreeSet<String>,
    /// The devices whose minutes were reported, with the times.
    reported: BTreeMap<DeviceId, Instant>,
    /// Refused minutes that no dead letter reports yet: a reason for each device.
    minutes: Vec<(DeviceId, String)>,
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
        let wrong = self.wrong(connection, backend, devices).await;
        let of_readings = |wrong: &&WrongKey| wrong.content == SeriesContent::Readings;
        let lines: BTreeMap<_, _> = wrong
            .iter()
            .filter(of_readings)
            .map(|wrong| (&wrong.device, &wrong.line))
            .collect();
        let reason = |(device, reason): &(&DeviceId, String)| {
            format!("{REFUSED}{}", lines.get(*device).copied().unwrap_or(reason))
        };
        refused.iter().map(reason).collect()
    }

    /// Takes note of the devices whose minutes were refused, and names the keys that hold something else.
    pub(super) async fn note_minutes(
        &mut self,
        connection: Option<Connection>,
        backend: &str,
        refused: &[DeviceId],
    ) {
        self.reported.retain(|_, at| at.elapsed() < REPEAT);
        let devices: BTreeSet<&DeviceId> = refused
            .iter()
            .filter(|device| !self.reported.contains_key(*device))
            .collect();
        if devices.is_empty() || self.reported.len() >= MAX_REMEMBERED {
            return;
        }
        for wrong in self.wrong(connection, backend, devices).await {
            if wrong.content == SeriesContent::Minutes
                && self
                    .reported
                    .insert(wrong.device.clone(), Instant::now())
                    .is_none()
            {
                self.minutes.push((wrong.device, wrong.line));
            }
        }
    }

    /// Returns a dead letter for each device whose minutes were refused, without a reading. Each device has one now and then,
    /// by which `status` finds its keys.
    pub(super) fn take_minutes(&mut self, id: StreamId) -> Vec<DeadLetter> {
        let letter = |(device, line): (DeviceId, String)| DeadLetter {
            id,
            reason: format!("{REFUSED_MINUTE}{line}"),
            fields: vec![(
                field::DEVICE_ID.as_bytes().to_vec(),
                device.to_string().into_bytes(),
            )],
        };
        self.minutes.drain(..).map(letter).collect()
    }

    /// Forgets the reports of minutes, which may not have arrived.
    pub(super) fn report_again(&mut self) {
        self.reported.clear();
        self.minutes.clear();
    }

    /// Returns the keys of these devices that hold something else, and logs each once.
    async fn wrong(
        &mut self,
        connection: Option<Connection>,
        backend: &str,
        devices: BTreeSet<&DeviceId>,
    ) -> Vec<WrongKey> {
        let Some(mut connection) = connection else {
            return Vec::new();
        };
        // The reason of the series stands in if Redis does not answer.
        let wrong = wrong_keys(&mut connection, backend, devices).await;
        let wrong = wrong.unwrap_or_default();
        for WrongKey { key, line, .. } in &wrong {
            if self.logged.len() < MAX_REMEMBERED && self.logged.insert(key.clone()) {
                tracing::error!("{line}");
            }
        }
        wrong
    }
}
