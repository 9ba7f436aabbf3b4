//! Reports that an owner publishes beside its commits: rack aggregates and inventory changes.

use rackwatch_core::engine::{InventoryChange, InventoryPlace};
use rackwatch_core::keys::{self, PartitionKeys};
use redis::{Cmd, Pipeline};

use crate::indices::KEPT_FOR;

/// Inventory changes kept in their stream, roughly.
const MAX_INVENTORY_CHANGES: u64 = 10_000;

/// Builds the command that publishes the aggregates of each rack. Its age is the difference to the time that the key has left.
pub(super) fn rack_aggregates(keys: &PartitionKeys, json: &str) -> Cmd {
    let mut set = redis::cmd("SET");
    set.arg(&keys.racks)
        .arg(json)
        .arg("EX")
        .arg(KEPT_FOR.as_secs());
    set
}

/// Builds the commands that publish changes of the inventory.
pub(super) fn inventory_changes(changes: &[InventoryChange]) -> Pipeline {
    // Strings and numbers only: this cannot fail.
    let json = |place: &InventoryPlace| serde_json::to_string(place).unwrap_or_default();
    let mut all = redis::pipe();
    for change in changes {
        all.cmd("XADD")
            .arg(keys::INVENTORY_CHANGES)
            .arg("MAXLEN")
            .arg("~")
            .arg(MAX_INVENTORY_CHANGES)
            .arg("*")
            .arg(&["device_id", change.device.as_str()])
            .arg(&["was", change.was.as_str()])
            .arg("from")
            .arg(json(&change.from))
            .arg("to")
            .arg(json(&change.to))
            .ignore();
    }
    all
}
