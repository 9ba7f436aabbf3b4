//! Errors that end the collector.

use rackwatch_core::rules::RuleError;
use rackwatch_runtime::redis::ConnectError;
use tokio::task::JoinError;

use crate::ingest::partition::PartitionError;
use crate::notify::SetupError;
use crate::notify::SinkError;
use crate::ownership::owner::OwnerError;
use crate::stage::StageError;
use crate::web::WebError;

/// The collector cannot start, or cannot continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// Keys of ours hold something else.
    #[error("{keys}")]
    BrokenKeys {
        /// A clause for each key, with what to do.
        keys: String,
        /// The error that ended the collector.
        source: Box<RunError>,
    },
    /// A rule is wrong.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// The address of Redis is wrong, or the login failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The web server cannot start.
    #[error(transparent)]
    Web(#[from] WebError),
    /// An alert file cannot be opened.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Redis refused a command of partition ownership.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// Reading or evaluating a partition failed.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The alert stream cannot be read.
    #[error("alert delivery stopped")]
    Alerts(#[source] StageError),
    /// Entries of the plain raw stream cannot be moved.
    #[error("forwarding to partitions stopped")]
    Forwarding(#[source] StageError),
    /// A notifier or the heartbeat is misconfigured.
    #[error(transparent)]
    Notifier(#[from] SetupError),
    /// The incident stream cannot be read or written.
    #[error("incident delivery stopped")]
    Incidents(#[source] StageError),
    /// The demo's simulated racks failed.
    #[error("cannot read the simulated racks")]
    Sampling(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stage panicked, which is a bug.
    #[error("a stage of the collector panicked")]
    Panicked(#[source] JoinError),
}
