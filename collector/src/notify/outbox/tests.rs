//! Storms, and what the outbox hands to its notifier.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::incident::IncidentId;

use super::*;
use crate::notify::example::incident;
use crate::notify::notifier::{Message, Notifier, SendOutcome};
use crate::notify::notifiers::alertmanager::repeat::OpenIncidents;

/// A feed with a number of notifications, then nothing for 25 s, then the stop.
struct ShortFeed {
    left: u32,
    idle: u32,
    done: Arc<Mutex<Vec<StreamId>>>,
}

#[async_trait]
impl Feed for ShortFeed {
    type Record = IncidentRecord;

    async fn next(&mut self) -> Result<Vec<FeedEntry<IncidentRecord>>, StageError> {
        if self.left == 0 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.idle += 1;
            return if self.idle > 5 {
                Err(StageError::Stopped)
            } else {
                Ok(Vec::new())
            };
        }
        self.left -= 1;
        let ms = u64::from(100 - self.left);
        let record = IncidentRecord {
            id: IncidentId::from_wire(&format!("{ms:016x}")),
            notification_id: Some(format!("{ms}-1")),
            ..incident()
        };
        let id = StreamId { ms, seq: 0 };
        Ok(vec![FeedEntry {
            id,
            record: Ok(record),
        }])
    }

    async fn acknowledge(&mut self, ids: &[StreamId]) -> Result<(), StageError> {
        self.done.lock().unwrap().extend(ids);
        Ok(())
    }
}

/// A notifier that records the keys of its messages, and repeats open incidents as Alertmanager's does.
struct Recorder {
    keys: Arc<Mutex<Vec<String>>>,
    storm: usize,
    open: OpenIncidents,
}

impl Recorder {
    fn new(storm: usize, every: Duration) -> (Self, Arc<Mutex<Vec<String>>>) {
        let keys = Arc::default();
        let recorder = Self {
            keys: Arc::clone(&keys),
            storm,
            open: OpenIncidents::new(every),
        };
        (recorder, keys)
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        self.keys.lock().unwrap().push(message.key().to_owned());
        if let Message::Incident { record, .. } = message {
            self.open.update(record);
        }
        SendOutcome::Delivered { confirmed: false }
    }

    fn storm(&self) -> usize {
        self.storm
    }

    fn resume(&mut self, open: Vec<IncidentRecord>) {
        for record in &open {
            self.open.update(record);
        }
    }

    fn forget(&mut self, incident: &IncidentId) {
        self.open.remove(incident);
    }

    async fn refresh(&mut self) -> Result<(), String> {
        for record in self.open.take_due() {
            self.keys.lock().unwrap().extend(record.notification_id);
        }
        Ok(())
    }
}

fn outbox(recorder: Recorder, progress: DeliveryProgress) -> Outbox {
    let config: CommonConfig = toml::from_str("name = 'ops'\nretry_max = '1s'").unwrap();
    let recipient = Recipient::only(recorder).remove(0);
    Outbox::new(
        &config,
        recipient,
        Routes::default(),
        progress,
        (DeliveryLog::none(), Failures::default()),
        CancellationToken::new(),
    )
}

async fn sent(count: u32, storm: usize) -> (Vec<String>, usize) {
    let done = Arc::default();
    let feed = ShortFeed {
        left: count,
        idle: 0,
        done: Arc::clone(&done),
    };
    let (recorder, keys) = Recorder::new(storm, Duration::ZERO);
    outbox(recorder, DeliveryProgress::default())
        .run(feed)
        .await
        .unwrap();
    let keys = keys.lock().unwrap().clone();
    let done = done.lock().unwrap().len();
    (keys, done)
}

#[tokio::test(start_paused = true)]
async fn in_a_storm_notifications_are_sent_as_a_digest() {
    let (keys, done) = sent(30, 10).await;
    assert_eq!(keys.len(), 11, "{keys:?}");
    assert_eq!(keys[10], "81-1..100-1");
    assert_eq!(done, 30, "all entries are acknowledged");
}

#[tokio::test(start_paused = true)]
async fn receivers_that_track_incidents_get_each_notification() {
    assert_eq!(sent(30, 0).await.0.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn open_incidents_are_repeated_until_resolved() {
    let open = |n: u32| {
        let record = IncidentRecord {
            id: IncidentId::from_wire(&format!("{n:016x}")),
            notification_id: Some(format!("before-{n}")),
            ..incident()
        };
        OpenIncident {
            newest: record.clone(),
            notification: Some(record),
        }
    };
    let (recorder, keys) = Recorder::new(0, Duration::from_secs(8));
    // After one record nothing comes for 25 seconds, and the outbox wakes up every five of them.
    let feed = ShortFeed {
        left: 1,
        idle: 0,
        done: Arc::default(),
    };
    // The receiver was notified of the first, and not of the second.
    let before = [open(1), open(2)];
    let mut progress = DeliveryProgress::default();
    let begun = progress.begin(&before[0].newest.id, "before-1").await;
    begun.unwrap();
    let outbox = outbox(recorder, progress)
        .resume(&before, None)
        .await
        .unwrap();
    outbox.run(feed).await.unwrap();
    let keys = keys.lock().unwrap().clone();
    assert_eq!(keys, ["100-1", "before-1", "100-1", "before-1", "100-1"]);
}
