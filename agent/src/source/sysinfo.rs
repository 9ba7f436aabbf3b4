//! The sensors that the `sysinfo` crate knows: the default where there is no hwmon.
//!
//! In: what the operating system offers. Out: one device for every component that sysinfo lists,
//! and at each tick a temperature or a fault for each.
//!
//! Lost on Linux, and why hwmon is the default there: sysinfo merges sensors that share a label, so
//! that of two drives of one model, or of the sockets' cores, only one is left; it neither reads
//! `tempN_fault` nor the warning limit. Sensors that share a label elsewhere are told apart by their
//! order in sysinfo's list.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId, HardwareLimits};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use serde::Deserialize;
use sysinfo::{Component, Components};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::component::{device_id, plausible, resolution, role, unique};
use super::{DiscoveredDevice, Outcome, Source};

/// The `[sysinfo]` section of the agent's config.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SysinfoConfig {
    /// Read this source at all. By default only where there is no hwmon.
    pub enabled: bool,
    /// How often to read.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// How long a read may take.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
}

impl Default for SysinfoConfig {
    fn default() -> Self {
        Self {
            enabled: cfg!(not(target_os = "linux")),
            interval: Duration::from_secs(10),
            deadline: Duration::from_secs(2),
        }
    }
}

/// The source over sysinfo's list of components.
#[derive(Debug)]
pub struct Sysinfo {
    config: SysinfoConfig,
    host: String,
    found: Vec<DiscoveredDevice>,
    /// None until it could be made. Shared with the thread that reads, since reading blocks.
    components: Arc<Mutex<Option<Components>>>,
}

/// A component as sysinfo gave it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    device: DeviceId,
    label: String,
    critical: Option<Celsius>,
    value: Result<Celsius, Fault>,
}

impl Sysinfo {
    /// A source that names its devices after `host`. It reads nothing yet.
    pub fn new(config: SysinfoConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            found: Vec::new(),
            components: Arc::default(),
        }
    }

    /// All components as they are now; a timeout while an earlier read is stuck or if this one is.
    async fn look(&self) -> Result<Vec<Seen>, Fault> {
        let (components, host) = (self.components.clone(), self.host.clone());
        let look = spawn_blocking(move || match components.try_lock() {
            Ok(components) => refresh(components, &host),
            // A read that panicked may have left half a list; it is refreshed as a whole.
            Err(TryLockError::Poisoned(poisoned)) => refresh(poisoned.into_inner(), &host),
            Err(TryLockError::WouldBlock) => Err(Fault::TIMEOUT),
        });
        match timeout(self.config.deadline * 9 / 10, look).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) => Err(Fault::IO_ERROR),
            Err(_) => Err(Fault::TIMEOUT),
        }
    }

    fn describe(&self, seen: Seen) -> DiscoveredDevice {
        let chip = chip(&seen.label);
        let description = Description {
            target: self.host.clone(),
            source: "sysinfo".to_owned(),
            role: role(chip, &seen.label),
            interval: self.config.interval,
            resolution: resolution(chip),
            limits: HardwareLimits {
                high_critical: seen.critical,
                ..HardwareLimits::default()
            },
            name: seen.label,
            ..Description::default()
        };
        DiscoveredDevice {
            device: seen.device,
            description,
        }
    }
}

#[async_trait]
impl Source for Sysinfo {
    fn kind(&self) -> &'static str {
        "sysinfo"
    }

    fn interval(&self) -> Duration {
        self.config.interval
    }

    fn deadline(&self) -> Duration {
        self.config.deadline
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        match self.look().await {
            Ok(seen) => self.found = seen.into_iter().map(|s| self.describe(s)).collect(),
            // What was known stays.
            Err(fault) => tracing::warn!(%fault, "looking for components failed"),
        }
        self.found.clone()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        let now = self.look().await;
        let now = now.map(|seen| -> HashMap<_, _> {
            seen.into_iter().map(|s| (s.device, s.value)).collect()
        });
        self.found
            .iter()
            .map(|found| {
                let value = match &now {
                    Ok(seen) => seen.get(&found.device).cloned(),
                    Err(fault) => Some(Err(fault.clone())),
                };
                (found.device.clone(), value.unwrap_or(Err(Fault::VANISHED)))
            })
            .collect()
    }
}

/// Reads every component. Blocks.
fn refresh(
    mut components: MutexGuard<'_, Option<Components>>,
    host: &str,
) -> Result<Vec<Seen>, Fault> {
    if components.is_none() {
        *components = Some(Components::new().map_err(|_| Fault::IO_ERROR)?);
    }
    let Some(components) = components.as_mut() else {
        return Err(Fault::IO_ERROR);
    };
    components.refresh(true);
    let mut taken = HashSet::new();
    Ok(components
        .iter()
        .map(|component| see(component, host, &mut taken))
        .collect())
}

fn see(component: &Component, host: &str, taken: &mut HashSet<DeviceId>) -> Seen {
    let label = component.label().to_owned();
    let role = role(chip(&label), &label);
    Seen {
        device: unique(&device_id(role, host, &label), taken),
        critical: component
            .critical()
            .and_then(|c| Celsius::new(c.into()).ok()),
        value: value(component.temperature()),
        label,
    }
}

/// What sysinfo says, with the doubts that it has not. One re-read, as of hwmon, is not possible
/// for a single sensor.
fn value(temperature: Option<f32>) -> Result<Celsius, Fault> {
    let degrees = temperature
        .filter(|t| !t.is_nan())
        .ok_or(Fault::NO_READING)?;
    // Thousandths: that many the operating systems give, and f32 adds digits of its own.
    let millidegrees = (f64::from(degrees) * 1_000.0).round();
    if millidegrees.abs() > 1e9 {
        return Err(Fault::OUT_OF_RANGE);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e9")]
    plausible(millidegrees as i64)
}

/// The driver's name, which on Linux starts the label.
fn chip(label: &str) -> &str {
    label.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_temperature_is_a_fault() {
        assert_eq!(value(Some(41.3)), Ok(Celsius::new(41.3).unwrap()));
        assert_eq!(value(None), Err(Fault::NO_READING));
        assert_eq!(value(Some(f32::NAN)), Err(Fault::NO_READING));
        for bad in [f32::INFINITY, -128.0, 127.5, 1e30] {
            assert_eq!(value(Some(bad)), Err(Fault::OUT_OF_RANGE), "{bad}");
        }
    }
}
