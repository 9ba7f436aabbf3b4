//! This host.

use sysinfo::System;

/// The name of this host, as it calls itself; none where it has none.
pub fn host_name() -> Option<String> {
    System::host_name().ok()
}
