//! NVIDIA's graphics processors, by the library of their driver (NVML), which is loaded when the agent runs.
//!
//! In: what the driver says. Out: a device for every processor, told by its UUID; at each tick a temperature or a
//! fault for each. Where there is no such driver, there is nothing to read, and that is no error.
//!
//! Calls into a driver block, some for ever: they are made on a thread of their own, one at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use async_trait::async_trait;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::error::NvmlError;
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::{Celsius, Kelvin};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::component::device_id;
use super::{DiscoveredDevice, Outcome, Source};

/// The `[sources.nvidia]` section of the agent's config.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NvidiaConfig {
    /// Read them, where there are any.
    pub enabled: bool,
    /// How often to read.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// How long a read may take.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// The driver's library, where it is not found by its usual name.
    pub library: Option<PathBuf>,
}

impl Default for NvidiaConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(10),
            deadline: Duration::from_secs(2),
            library: None,
        }
    }
}

impl NvidiaConfig {
    /// Whether this host has the driver, and it is to be asked.
    pub fn is_here(&self) -> bool {
        let driver = ["/proc/driver/nvidia", "/dev/nvidiactl"];
        let has_driver = driver.iter().any(|path| Path::new(path).exists());
        self.enabled && (has_driver || self.library.is_some())
    }
}

/// NVML has whole degrees.
const RESOLUTION: Kelvin = Kelvin(1.0);

/// The source over one driver.
#[derive(Debug)]
pub struct Nvidia {
    config: NvidiaConfig,
    host: String,
    found: Vec<DiscoveredDevice>,
    /// None until it could be loaded. Shared with the thread that asks.
    driver: Arc<Mutex<Option<Nvml>>>,
}

/// What one processor says.
#[derive(Clone, Debug)]
struct Seen {
    uuid: String,
    name: String,
    value: Result<Celsius, Fault>,
    limits: HardwareLimits,
}

impl Nvidia {
    /// A source that names its devices after `host`. It asks nothing yet.
    pub fn new(config: NvidiaConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            found: Vec::new(),
            driver: Arc::default(),
        }
    }

    /// All processors as they are now; a timeout while an earlier call is stuck or if this one is.
    async fn look(&self) -> Result<Vec<Seen>, Fault> {
        let (driver, library) = (Arc::clone(&self.driver), self.config.library.clone());
        let look = spawn_blocking(move || match driver.try_lock() {
            Ok(mut driver) => all(&mut driver, library.as_deref()),
            // A call that panicked left nothing half done: the driver is loaded anew.
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut driver = poisoned.into_inner();
                *driver = None;
                all(&mut driver, library.as_deref())
            }
            Err(TryLockError::WouldBlock) => Err(Fault::TIMEOUT),
        });
        match timeout(self.config.deadline * 9 / 10, look).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) => Err(Fault::IO_ERROR),
            Err(_) => Err(Fault::TIMEOUT),
        }
    }

    fn device(&self, uuid: &str) -> DeviceId {
        // `GPU-` and 36 digits: the first eight tell processors of one host apart.
        let short = uuid.trim_start_matches("GPU-").split('-').next();
        device_id(Role::Gpu, &self.host, short.unwrap_or(uuid))
    }
}

/// Loads the driver if need be, and asks each processor.
fn all(driver: &mut Option<Nvml>, library: Option<&Path>) -> Result<Vec<Seen>, Fault> {
    if driver.is_none() {
        let loaded = match library {
            Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
            None => Nvml::init(),
        };
        *driver = Some(loaded.map_err(|_| Fault::UNREACHABLE)?);
    }
    let Some(nvml) = driver.as_ref() else {
        return Err(Fault::UNREACHABLE);
    };
    let seen = each(nvml);
    if seen.is_err() {
        // A driver that was replaced has to be loaded again.
        *driver = None;
    }
    seen.map_err(|_| Fault::UNREACHABLE)
}

fn each(nvml: &Nvml) -> Result<Vec<Seen>, NvmlError> {
    let mut seen = Vec::new();
    for index in 0..nvml.device_count()? {
        let Ok(device) = nvml.device_by_index(index) else {
            continue;
        };
        let Ok(uuid) = device.uuid() else { continue };
        let threshold = |which| {
            let degrees = device.temperature_threshold(which).ok()?;
            Celsius::new(f64::from(degrees)).ok()
        };
        let value = match device.temperature(TemperatureSensor::Gpu) {
            Ok(degrees) => Celsius::new(f64::from(degrees)).map_err(|_| Fault::OUT_OF_RANGE),
            Err(NvmlError::GpuLost) => Err(Fault::VANISHED),
            Err(NvmlError::NotSupported) => Err(Fault::NO_READING),
            Err(_) => Err(Fault::IO_ERROR),
        };
        seen.push(Seen {
            uuid,
            name: device.name().unwrap_or_else(|_| "GPU".to_owned()),
            value,
            limits: HardwareLimits {
                high_warning: threshold(TemperatureThreshold::Slowdown),
                high_critical: threshold(TemperatureThreshold::Shutdown),
                ..HardwareLimits::default()
            },
        });
    }
    Ok(seen)
}

#[async_trait]
impl Source for Nvidia {
    fn kind(&self) -> &'static str {
        "nvidia"
    }

    fn interval(&self) -> Duration {
        self.config.interval
    }

    fn deadline(&self) -> Duration {
        self.config.deadline
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        if let Ok(seen) = self.look().await {
            let found = seen.into_iter().map(|seen| DiscoveredDevice {
                device: self.device(&seen.uuid),
                description: Description {
                    target: self.host.clone(),
                    source: "nvidia".to_owned(),
                    name: seen.name,
                    role: Role::Gpu,
                    interval: self.config.interval,
                    resolution: Some(RESOLUTION),
                    limits: seen.limits,
                    hardware: Some(seen.uuid),
                    ..Description::default()
                },
            });
            self.found = found.collect();
        }
        self.found.clone()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        match self.look().await {
            Ok(seen) => seen
                .into_iter()
                .map(|seen| (self.device(&seen.uuid), seen.value))
                .collect(),
            Err(fault) => self
                .found
                .iter()
                .map(|found| (found.device.clone(), Err(fault.clone())))
                .collect(),
        }
    }
}
