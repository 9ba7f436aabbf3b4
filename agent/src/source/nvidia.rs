//! NVIDIA GPUs, by the library of their driver (NVML), which is loaded at run time.
//!
//! In: the driver. Out: a device for every GPU, identified by its UUID; at each tick a temperature
//! or a fault for each. Without a driver there is nothing to read, which is not an error.
//!
//! Calls into a driver block, some forever: they run on their own thread, one at a time.

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

/// The `[sources.nvidia]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NvidiaConfig {
    /// Whether to read GPUs if there are any; default true.
    pub enabled: bool,
    /// Time between two reads; default 10 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// Time after which a read counts as failed; default 2 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// Library of the driver, if its usual name is not found.
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
    /// Returns whether this host has the driver and the source is enabled.
    pub fn is_available(&self) -> bool {
        let driver = ["/proc/driver/nvidia", "/dev/nvidiactl"];
        let has_driver = driver.iter().any(|path| Path::new(path).exists());
        self.enabled && (has_driver || self.library.is_some())
    }
}

/// NVML returns whole degrees.
const RESOLUTION: Kelvin = Kelvin(1.0);

/// The source over one driver.
#[derive(Debug)]
pub struct Nvidia {
    config: NvidiaConfig,
    host: String,
    discovered: Vec<DiscoveredDevice>,
    /// `None` until it is loaded. Shared with the thread that calls it.
    driver: Arc<Mutex<Option<Nvml>>>,
}

/// The state of one GPU.
#[derive(Clone, Debug)]
struct GpuState {
    uuid: String,
    name: String,
    value: Result<Celsius, Fault>,
    limits: HardwareLimits,
}

impl Nvidia {
    /// Returns a source that names its devices after `host`. It loads nothing yet.
    pub fn new(config: NvidiaConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            discovered: Vec::new(),
            driver: Arc::default(),
        }
    }

    /// Reads all GPUs. Returns a timeout if this call or an earlier one is stuck.
    async fn read_all(&self) -> Result<Vec<GpuState>, Fault> {
        let (driver, library) = (Arc::clone(&self.driver), self.config.library.clone());
        let call = spawn_blocking(move || match driver.try_lock() {
            Ok(mut driver) => load_and_read(&mut driver, library.as_deref()),
            // After a panic the driver is loaded anew.
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut driver = poisoned.into_inner();
                *driver = None;
                load_and_read(&mut driver, library.as_deref())
            }
            Err(TryLockError::WouldBlock) => Err(Fault::TIMEOUT),
        });
        match timeout(self.config.deadline * 9 / 10, call).await {
            Ok(Ok(gpus)) => gpus,
            Ok(Err(_)) => Err(Fault::IO_ERROR),
            Err(_) => Err(Fault::TIMEOUT),
        }
    }

    fn device(&self, uuid: &str) -> DeviceId {
        // `GPU-` and 36 digits: the first eight distinguish GPUs of one host.
        let short = uuid.trim_start_matches("GPU-").split('-').next();
        device_id(Role::Gpu, &self.host, short.unwrap_or(uuid))
    }
}

/// Reads each GPU, and loads the driver first if necessary.
fn load_and_read(
    driver: &mut Option<Nvml>,
    library: Option<&Path>,
) -> Result<Vec<GpuState>, Fault> {
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
    let gpus = read_each(nvml);
    if gpus.is_err() {
        // A driver that was replaced has to be loaded again.
        *driver = None;
    }
    gpus.map_err(|_| Fault::UNREACHABLE)
}

fn read_each(nvml: &Nvml) -> Result<Vec<GpuState>, NvmlError> {
    let mut gpus = Vec::new();
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
        gpus.push(GpuState {
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
    Ok(gpus)
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
        if let Ok(gpus) = self.read_all().await {
            let discovered = gpus.into_iter().map(|gpu| DiscoveredDevice {
                device: self.device(&gpu.uuid),
                description: Description {
                    target: self.host.clone(),
                    source: "nvidia".to_owned(),
                    name: gpu.name,
                    role: Role::Gpu,
                    interval: self.config.interval,
                    resolution: Some(RESOLUTION),
                    limits: gpu.limits,
                    hardware: Some(gpu.uuid),
                    ..Description::default()
                },
            });
            self.discovered = discovered.collect();
        }
        self.discovered.clone()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        match self.read_all().await {
            Ok(gpus) => gpus
                .into_iter()
                .map(|gpu| (self.device(&gpu.uuid), gpu.value))
                .collect(),
            Err(fault) => self
                .discovered
                .iter()
                .map(|known| (known.device.clone(), Err(fault.clone())))
                .collect(),
        }
    }
}
