//! Redis Cluster: one connection that leads to all its masters.
//!
//! In: commands and pipelines, as for one server. Out: the replies, in the same order. Each command
//! goes to the master of its key, by the map of slots that was read when the connection was opened. A
//! wrong map shows as an error (`MOVED`, a broken connection), and the remedy is that for a single
//! server that went away: open another connection. Nothing is sent again here.
//!
//! The commands of a pipeline that go to the same master stay in order; groups for different masters
//! go one after the other, in the order of their first commands.

mod destination;
mod slots;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::Mutex;

use destination::Destination;
pub(super) use slots::{Address, Slots};

/// Connects to the nodes of a cluster.
#[async_trait::async_trait]
pub(super) trait OpenNode: Send + Sync + std::fmt::Debug {
    async fn open(&self, node: &Address) -> RedisResult<MultiplexedConnection>;
}

/// A connection to a cluster; clones share their connections to the nodes.
#[derive(Clone, Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    /// Node for commands without a key.
    home: Address,
}

#[derive(Debug)]
struct Shared {
    slots: Slots,
    nodes: Mutex<HashMap<Address, Node>>,
    opener: Arc<dyn OpenNode>,
}

#[derive(Clone, Debug)]
enum Node {
    Open(MultiplexedConnection),
    /// A node that failed: this connection does not try it again.
    Broken(RedisError),
}

impl Cluster {
    /// Reads the slots from `node`; an error if that considers the cluster down.
    pub(super) async fn ask(
        connection: &mut MultiplexedConnection,
        node: &Address,
    ) -> RedisResult<Slots> {
        let answer: Value = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(connection)
            .await?;
        Slots::parse(&answer, node).ok_or_else(|| {
            let kind = redis::ErrorKind::UnexpectedReturnType;
            RedisError::from((kind, "unexpected CLUSTER SLOTS reply"))
        })
    }

    /// Creates a connection by this map of slots, and connects to the node that has the key `home`.
    pub(super) async fn open(
        slots: Slots,
        home: &str,
        opener: Arc<dyn OpenNode>,
    ) -> RedisResult<Self> {
        let home = slots
            .master_of(home.as_bytes())
            .cloned()
            .ok_or_else(unserved)?;
        let cluster = Self {
            shared: Arc::new(Shared {
                slots,
                nodes: Mutex::default(),
                opener,
            }),
            home,
        };
        cluster.node(&cluster.home).await?;
        Ok(cluster)
    }

    /// Returns every node in the map.
    pub(super) fn nodes(&self) -> &[Address] {
        self.shared.slots.nodes()
    }

    /// Returns the same connection with the node of `key` for commands without a key.
    pub(super) fn at(&self, key: &str) -> Self {
        let home = self.shared.slots.master_of(key.as_bytes());
        Self {
            shared: Arc::clone(&self.shared),
            home: home.unwrap_or(&self.home).clone(),
        }
    }

    /// Returns the same connection for each master, for commands without a key.
    pub(super) fn masters(&self) -> Vec<Self> {
        let masters = self.shared.slots.masters().into_iter();
        let at = |home| Self {
            shared: Arc::clone(&self.shared),
            home,
        };
        masters.map(at).collect()
    }

    async fn node(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        let mut nodes = self.shared.nodes.lock().await;
        match nodes.get(address) {
            Some(Node::Open(connection)) => return Ok(connection.clone()),
            Some(Node::Broken(error)) => return Err(error.clone()),
            None => {}
        }
        let opened = self.shared.opener.open(address).await;
        let node = match &opened {
            Ok(connection) => Node::Open(connection.clone()),
            Err(error) => Node::Broken(error.clone()),
        };
        nodes.insert(address.clone(), node);
        opened
    }

    async fn broke(&self, address: &Address, error: &RedisError) {
        if error.is_unrecoverable_error() || error.is_io_error() {
            let mut nodes = self.shared.nodes.lock().await;
            nodes.insert(address.clone(), Node::Broken(error.clone()));
        }
    }

    async fn command(&self, address: &Address, command: &Cmd) -> RedisResult<Value> {
        let mut connection = self.node(address).await?;
        let reply = connection.req_packed_command(command).await;
        if let Err(error) = &reply {
            self.broke(address, error).await;
        }
        reply
    }

    async fn commands(
        &self,
        address: &Address,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut connection = self.node(address).await?;
        let replies = connection.req_packed_commands(pipeline, offset, count);
        let replies = replies.await;
        if let Err(error) = &replies {
            self.broke(address, error).await;
        }
        replies
    }

    /// Returns the node for a command; none if it goes to every master.
    fn route(&self, command: &Cmd) -> RedisResult<Option<&Address>> {
        match Destination::of(command) {
            Destination::Everywhere => Ok(None),
            Destination::Home => Ok(Some(&self.home)),
            Destination::Key(key) => {
                let master = self.shared.slots.master_of(key);
                master.map(Some).ok_or_else(unserved)
            }
        }
    }

    async fn everywhere(&self, command: &Cmd) -> RedisResult<Value> {
        let mut reply = Value::Nil;
        for master in self.shared.slots.masters() {
            reply = self.command(&master, command).await?;
        }
        Ok(reply)
    }

    async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut replies = vec![Value::Nil; pipeline.len()];
        let mut groups: Vec<(&Address, Vec<(usize, &Cmd)>)> = Vec::new();
        for (index, command) in pipeline.cmd_iter().enumerate() {
            let Some(master) = self.route(command)? else {
                replies[index] = self.everywhere(command).await?;
                continue;
            };
            match groups.iter_mut().find(|(address, _)| *address == master) {
                Some((_, group)) => group.push((index, command)),
                None => groups.push((master, vec![(index, command)])),
            }
        }
        for (master, group) in groups {
            let (count, whole) = (group.len(), group.len() == pipeline.len());
            let answers = if whole {
                self.commands(master, pipeline, 0, count).await?
            } else {
                let mut part = Pipeline::with_capacity(count);
                for (_, command) in &group {
                    part.add_command(Cmd::clone(command));
                }
                self.commands(master, &part, 0, count).await?
            };
            for ((index, _), answer) in group.into_iter().zip(answers) {
                replies[index] = answer;
            }
        }
        Ok(replies)
    }

    /// Runs a transaction, whose keys must all be in one slot.
    async fn transaction(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let first = pipeline.cmd_iter().next();
        let master = match first {
            Some(first) => self.route(first)?.unwrap_or(&self.home),
            None => &self.home,
        };
        self.commands(master, pipeline, offset, count).await
    }
}

/// Returns the error for a slot without a master; the map may be outdated.
fn unserved() -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, "no master serves this slot").into()
}

impl ConnectionLike for Cluster {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            match self.route(command)? {
                Some(master) => self.command(master, command).await,
                None => self.everywhere(command).await,
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            if pipeline.is_transaction() {
                self.transaction(pipeline, offset, count).await
            } else {
                self.pipeline(pipeline).await
            }
        })
    }

    fn get_db(&self) -> i64 {
        // A cluster has only one.
        0
    }
}
