//! The partitioning: into how many partitions readings are divided, as collectors keep it in Redis.
//!
//! Agents read it before they publish. While it is being changed they hold readings back.

use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, cmd};

/// The partitioning at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// No collector has written one: the plain names hold.
    Unset,
    /// A number of partitions that holds.
    Set(Partitions),
    /// A number that is about to change: agents hold readings back, collectors finish what is there.
    Draining(Partitions),
    /// A number that is being changed: collectors own no partitions either.
    Changing(Partitions),
}

impl Partitioning {
    /// Reads the partitioning from Redis.
    ///
    /// # Errors
    ///
    /// When Redis does not answer, or holds an invalid number.
    pub async fn read(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        Self::from_reply(Self::read_command().query_async(connection).await?)
    }

    /// Returns the command that reads it, for a pipeline.
    pub fn read_command() -> redis::Cmd {
        let mut read = cmd("HMGET");
        read.arg(keys::PARTITIONING).arg("partitions").arg("state");
        read
    }

    /// Parses the reply to [`Partitioning::read_command`].
    ///
    /// # Errors
    ///
    /// When it holds an invalid number.
    pub fn from_reply((partitions, state): (Option<u16>, Option<String>)) -> RedisResult<Self> {
        let Some(partitions) = partitions else {
            return Ok(Self::Unset);
        };
        let partitions = Partitions::new(partitions).map_err(|error| {
            let what = format!("{} holds {error}", keys::PARTITIONING);
            let kind = redis::ErrorKind::UnexpectedReturnType;
            RedisError::from((kind, "invalid partitioning", what))
        })?;
        Ok(match state.as_deref() {
            Some("draining") => Self::Draining(partitions),
            Some("changing") => Self::Changing(partitions),
            _ => Self::Set(partitions),
        })
    }

    /// Returns the number of partitions that holds, even while it changes.
    pub fn partitions(self) -> Partitions {
        match self {
            Self::Unset => Partitions::PLAIN,
            Self::Set(partitions) | Self::Draining(partitions) | Self::Changing(partitions) => {
                partitions
            }
        }
    }
}
