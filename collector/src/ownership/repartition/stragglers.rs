//! Moves entries that reached the old streams meanwhile: from a plain client, or from an agent that had just read the
//! partitioning.
//!
//! An entry is appended to its new stream, then deleted. A kill in between repeats it, and it counts once by device and
//! time.

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::entries;
use redis::Value;

use super::{Repartition, RepartitionError};
use crate::failpoint;

/// Entries of one page.
const PAGE: usize = 200;

impl Repartition {
    /// Moves the entries of all old streams, while no partition has an owner.
    pub(super) async fn move_stragglers(
        &mut self,
        from: Partitions,
    ) -> Result<(), RepartitionError> {
        for keys in from.all().map(PartitionKeys::of) {
            self.move_entries(&keys.raw).await?;
        }
        Ok(())
    }

    /// Moves the entries that have come since to streams that are no longer used, and deletes those.
    pub(super) async fn move_late_entries(
        &mut self,
        from: Partitions,
    ) -> Result<(), RepartitionError> {
        let new: Vec<_> = self.to.all().collect();
        for partition in from.all().filter(|partition| !new.contains(partition)) {
            let keys = PartitionKeys::of(partition);
            self.move_entries(&keys.raw).await?;
            self.trim(&keys.raw, "").await?;
            // A reader that looked for its group has made this stream again. No owner writes there.
            self.trim(&keys.alerts, "").await?;
        }
        Ok(())
    }

    /// Moves the entries of one old stream whose zone is in another partition.
    async fn move_entries(&mut self, old: &str) -> Result<(), RepartitionError> {
        let mut next = "-".to_owned();
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(old).arg(&next).arg("+").arg("COUNT").arg(PAGE);
            let late: Value = range.query_async(&mut self.connection).await?;
            let late = entries(late)?;
            let Some(last) = late.last() else {
                return Ok(());
            };
            next = format!("({}-{}", last.id.0, last.id.1);
            for entry in late {
                let fields = entry.fields.unwrap_or_default();
                let stream = PartitionKeys::of(self.zones.of_entry(self.to, &fields)).raw;
                if stream == old {
                    continue;
                }
                let mut add = redis::cmd("XADD");
                add.arg(stream).arg("*").arg(fields);
                add.exec_async(&mut self.connection).await?;
                failpoint::pass("resize straggler moved");
                let mut delete = redis::cmd("XDEL");
                delete
                    .arg(old)
                    .arg(format!("{}-{}", entry.id.0, entry.id.1));
                delete.exec_async(&mut self.connection).await?;
            }
        }
    }
}
