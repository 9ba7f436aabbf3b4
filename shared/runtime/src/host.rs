//! Facts about this host.

use sysinfo::System;

/// Returns the host name; none if it is not set.
pub fn host_name() -> Option<String> {
    System::host_name().ok()
}
