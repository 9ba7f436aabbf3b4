//! Redistributes detector state, open episodes, the loss ledger and past records to new partitions.

use std::collections::{HashMap, VecDeque};

use rackwatch_core::engine::Slice;
use rackwatch_core::episode::Episode;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_core::stored::encode;
use rackwatch_runtime::redis::{Connection, RawEntry, entries};
use redis::{RedisResult, Value};

use crate::failpoint;
use crate::incidents::resolve_request::ResolveRequest;
use crate::stored::read_one;

use super::{Repartition, RepartitionError, aside, redistributed};

/// Entries copied in one pipeline: enough to be quick, few enough not to stall Redis.
const PAGE: usize = 200;

impl Repartition {
    /// Moves what was set aside to its new partitions. Starts from scratch each time: nothing else
    /// writes meanwhile.
    pub(super) async fn redistribute(&mut self, from: Partitions) -> Result<(), RepartitionError> {
        let mut epoch = 0;
        for keys in from.all().map(PartitionKeys::of) {
            let last: Option<u64> = redis::cmd("HGET")
                .arg(aside(&keys.fence))
                .arg("epoch")
                .query_async(&mut self.connection)
                .await?;
            epoch = epoch.max(last.unwrap_or(0));
        }
        for keys in self.to.all().map(PartitionKeys::of) {
            for key in redistributed(&keys) {
                self.delete(key).await?;
            }
            // Not below any old epoch, so that no earlier owner can commit.
            let mut fence = redis::cmd("HSET");
            fence.arg(&keys.fence).arg("epoch").arg(epoch);
            fence.exec_async(&mut self.connection).await?;
        }
        failpoint::pass("resize emptied");
        let mut number = 0;
        for keys in from.all().map(PartitionKeys::of) {
            number = self.move_slices(&keys, number).await?;
            self.move_episodes(&keys).await?;
            self.move_loss_ledger(&keys).await?;
            self.move_clocks(&keys).await?;
            self.move_resolutions(&keys).await?;
        }
        let streams: [fn(&PartitionKeys) -> &String; 3] =
            [|keys| &keys.alerts, |keys| &keys.losses, |keys| &keys.dead];
        for stream in streams {
            self.move_stream(from, stream).await?;
            self.move_groups(from, stream).await?;
        }
        Ok(())
    }

    /// Moves the requests to resolve alerts by hand. They expire when the old ones would have.
    async fn move_resolutions(&mut self, old: &PartitionKeys) -> RedisResult<()> {
        let old = aside(&old.resolutions);
        let (all, left): (HashMap<String, Vec<u8>>, i64) = redis::pipe()
            .cmd("HGETALL")
            .arg(&old)
            .cmd("PTTL")
            .arg(&old)
            .query_async(&mut self.connection)
            .await?;
        for (alert, json) in all {
            let Some(request) = read_one::<ResolveRequest>(&old, &json) else {
                continue;
            };
            let partition = self.zones.of_device(self.to, request.subject.as_str());
            let key = PartitionKeys::of(partition).resolutions;
            let mut set = redis::pipe();
            set.cmd("HSET").arg(&key).arg(alert).arg(json);
            if left > 0 {
                set.cmd("PEXPIRE").arg(&key).arg(left);
            }
            set.exec_async(&mut self.connection).await?;
            failpoint::pass("resize resolution moved");
        }
        Ok(())
    }

    /// Moves slices, numbered from `first` on; returns the next number.
    async fn move_slices(&mut self, old: &PartitionKeys, first: usize) -> RedisResult<usize> {
        let names: Vec<String> = redis::cmd("HKEYS")
            .arg(aside(&old.snapshot))
            .query_async(&mut self.connection)
            .await?;
        let mut number = first;
        for name in names {
            let json: Option<Vec<u8>> = redis::cmd("HGET")
                .arg(aside(&old.snapshot))
                .arg(name)
                .query_async(&mut self.connection)
                .await?;
            let key = &old.snapshot;
            let Some(slice) = json.and_then(|json| read_one::<Slice>(key, &json)) else {
                continue;
            };
            for (partition, slice) in slice.split(self.to) {
                let mut set = redis::cmd("HSET");
                set.arg(PartitionKeys::of(partition).snapshot);
                // Not a number that an owner uses: its first complete save deletes these.
                set.arg(format!("{number}/moved")).arg(encode(&slice));
                set.exec_async(&mut self.connection).await?;
                failpoint::pass("resize slice moved");
            }
            number += 1;
            self.moved.slices += 1;
        }
        Ok(number)
    }

