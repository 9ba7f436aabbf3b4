//! How many partitions there are, as the collectors keep it in Redis.
//!
//! Agents ask before they publish. A layout that is being changed gives nobody a place to write to:
//! agents keep what they have until it is there again.

use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, cmd};

/// The layout as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nobody has written one: the plain names hold.
    Unset,
    /// So many partitions.
    Set(Partitions),
    /// It is to be changed from this one: agents hold readings back, collectors finish what is there.
    Draining(Partitions),
    /// It is being changed from this one: collectors hold off too.
    Changing(Partitions),
}

impl Layout {
    /// Asks Redis.
    ///
    /// # Errors
    ///
    /// When Redis does not answer, or holds a number that cannot be.
    pub async fn read(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        Self::of(Self::question().query_async(connection).await?)
    }

    /// The command that asks, for a pipeline.
    pub fn question() -> redis::Cmd {
        let mut ask = cmd("HMGET");
        ask.arg(keys::LAYOUT).arg("partitions").arg("state");
        ask
    }

    /// What its answer means.
    ///
    /// # Errors
    ///
    /// When it holds a number that cannot be.
    pub fn of((partitions, state): (Option<u16>, Option<String>)) -> RedisResult<Self> {
        let Some(partitions) = partitions else {
            return Ok(Self::Unset);
        };
        let partitions = Partitions::new(partitions).map_err(|error| {
            let what = format!("{} holds {error}", keys::LAYOUT);
            RedisError::from((redis::ErrorKind::UnexpectedReturnType, "bad layout", what))
        })?;
        Ok(match state.as_deref() {
            Some("draining") => Self::Draining(partitions),
            Some("changing") => Self::Changing(partitions),
            _ => Self::Set(partitions),
        })
    }

    /// The partitions that hold, changing or not.
    pub fn partitions(self) -> Partitions {
        match self {
            Self::Unset => Partitions::PLAIN,
            Self::Set(partitions) | Self::Draining(partitions) | Self::Changing(partitions) => {
                partitions
            }
        }
    }
}
