//! Carries consumer groups over, so that what they have not read yet is read afterwards.
//!
//! The records of several old streams come to several new ones, so a group can only have one position in all of them:
//! before the oldest record that it has not finished anywhere. A record that it has finished may come again then.

use std::collections::BTreeMap;

use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{Connection, is_group_there, reply_field};
use redis::{RedisResult, Value};

use super::{Repartition, aside};
use crate::failpoint;
use crate::waiting::{first_after, last_delivered, oldest_pending};

impl Repartition {
    /// Makes the groups of the old streams in all new ones.
    pub(super) async fn move_groups(
        &mut self,
        from: Partitions,
        which: fn(&PartitionKeys) -> &String,
    ) -> RedisResult<()> {
        let mut oldest: BTreeMap<String, Option<StreamId>> = BTreeMap::new();
        for keys in from.all().map(PartitionKeys::of) {
            let old = aside(which(&keys));
            for (name, unfinished) in groups(&mut self.connection, &old).await? {
                let known = oldest.entry(name).or_default();
                *known = [*known, unfinished].into_iter().flatten().min();
            }
        }
        for keys in self.to.all().map(PartitionKeys::of) {
            for (name, unfinished) in &oldest {
                self.make_group(which(&keys), name, *unfinished).await?;
                failpoint::pass("resize group moved");
            }
        }
        Ok(())
    }

    /// Makes a group that reads from the millisecond of `unfinished` on, or from the end of the stream.
    async fn make_group(
        &mut self,
        stream: &str,
        name: &str,
        unfinished: Option<StreamId>,
    ) -> RedisResult<()> {
        // Records keep their millisecond, and get another number within it.
        let start = unfinished.map_or_else(
            || "$".to_owned(),
            |id| match id.ms.checked_sub(1) {
                Some(ms) => format!("{ms}-{}", u64::MAX),
                None => "0".to_owned(),
            },
        );
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(name).arg(&start);
        create.arg("MKSTREAM");
        match create.exec_async(&mut self.connection).await {
            // A reader looked for its group meanwhile.
            Err(error) if is_group_there(&error) => {
                let mut set = redis::cmd("XGROUP");
                set.arg("SETID").arg(stream).arg(name).arg(start);
                set.exec_async(&mut self.connection).await
            }
            made => made,
        }
    }
}

/// Returns the groups of a stream, each with the oldest record that it has not finished.
async fn groups(
    connection: &mut Connection,
    stream: &str,
) -> RedisResult<Vec<(String, Option<StreamId>)>> {
    let mut ask = redis::cmd("XINFO");
    ask.arg("GROUPS").arg(stream);
    let all: Vec<BTreeMap<String, Value>> = match ask.query_async(connection).await {
        // `ERR no such key`; a refusal by an ACL has another code.
        Err(error) if error.code() == Some("ERR") => Vec::new(),
        answer => answer?,
    };
    let mut groups = Vec::new();
    for group in all {
        let Some(name) = reply_field::<String>(&group, "name") else {
            continue;
        };
        let pending = oldest_pending(connection, stream, &name).await?;
        let unread = match last_delivered(&group) {
            Some(read) => first_after(connection, stream, read).await?,
            None => None,
        };
        groups.push((name, [pending, unread].into_iter().flatten().min()));
    }
    Ok(groups)
}
