//! The partitioning: into how many partitions readings are divided, as collectors keep it in Redis.
//!
//! Agents read it before they publish. While it is being changed they hold readings back.

use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, cmd};

/// Characters of a wrong value that an error shows.
const MAX_SHOWN: usize = 40;

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
    /// When it holds an invalid number or state. The error names the key, and what to do.
    pub fn from_reply((partitions, state): (Option<String>, Option<String>)) -> RedisResult<Self> {
        let Some(text) = partitions else {
            return Ok(Self::Unset);
        };
        let number = text.parse().ok().and_then(|n| Partitions::new(n).ok());
        let partitions = number.ok_or_else(|| {
            let expected = format!("a number from 0 to {}", Partitions::MAX);
            garbage("partitions", &text, &expected)
        })?;
        match state.as_deref() {
            None | Some("" | "set") => Ok(Self::Set(partitions)),
            Some("draining") => Ok(Self::Draining(partitions)),
            Some("changing") => Ok(Self::Changing(partitions)),
            Some(other) => Err(garbage("state", other, "draining, changing or none")),
        }
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

/// Returns the error of a field that holds something else.
fn garbage(field: &str, found: &str, expected: &str) -> RedisError {
    let key = keys::PARTITIONING;
    let found: String = found.chars().take(MAX_SHOWN).collect();
    let what = format!(
        "{key} has {field} {found:?}, expected {expected}: set it right with HSET, or HDEL it if no readings are in Redis"
    );
    let kind = redis::ErrorKind::UnexpectedReturnType;
    RedisError::from((kind, "invalid partitioning", what))
}
