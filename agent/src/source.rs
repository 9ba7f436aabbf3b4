//! Where readings come from. One file for each kind of source, all behind [`Source`].
//!
//! In: whatever the hardware offers. Out: at each tick, one outcome for every discovered device: a
//! temperature or a fault. Nothing is lost here: a failed read is a fault, never a gap and never
//! 0 °C.
//!
//! Sources over the network are [`targets`]: they share keys, `target_health` and
//! the placeholder for a target that has never answered.

mod component;
#[cfg(target_os = "linux")]
pub mod hwmon;
#[cfg(unix)]
pub mod ipmi;
pub mod lanes;
#[cfg(target_os = "linux")]
pub mod nvidia;
pub mod redfish;
pub mod simulated;
pub mod snmp;
pub mod sysinfo;
pub mod target;
mod target_health;
pub mod targets;

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

/// A device that a source discovered, with what the source knows about it.
///
/// The inventory adds the agent's name, its host and the operator's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoveredDevice {
    /// Identity that survives reboots and does not depend on the kernel's numbering.
    pub device: DeviceId,
    /// Description of the device.
    pub description: Description,
}

/// Returns the device that represents a target without known sensors, because it has never
/// answered. It has a fault at each tick, and leaves once sensors are discovered.
pub fn placeholder(target: &str) -> DeviceId {
    DeviceId::sanitized(&format!("target-{target}"))
}

/// One device's result of a read.
pub type Outcome = (DeviceId, Result<Celsius, Fault>);

/// A group of sensors that is read together.
#[async_trait]
pub trait Source: Send {
    /// Returns the kind as in the configuration, such as `hwmon`.
    fn kind(&self) -> &'static str;

    /// Returns the time between two reads.
    fn interval(&self) -> Duration;

    /// Returns the delay after each full interval, which spreads the reads of many targets.
    fn offset(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the time after which a read counts as a timeout of every device.
    fn deadline(&self) -> Duration;

    /// Returns the time after which a discovery is abandoned. The source is not read meanwhile.
    fn discovery_timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Searches for devices. Called at the start and again from time to time: drives come and go.
    async fn discover(&mut self) -> Vec<DiscoveredDevice>;

    /// Returns whether a jump may be confirmed by a second read: false if that costs much, or moves
    /// the source on in time.
    fn supports_reread(&self) -> bool {
        true
    }

    /// Reads every device of the last [`Source::discover`] for the tick `at`.
    ///
    /// The future may be dropped at any await point when the deadline has passed; the next call
    /// must work. Blocking calls (a file of sysfs, a driver) go on a thread of their own with
    /// `tokio::task::spawn_blocking`, here and in [`Source::discover`].
    async fn read(&mut self, at: Timestamp) -> Vec<Outcome>;
}
