//! Facts about this host.

#[cfg(target_os = "linux")]
mod linux;

use sysinfo::System;

/// Ids by which machines of one name can be distinguished, as UUIDs without hyphens. They are hashes: the ids of the
/// system itself are to stay on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostIds {
    /// The id of the machine, which stays the same for the life of its installation; copies of a disk share it. None if
    /// it is not set, or the system has none.
    pub machine: Option<String>,
    /// The id of the present boot, which no other machine has. None if the system has none.
    pub boot: Option<String>,
}

/// Returns the host name; none if it is not set.
pub fn host_name() -> Option<String> {
    System::host_name().ok()
}

/// Returns the ids of this machine and of its present boot.
#[cfg(target_os = "linux")]
pub fn ids() -> HostIds {
    HostIds {
        machine: linux::machine(),
        boot: linux::boot(),
    }
}

/// Returns no ids: this system has none in files.
#[cfg(not(target_os = "linux"))]
pub fn ids() -> HostIds {
    HostIds::default()
}
