//! A notification on its way to one recipient.

use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::StreamId;

use crate::notify::notifier::Message;

/// An incident record that a recipient is notified of.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    /// The entry of the incident stream. None if the notification waited for the hours of a route.
    pub(super) id: Option<StreamId>,
    /// The change of the incident.
    pub(super) record: IncidentRecord,
    /// The deduplication key, the same at every attempt.
    pub(super) key: String,
}

impl Notification {
    /// Returns the message about this notification alone.
    pub(super) fn message(&self) -> Message<'_> {
        Message::Incident {
            record: &self.record,
            key: &self.key,
        }
    }

    /// Returns the notification of an entry, if it asks for one. `with_acks` includes acknowledgements.
    pub(super) fn of(id: StreamId, record: IncidentRecord, with_acks: bool) -> Option<Self> {
        let key = match &record.notification_id {
            Some(id) => id.clone(),
            None if record.event == Event::Acked && with_acks => {
                format!("{}-acked-{}", record.id, record.at.millis())
            }
            // A change for other programs, not a notification.
            None => return None,
        };
        let id = Some(id);
        Some(Self { id, record, key })
    }
}
