//! The partitioning: into how many partitions readings are divided, as collectors keep it in Redis.
//!
//! Agents read it before they publish. While it is being changed they hold readings back.

use rackwatch_core::keys;
use rackwatch_core::partition::Partitions;
use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, cmd};

/// Characters of a wrong value that an error shows.
const MAX_SHOWN: usize = 40;

/// The words for a key of another type.
const NOT_A_HASH: &str = "is not a hash";

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
    /// The remedy for a key of another type.
    pub const RESTORE: &'static str = "stop the program that wrote it, delete the key, and restore it with \
        `HSET rackwatch:layout partitions <number in use, 0 for none>`";

    /// Returns whether an error of [`Partitioning::read`] says that the key has another type.
    pub fn is_another_type(error: &RedisError) -> bool {
        error
            .detail()
            .is_some_and(|detail| detail.contains(NOT_A_HASH))
    }

    /// Reads the partitioning from Redis.
    ///
    /// # Errors
    ///
    /// When Redis does not answer, or holds no partitioning under the key. That error names the key and the remedy.
    pub async fn read(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        let reply = Self::read_command().query_async(connection).await;
        Self::from_reply(reply.map_err(|error: RedisError| match error.code() {
            Some("WRONGTYPE") => invalid(format!(
                "{} {NOT_A_HASH}: {}",
                keys::PARTITIONING,
                Self::RESTORE
            )),
            _ => error,
        })?)
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
    /// When it holds an invalid number or state.
    pub fn from_reply(
        (partitions, state): (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> RedisResult<Self> {
        let Some(partitions) = partitions else {
            return Ok(Self::Unset);
        };
        let text = String::from_utf8_lossy(&partitions);
        let number = text.parse().ok().and_then(|n: u16| Partitions::new(n).ok());
        let remedy = "the number of partitions in use, 0 for none";
        let partitions = number.ok_or_else(|| garbage("partitions", &text, remedy))?;
        match state.as_deref() {
            Some(b"draining") => Ok(Self::Draining(partitions)),
            Some(b"changing") => Ok(Self::Changing(partitions)),
            Some(b"set" | b"") | None => Ok(Self::Set(partitions)),
            Some(other) => {
                let text = String::from_utf8_lossy(other);
                Err(garbage(
                    "state",
                    &text,
                    "`set` unless a resize is under way",
                ))
            }
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

/// Returns the error for a field that holds anything else than it should.
fn garbage(field: &str, found: &str, remedy: &str) -> RedisError {
    let key = keys::PARTITIONING;
    let found: String = found.chars().take(MAX_SHOWN).collect();
    invalid(format!(
        "{key} holds {field} = {found:?}: set it to {remedy}, with `HSET {key} {field} <value>`"
    ))
}

fn invalid(what: String) -> RedisError {
    let kind = redis::ErrorKind::UnexpectedReturnType;
    RedisError::from((kind, "invalid partitioning", what))
}
