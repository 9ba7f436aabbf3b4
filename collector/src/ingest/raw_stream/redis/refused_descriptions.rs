//! Descriptions of devices that this version does not understand, logged together.
//!
//! Agents of another version may describe thousands of devices, and describe them again at any time. A line counts all
//! devices with one reason. It waits until a burst is over, and comes at most once a minute.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::stored::{DecodeError, ErrorClass};

use crate::stored::log_refusal;

/// Time from the first refusal to the first line, so that one line counts all devices of a start.
const GATHER: Duration = Duration::from_secs(2);
/// Shortest time between two lines.
const INTERVAL: Duration = Duration::from_mins(1);

/// The devices whose description is refused.
#[derive(Debug, Default)]
pub(super) struct RefusedDescriptions {
    devices: HashMap<DeviceId, ErrorClass>,
    /// The newest error of each class.
    errors: BTreeMap<ErrorClass, DecodeError>,
    /// The first refusal that no line has counted.
    unlogged_since: Option<Instant>,
    logged: Option<Instant>,
}

impl RefusedDescriptions {
    /// Parses a description. One that is refused counts as absent, and is logged later.
    pub(super) fn parse(&mut self, device: &DeviceId, json: &[u8]) -> Option<Box<Description>> {
        match Description::from_json(json) {
            Ok(description) => {
                self.devices.remove(device);
                Some(Box::new(description))
            }
            Err(error) => {
                let class = error.class();
                if self.devices.insert(device.clone(), class) != Some(class) {
                    self.unlogged_since.get_or_insert_with(Instant::now);
                }
                self.errors.insert(class, error);
                None
            }
        }
    }

    /// Logs all refused descriptions if there are new ones, and a line may come again.
    pub(super) fn log_if_due(&mut self, now: Instant) {
        let has_been = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        let is_gathered = self
            .unlogged_since
            .is_some_and(|since| has_been(since, GATHER));
        if !is_gathered
            || self
                .logged
                .is_some_and(|logged| !has_been(logged, INTERVAL))
        {
            return;
        }
        self.unlogged_since = None;
        self.logged = Some(now);
        for (class, error) in &self.errors {
            let devices = self.devices.iter();
            let devices = devices.filter(|(_, known)| *known == class);
            let (first, count) = (
                devices.clone().map(|(id, _)| id.as_str()).min(),
                devices.count(),
            );
            if count > 0 {
                log_refusal::<Description>(keys::DEVICES, first, count, error);
            }
        }
    }
}
