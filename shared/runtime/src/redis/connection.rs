//! A connection to one server, or to all masters of a cluster.

use rackwatch_core::keys::SeriesKeys;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::cluster::Cluster;

/// An open connection; clones share it.
#[derive(Clone, Debug)]
pub struct Connection(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Node(MultiplexedConnection),
    Cluster(Cluster),
}

impl Connection {
    /// Returns the same connection, sending commands that name no key (`INFO`, `TIME`) to the server
    /// that has `key`.
    #[must_use]
    pub fn at(&self, key: &str) -> Self {
        match &self.0 {
            Kind::Node(_) => self.clone(),
            Kind::Cluster(cluster) => cluster.at(key).into(),
        }
    }

    /// Returns the same connection once for each master, which gets the commands that name no key.
    pub fn masters(&self) -> Vec<Self> {
        match &self.0 {
            Kind::Node(_) => vec![self.clone()],
            Kind::Cluster(cluster) => cluster.masters().into_iter().map(Self::from).collect(),
        }
    }

    /// Returns the names of series there: on a cluster the keys of a command must be in one slot.
    pub fn series_keys(&self) -> SeriesKeys {
        match self.0 {
            Kind::Node(_) => SeriesKeys::Plain,
            Kind::Cluster(_) => SeriesKeys::Cluster,
        }
    }
}

impl From<MultiplexedConnection> for Connection {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(Kind::Node(connection))
    }
}

impl From<Cluster> for Connection {
    fn from(cluster: Cluster) -> Self {
        Self(Kind::Cluster(cluster))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.0 {
            Kind::Node(connection) => connection.req_packed_command(command),
            Kind::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.0 {
            Kind::Node(connection) => connection.req_packed_commands(pipeline, offset, count),
            Kind::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.0 {
            Kind::Node(connection) => connection.get_db(),
            Kind::Cluster(cluster) => cluster.get_db(),
        }
    }
}
