//! Errors of a step of the correlator.

use rackwatch_runtime::redis::ReplyError;
use redis::RedisError;

/// The reason why the correlator stops or loads its state again.
#[derive(Debug)]
pub(super) enum StepError {
    /// A command failed.
    Redis(RedisError),
    /// A reply had an unexpected form.
    Reply(ReplyError),
    /// Another collector is the leader.
    TakenOver,
    /// Redis lost written state, for example in a failover.
    StateLost,
}

impl From<RedisError> for StepError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<ReplyError> for StepError {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}
