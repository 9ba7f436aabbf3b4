//! The error by which a stage that talks to Redis ends.

use std::error::Error;

use rackwatch_runtime::redis::RequestError;

/// The reason why a stage ends before its work is done.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The program stops, by a signal or because another stage ended.
    #[error("stopped")]
    Stopped,
    /// A key that only one notifier needs holds something else. It waits until an operator mends the key.
    #[error("{line}")]
    Damaged {
        /// The key, what it holds, and what to do.
        line: String,
    },
    /// Redis refuses for a reason that does not pass by itself.
    #[error("{what}")]
    Refused {
        /// The operation and its subject, such as "Redis refused to trim `raw_sensor_data`".
        what: String,
        /// The answer of Redis.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StageError {
    /// Reports that the operation `what` was refused.
    pub fn refused<E>(what: impl Into<String>, source: E) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        Self::Refused {
            what: what.into(),
            source: Box::new(source),
        }
    }

    /// Adds the operation `what` to the error of its request.
    pub fn of_request(what: impl Into<String>, error: RequestError) -> Self {
        match error {
            RequestError::Stopped => Self::Stopped,
            RequestError::Refused(source) => Self::refused(what, source),
        }
    }
}
