//! Opens connections, for as long as it takes.
//!
//! In: the `[redis]` section. Out: connections that answered a PING. While Redis cannot be reached,
//! the log gets one line when that begins, one for each new reason and one when it ends, however
//! many tasks share the connector. Files with credentials are read again for each connection. Nothing is sent again: a command that was under way when a
//! connection broke is its sender's to repeat.

mod cluster;
mod credentials;
mod current;
mod hosts;
mod node;
mod sentinel;
mod settings;
mod target;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rackwatch_core::keys::PARTITIONING;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::error::ConnectError;
use super::outage::Outage;
use super::remedy::code;
use crate::backoff::{self, Backoff};
use crate::config::RedisConfig;
use crate::tls;
use current::CurrentTarget;
use target::Target;

/// The use of a connection, which decides how long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Commands that answer at once. Many tasks may share the connection.
    Commands,
    /// A command that blocks for up to this long (`BLOCK`). Everything sent behind it waits, so the
    /// connection belongs to one reader.
    Blocking(Duration),
}

/// Opens connections to one Redis. Cheap to clone; clones share what they log.
#[derive(Debug, Clone)]
pub struct Connector {
    target: CurrentTarget,
    /// Key whose node must answer on a cluster.
    home: Arc<str>,
    endpoint: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    backoff: Backoff,
    outage: Arc<Mutex<Outage>>,
}

impl Connector {
    /// Checks the settings and reads the files they name; connects nowhere yet.
    ///
    /// # Errors
    ///
    /// When the address is invalid, or a file cannot be read or used.
    pub fn new(config: &RedisConfig) -> Result<Self, ConnectError> {
        tls::install_provider();
        let (target, endpoint) = CurrentTarget::new(config)?;
        Ok(Self {
            target,
            home: PARTITIONING.into(),
            endpoint,
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
            backoff: Backoff::new(config.backoff_min, config.backoff_max),
            outage: Arc::default(),
        })
    }

    /// Returns the address without user and password.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Returns whether the address is one of a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.target.last(), Target::Cluster(_))
    }

    /// Returns a connector for a task that needs `key`. On a cluster, the node that has it must answer
    /// before a connection counts as open.
    #[must_use]
    pub fn at(&self, key: &str) -> Self {
        Self {
            home: key.into(),
            ..self.clone()
        }
    }

    /// Connects once, logs in and waits for the answer to a PING.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached, refuses, or is not ready yet.
    pub async fn open(&self, purpose: Purpose) -> Result<Connection, ConnectError> {
        self.try_open(purpose)
            .await
            .map_err(|source| ConnectError::sort(&self.endpoint, source))
    }

    /// Connects, retrying until it succeeds. Returns `None` if `stop` was cancelled first.
    pub async fn open_until(
        &self,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Option<Connection> {
        let opened = stop
            .run_until_cancelled(self.open_until_answered(purpose))
            .await;
        if opened.is_none() {
            self.note(|outage| outage.given_up(&self.home));
        }
        opened
    }

    async fn open_until_answered(&self, purpose: Purpose) -> Connection {
        let mut backoff = self.backoff.clone();
        loop {
            match self.open(purpose).await {
                Ok(connection) => {
                    self.note(|outage| outage.ended(&self.home, &self.endpoint));
                    return connection;
                }
                Err(error) => self.note(|outage| outage.failed(&self.home, &error)),
            }
            tokio::time::sleep(backoff.next_jittered(backoff::random())).await;
        }
    }

    async fn try_open(&self, purpose: Purpose) -> redis::RedisResult<Connection> {
        let response_timeout = match purpose {
            Purpose::Commands => self.response_timeout,
            Purpose::Blocking(block) => block.saturating_add(self.response_timeout),
        };
        let (home, connect) = (&self.home, self.connect_timeout);
        let target = self.target.refreshed(connect).await;
        target.open(home, connect, response_timeout).await
    }

    /// Records that Redis refused a command. Logs when that begins, and each new reason.
    pub fn refused(&self, error: &redis::RedisError) {
        if let Some(code) = code(error) {
            self.note(|outage| outage.refused(&self.home, &code, error));
        }
    }

    /// Records that Redis accepted a command. Logs when a refusal ends.
    pub fn accepted(&self) {
        self.note(|outage| outage.accepted(&self.home));
    }

    fn note(&self, change: impl FnOnce(&mut Outage)) {
        change(&mut self.outage.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests;
