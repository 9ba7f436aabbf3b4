//! One task's requests to Redis, repeated until they are answered.
//!
//! In: requests. Out: their replies, or that the program stops, or an error that repeating cannot
//! cure. A request may run twice, because a broken connection hides whether it ran: a write
//! must be harmless when it comes again.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::{Connection, Connector, Purpose, Remedy, remedy};

/// Pause before a request is repeated on a Redis that is loading, read-only or out of memory: long
/// enough to leave a busy server alone, short enough to resume soon after it recovers.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A request that got no reply.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The program stops before a reply.
    #[error("stopped")]
    Stopped,
    /// Redis refuses for a reason that does not pass by itself.
    #[error("Redis refused the request")]
    Refused(#[source] RedisError),
}

/// Waits as long as `error` asks for. The next try belongs on a new connection: this one may be
/// broken, or the address may lead to another server by now.
///
/// # Errors
///
/// When the error does not pass by itself, or `stop` was cancelled.
pub async fn recover(error: &RedisError, stop: &CancellationToken) -> Result<(), RequestError> {
    let pause = match remedy(error) {
        Remedy::Reconnect => Duration::ZERO,
        Remedy::RetryLater => RETRY_PAUSE,
        Remedy::Fatal => return Err(RequestError::Refused(error.clone())),
    };
    match stop.run_until_cancelled(tokio::time::sleep(pause)).await {
        Some(()) if !stop.is_cancelled() => Ok(()),
        _ => Err(RequestError::Stopped),
    }
}

/// A connection that one task keeps, opened on first use and again after an error.
///
/// A request of several commands repeats as a whole:
///
/// ```ignore
/// loop {
///     let mut connection = session.connection().await?;
///     match request(&mut connection).await {
///         Ok(reply) => return Ok(reply),
///         Err(error) => session.recover(&error).await?,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Session {
    connector: Connector,
    purpose: Purpose,
    stop: CancellationToken,
    connection: Option<Connection>,
}

impl Session {
    /// Creates a session without a connection; requests end when `stop` is cancelled.
    pub fn new(connector: Connector, purpose: Purpose, stop: CancellationToken) -> Self {
        Self {
            connector,
            purpose,
            stop,
            connection: None,
        }
    }

    /// Returns the connection, opened first if there is none.
    ///
    /// # Errors
    ///
    /// When `stop` was cancelled before Redis could be reached.
    pub async fn connection(&mut self) -> Result<Connection, RequestError> {
        if self.connection.is_none() {
            self.connection = self.connector.open_until(self.purpose, &self.stop).await;
        }
        self.connection.clone().ok_or(RequestError::Stopped)
    }

    /// Returns the connection if it is open.
    pub fn open_connection(&self) -> Option<Connection> {
        self.connection.clone()
    }

    /// Waits as `error` asks and drops the connection, so that the next request opens another.
    ///
    /// # Errors
    ///
    /// As [`recover`].
    pub async fn recover(&mut self, error: &RedisError) -> Result<(), RequestError> {
        recover(error, &self.stop).await?;
        self.connection = None;
        Ok(())
    }

    /// Waits as `error` asks and keeps the connection, for a request that must not reach another
    /// server.
    ///
    /// # Errors
    ///
    /// As [`recover`].
    pub async fn recover_in_place(&mut self, error: &RedisError) -> Result<(), RequestError> {
        recover(error, &self.stop).await
    }

    /// Repeats `command` until Redis answers it.
    ///
    /// # Errors
    ///
    /// When it fails for a reason that does not pass by itself, or `stop` was cancelled before it was
    /// answered.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RequestError> {
        loop {
            let mut connection = self.connection().await?;
            match command.query_async(&mut connection).await {
                Ok(reply) => return Ok(reply),
                Err(error) => self.recover(&error).await?,
            }
        }
    }

    /// Repeats `pipeline` until Redis accepts every command in it.
    ///
    /// # Errors
    ///
    /// As [`Session::query`].
    pub async fn exec(&mut self, pipeline: &Pipeline) -> Result<(), RequestError> {
        loop {
            let mut connection = self.connection().await?;
            match pipeline.exec_async(&mut connection).await {
                Ok(()) => return Ok(()),
                Err(error) => self.recover(&error).await?,
            }
        }
    }
}
