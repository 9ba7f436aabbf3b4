//! The trait of all notifiers, the messages that they send, and the outcome of an attempt.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::incident::{IncidentId, IncidentRecord};
use rackwatch_runtime::config::tagged::EntryError;
use serde::de::DeserializeOwned;

use super::error::SetupErrorKind;

/// A message to people. Its key is the same at every attempt, so that receivers can drop repeats.
#[derive(Clone, Debug)]
pub enum Message<'m> {
    /// One change of an incident.
    Incident {
        /// The change of the incident.
        record: &'m IncidentRecord,
        /// The notification id of the record, or an id of its own for an acknowledgement.
        key: &'m str,
    },
    /// Several incidents at once, sent during a storm.
    Digest {
        /// A summary in one line, which counts the incidents that are not among the records.
        text: &'m str,
        /// The newest change of the worst incidents.
        records: Vec<&'m IncidentRecord>,
        /// The keys of the first and the last change, joined by `..`.
        key: &'m str,
    },
    /// A report that another notifier fails, or that it has recovered.
    Failure {
        /// The name of the other notifier.
        notifier: &'m str,
        /// The text in one line.
        text: &'m str,
        /// Whether the other notifier has recovered.
        has_recovered: bool,
        /// A key that only this report has.
        key: &'m str,
    },
    /// A test of the path to the receiver.
    Test {
        /// The text in one line.
        text: &'m str,
        /// A key that no other test has.
        key: &'m str,
    },
}

impl Message<'_> {
    /// Returns the deduplication key.
    pub fn key(&self) -> &str {
        match self {
            Self::Incident { key, .. }
            | Self::Digest { key, .. }
            | Self::Failure { key, .. }
            | Self::Test { key, .. } => key,
        }
    }
}

/// The outcome of one attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The receiver accepted the message.
    Delivered {
        /// Whether the receiver's answer says that it will process the message.
        confirmed: bool,
    },
    /// The attempt failed in a way that another attempt may overcome.
    Retry {
        /// The cause of the failure.
        reason: String,
        /// The delay that the receiver asked for.
        after: Option<Duration>,
    },
    /// The receiver rejected the message itself. Another attempt would be rejected too.
    Rejected {
        /// The cause of the rejection.
        reason: String,
    },
}

/// One recipient of a notifier. Each has an outbox and a progress of its own.
pub struct Recipient {
    /// The address, where a notifier has several recipients.
    pub address: Option<String>,
    /// Sends to this recipient only.
    pub notifier: Box<dyn Notifier>,
}

impl Recipient {
    /// Returns the only recipient of a notifier.
    pub(super) fn only(notifier: impl Notifier + 'static) -> Vec<Self> {
        vec![Self {
            address: None,
            notifier: Box::new(notifier),
        }]
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipient")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A receiver of incidents, such as a chat or a pager.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Attempts to send `message` once.
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome;

    /// Returns whether the receiver shows acknowledgements, and so is sent those too.
    fn sends_acknowledgements(&self) -> bool {
        false
    }

    /// Returns the most messages a minute before several incidents share one; zero if they never do. Receivers that
    /// track each incident need a message for each.
    fn storm(&self) -> usize {
        0
    }

    /// Takes over the incidents that are open when the outbox starts, and that the receiver was notified of: for each
    /// the last notification.
    fn resume(&mut self, _open: Vec<IncidentRecord>) {}

    /// Drops what the notifier remembers of an incident that is resolved, whether or not it is sent a notification.
    fn forget(&mut self, _incident: &IncidentId) {}

    /// Does periodic work of the notifier's own, between messages.
    ///
    /// # Errors
    ///
    /// Returns the cause when the receiver cannot be reached.
    async fn refresh(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The configuration of one notifier type: the keys that only this type has.
pub trait NotifierType: DeserializeOwned {
    /// The value of `type` that selects it.
    const TYPE: &'static str;

    /// Checks the keys against one another.
    ///
    /// # Errors
    ///
    /// When a key is missing that another key, or the lack of one, makes mandatory.
    fn check(&self) -> Result<(), EntryError> {
        Ok(())
    }

    /// Returns the addresses of the recipients, if there are several.
    fn recipients(&self) -> Vec<String> {
        Vec::new()
    }

    /// Sets up the notifier, once for each of its recipients, in their order.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or a value is unusable.
    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind>;
}

/// The settings that notifiers of every type are set up with.
#[derive(Clone, Copy, Debug)]
pub struct NotifierContext<'c> {
    /// The timeout of one attempt.
    pub timeout: Duration,
    /// The public address of the dashboard without a trailing slash, for links.
    pub dashboard: Option<&'c str>,
}