    async fn move_episodes(&mut self, old: &PartitionKeys) -> RedisResult<()> {
        let all: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
            .arg(aside(&old.episodes))
            .query_async(&mut self.connection)
            .await?;
        for (field, json) in all {
            let Some(episode) = read_one::<Episode>(&old.episodes, &json) else {
                continue;
            };
            let partition = self.zones.of_device(self.to, episode.subject.as_str());
            let mut set = redis::cmd("HSET");
            set.arg(PartitionKeys::of(partition).episodes)
                .arg(field)
                .arg(json);
            set.exec_async(&mut self.connection).await?;
            failpoint::pass("resize episode moved");
            self.moved.episodes += 1;
        }
        Ok(())
    }

    async fn move_loss_ledger(&mut self, old: &PartitionKeys) -> RedisResult<()> {
        let all: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
            .arg(aside(&old.loss_ledger))
            .query_async(&mut self.connection)
            .await?;
        for (agent, json) in all {
            let partition = self.zones.of_agent(self.to, &agent);
            let mut set = redis::cmd("HSET");
            set.arg(PartitionKeys::of(partition).loss_ledger)
                .arg(agent)
                .arg(json);
            set.exec_async(&mut self.connection).await?;
            self.moved.agents += 1;
        }
        Ok(())
    }

    async fn move_clocks(&mut self, old: &PartitionKeys) -> RedisResult<()> {
        let all: HashMap<String, Vec<u8>> = redis::cmd("HGETALL")
            .arg(aside(&old.clocks))
            .query_async(&mut self.connection)
            .await?;
        for (sender, json) in all {
            let partition = match sender.split_once(' ') {
                Some(("agent", name)) => self.zones.of_agent(self.to, name),
                Some((_, device)) => self.zones.of_device(self.to, device),
                None => continue,
            };
            let mut set = redis::cmd("HSET");
            set.arg(PartitionKeys::of(partition).clocks)
                .arg(sender)
                .arg(json);
            set.exec_async(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Copies a stream of each partition into those of the new ones, in the order of its ids.
    async fn move_stream(
        &mut self,
        from: Partitions,
        which: fn(&PartitionKeys) -> &String,
    ) -> Result<(), RepartitionError> {
        let keys = from.all().map(PartitionKeys::of);
        let mut old: Vec<_> = keys
            .map(|keys| OldStream::new(aside(which(&keys))))
            .collect();
        loop {
            let mut pipeline = redis::pipe();
            while pipeline.len() < PAGE {
                let Some(entry) = self.oldest(&mut old).await? else {
                    break;
                };
                let fields = entry.fields.unwrap_or_default();
                let stream = PartitionKeys::of(self.zones.of_entry(self.to, &fields));
                // The same millisecond; the rest of the id may be taken.
                pipeline
                    .cmd("XADD")
                    .arg(which(&stream))
                    .arg(format!("{}-*", entry.id.0))
                    .arg(fields)
                    .ignore();
            }
            if pipeline.is_empty() {
                return Ok(());
            }
            pipeline.exec_async(&mut self.connection).await?;
            failpoint::pass("resize record moved");
            self.moved.alerts += pipeline.len();
        }
    }

    /// Takes the oldest entry of several streams.
    async fn oldest(
        &mut self,
        streams: &mut [OldStream],
    ) -> Result<Option<RawEntry>, RepartitionError> {
        for stream in &mut *streams {
            stream.fill(&mut self.connection).await?;
        }
        let first = streams
            .iter_mut()
            .filter(|stream| !stream.page.is_empty())
            .min_by_key(|stream| stream.page.front().map(|entry| entry.id));
        Ok(first.and_then(|stream| stream.page.pop_front()))
    }
}

/// An old stream, read page by page: it may be larger than memory.
#[derive(Debug)]
struct OldStream {
    key: String,
    next: String,
    page: VecDeque<RawEntry>,
    ended: bool,
}

impl OldStream {
    fn new(key: String) -> Self {
        Self {
            key,
            next: "-".to_owned(),
            page: VecDeque::new(),
            ended: false,
        }
    }

    /// Reads the next page if the last one is used up.
    async fn fill(&mut self, connection: &mut Connection) -> Result<(), RepartitionError> {
        if self.ended || !self.page.is_empty() {
            return Ok(());
        }
        let page: Value = redis::cmd("XRANGE")
            .arg(&self.key)
            .arg(&self.next)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(connection)
            .await?;
        self.page = entries(page)?.into();
        match self.page.back() {
            Some(last) => self.next = format!("({}-{}", last.id.0, last.id.1),
            None => self.ended = true,
        }
        Ok(())
    }
}
