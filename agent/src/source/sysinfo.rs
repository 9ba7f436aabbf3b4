//! The sensors that the `sysinfo` crate lists: the default on systems without hwmon.
//!
//! In: the operating system. Out: a device for every component that sysinfo lists; at each tick a
//! temperature or a fault for each.
//!
//! Lost on Linux, where hwmon is the default: sysinfo merges sensors with the same label, such as
//! two drives of one model or the cores of two sockets. It reads neither `tempN_fault` nor the
//! warning limit. On other systems the order in sysinfo's list distinguishes sensors with the same
//! label.

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

/// The `[sources.sysinfo]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SysinfoConfig {
    /// Whether to read this source; by default only on systems without hwmon.
    pub enabled: bool,
    /// Time between two reads; default 10 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// Time after which a read counts as failed; default 2 s.
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
    discovered: Vec<DiscoveredDevice>,
    /// `None` until the first read. Shared with the thread that reads, as reading blocks.
    components: Arc<Mutex<Option<Components>>>,
}

/// The state of one component.
#[derive(Clone, Debug, PartialEq)]
struct ComponentState {
    device: DeviceId,
    label: String,
    critical: Option<Celsius>,
    value: Result<Celsius, Fault>,
}

impl Sysinfo {
    /// Returns a source that names its devices after `host`. It reads nothing yet.
    pub fn new(config: SysinfoConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            discovered: Vec::new(),
            components: Arc::default(),
        }
    }

    /// Reads all components. Returns a timeout if this read or an earlier one is stuck.
    async fn read_all(&self) -> Result<Vec<ComponentState>, Fault> {
        let (components, host) = (self.components.clone(), self.host.clone());
        let call = spawn_blocking(move || match components.try_lock() {
            Ok(components) => refresh(components, &host),
            // A read that panicked may have left half a list, but a refresh replaces all of it.
            Err(TryLockError::Poisoned(poisoned)) => refresh(poisoned.into_inner(), &host),
            Err(TryLockError::WouldBlock) => Err(Fault::TIMEOUT),
        });
        match timeout(self.config.deadline * 9 / 10, call).await {
            Ok(Ok(components)) => components,
            Ok(Err(_)) => Err(Fault::IO_ERROR),
            Err(_) => Err(Fault::TIMEOUT),
        }
    }

    fn describe(&self, component: ComponentState) -> DiscoveredDevice {
        let chip = chip(&component.label);
        let description = Description {
            target: self.host.clone(),
            source: "sysinfo".to_owned(),
            role: role(chip, &component.label),
            interval: self.config.interval,
            resolution: resolution(chip),
            limits: HardwareLimits {
                high_critical: component.critical,
                ..HardwareLimits::default()
            },
            name: component.label,
            ..Description::default()
        };
        DiscoveredDevice {
            device: component.device,
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
        match self.read_all().await {
            Ok(components) => {
                self.discovered = components.into_iter().map(|c| self.describe(c)).collect();
            }
            // Known devices stay.
            Err(fault) => tracing::warn!(%fault, "cannot list components, will retry"),
        }
        self.discovered.clone()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        let values = self.read_all().await;
        let values = values.map(|components| -> HashMap<_, _> {
            let pairs = components.into_iter().map(|c| (c.device, c.value));
            pairs.collect()
        });
        self.discovered
            .iter()
            .map(|known| {
                let value = match &values {
                    Ok(values) => values.get(&known.device).cloned(),
                    Err(fault) => Some(Err(fault.clone())),
                };
                (known.device.clone(), value.unwrap_or(Err(Fault::VANISHED)))
            })
            .collect()
    }
}

/// Reads every component. Blocks.
fn refresh(
    mut components: MutexGuard<'_, Option<Components>>,
    host: &str,
) -> Result<Vec<ComponentState>, Fault> {
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
        .map(|component| state(component, host, &mut taken))
        .collect())
}

fn state(component: &Component, host: &str, taken: &mut HashSet<DeviceId>) -> ComponentState {
    let label = component.label().to_owned();
    let role = role(chip(&label), &label);
    ComponentState {
        device: unique(&device_id(role, host, &label), taken),
        critical: component
            .critical()
            .and_then(|c| Celsius::new(c.into()).ok()),
        value: value(component.temperature()),
        label,
    }
}

/// Returns a plausible temperature or a fault. Unlike hwmon, sysinfo cannot repeat the read of a
/// single sensor.
fn value(temperature: Option<f32>) -> Result<Celsius, Fault> {
    let degrees = temperature
        .filter(|t| !t.is_nan())
        .ok_or(Fault::NO_READING)?;
    // Rounded to the thousandths that operating systems return: f32 adds digits of its own.
    let millidegrees = (f64::from(degrees) * 1_000.0).round();
    if millidegrees.abs() > 1e9 {
        return Err(Fault::OUT_OF_RANGE);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e9")]
    plausible(millidegrees as i64)
}

/// Returns the driver's name, with which a label on Linux starts.
fn chip(label: &str) -> &str {
    label.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implausible_values_are_faults() {
        assert_eq!(value(Some(41.3)), Ok(Celsius::new(41.3).unwrap()));
        assert_eq!(value(None), Err(Fault::NO_READING));
        assert_eq!(value(Some(f32::NAN)), Err(Fault::NO_READING));
        for bad in [f32::INFINITY, -128.0, 127.5, 1e30] {
            assert_eq!(value(Some(bad)), Err(Fault::OUT_OF_RANGE), "{bad}");
        }
    }
}
