//! Where readings come from. One file a kind of source, all behind [`Source`].
//!
//! In: whatever the hardware offers. Out: for each tick, one result per device that was found, a
//! temperature or a fault. Nothing is lost here: a failed read is a fault, never a gap and never
//! 0 °C.

mod care;
mod component;
#[cfg(target_os = "linux")]
pub mod hwmon;
#[cfg(unix)]
pub mod ipmi;
#[cfg(target_os = "linux")]
pub mod nvidia;
pub mod redfish;
pub mod simulated;
pub mod snmp;
pub mod sysinfo;

pub use care::Lanes;

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

/// A device that a source found, and what the source knows of it.
///
/// The agent's own name, its host and what the operator configured are added later, by the
/// inventory.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoveredDevice {
    /// Its name, the same after every reboot and however the kernel numbers things.
    pub device: DeviceId,
    /// What it is.
    pub description: Description,
}

/// The device that stands for a target of which no sensor is known yet, since it never answered: it has a fault at
/// each tick, and leaves when sensors are found.
pub fn placeholder(target: &str) -> DeviceId {
    DeviceId::sanitized(&format!("target-{target}"))
}

/// One result of a read.
pub type Outcome = (DeviceId, Result<Celsius, Fault>);

/// Something that can be read every so often.
#[async_trait]
pub trait Source: Send {
    /// The kind, as in config: `hwmon`, `sysinfo`, `simulated`.
    fn kind(&self) -> &'static str;

    /// How often it wants to be read.
    fn interval(&self) -> Duration;

    /// How long after each full interval it is read: many targets are not all asked at once.
    fn offset(&self) -> Duration {
        Duration::ZERO
    }

    /// How long one read may take before its devices are reported as timed out.
    fn deadline(&self) -> Duration;

    /// How long a look for devices may take. Nothing is read meanwhile.
    fn discovery_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Looks for devices. Called at start and from time to time, since drives come and go.
    async fn discover(&mut self) -> Vec<DiscoveredDevice>;

    /// Whether a jump is to be read once more: not where each read goes on in time, or costs much.
    fn supports_reread(&self) -> bool {
        true
    }

    /// Reads every device of the last [`Source::discover`], for the tick `at`.
    ///
    /// May be dropped at any await point when the deadline has passed; the next call must work. What
    /// may block, a file of sysfs or a call into a driver, goes on a thread for it
    /// (`tokio::task::spawn_blocking`), here and in [`Source::discover`].
    async fn read(&mut self, at: Timestamp) -> Vec<Outcome>;
}
