//! A read model behind a lock, with updates for subscribers.
//!
//! Each update is serialised once for all subscribers and kept for a moment. A subscriber that lags misses updates,
//! learns of it, and delays no other. Without viewers, nothing is read from Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::indices::Envelope;
use rackwatch_core::rules::RuleSet;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::ReadModel;
use super::change::{Change, ChangeSet};

/// Updates buffered for a slow subscriber, before it misses some.
const BUFFERED_UPDATES: usize = 256;
/// Shortest time between two updates of rack aggregates.
const RACKS_EVERY: Duration = Duration::from_millis(500);
/// Time after a request during which its viewer counts as present.
const VIEWER_LINGER: Duration = Duration::from_mins(2);
/// Longest wait of a request for a model that is not yet loaded.
const LOAD_TIMEOUT: Duration = Duration::from_secs(8);

/// Changes as JSON text, serialised once for all subscribers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    /// A JSON array of rack rows.
    pub(crate) racks: Option<String>,
    /// By rack, a JSON array with an `[id, value, fault, at, severity]` for each changed device.
    pub(crate) devices: BTreeMap<String, String>,
    /// A JSON array of incident records, resolved ones included.
    pub(crate) incidents: Option<String>,
    /// The set of silences changed.
    pub(crate) silences: bool,
    /// Clients should read everything again.
    pub(crate) reload: bool,
    /// The shown data is stale, because Redis is unreachable.
    pub(crate) stale: bool,
}

/// The read model is not loaded yet.
#[derive(Debug, thiserror::Error)]
#[error("site state is not loaded yet: Redis is unreachable or still being read; try again")]
pub(crate) struct NotReady;

/// The read model, shared by all requests and by the task that feeds it.
#[derive(Debug)]
pub(crate) struct SharedReadModel {
    state: Mutex<State>,
    updates: broadcast::Sender<Arc<Update>>,
    ready: watch::Sender<bool>,
    /// Time of the last request, in milliseconds since `created`; 0 before the first.
    last_request: AtomicU64,
    viewer_came: Notify,
    created: Instant,
}

#[derive(Debug)]
struct State {
    model: ReadModel,
    /// Racks that changed since `racks_sent`.
    changed_racks: BTreeSet<String>,
    racks_sent: Instant,
}

impl SharedReadModel {
    /// Returns an empty model, which is not ready.
    pub(crate) fn new(rules: Arc<RuleSet>, envelope: Envelope) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                model: ReadModel::new(rules, envelope),
                changed_racks: BTreeSet::new(),
                racks_sent: now,
            }),
            updates: broadcast::Sender::new(BUFFERED_UPDATES),
            ready: watch::Sender::new(false),
            last_request: AtomicU64::new(0),
            viewer_came: Notify::new(),
            created: now,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis_since_created(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a query on the model under its lock.
    pub(crate) fn query<T>(&self, query: impl FnOnce(&ReadModel) -> T) -> T {
        query(&self.state().model)
    }

    /// Notes a viewer, for whom the model is kept up to date for a while.
    pub(crate) fn note_viewer(&self) {
        let now = self.millis_since_created();
        self.last_request.store(now.max(1), Ordering::Relaxed);
        self.viewer_came.notify_one();
    }

    /// Notes a viewer, and waits until the model is loaded.
    ///
    /// # Errors
    ///
    /// If that takes longer than [`LOAD_TIMEOUT`].
    pub(crate) async fn ready(&self) -> Result<(), NotReady> {
        self.note_viewer();
        let mut ready = self.ready.subscribe();
        match tokio::time::timeout(LOAD_TIMEOUT, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotReady),
        }
    }

    /// Returns whether a viewer made a request within [`VIEWER_LINGER`].
    pub(crate) fn has_viewers(&self) -> bool {
        let last = self.last_request.load(Ordering::Relaxed);
        let age = self.millis_since_created().saturating_sub(last);
        last > 0 && Duration::from_millis(age) < VIEWER_LINGER
    }

    /// Waits for a viewer. Returns false if `stop` came first.
    pub(crate) async fn wait_for_viewer(&self, stop: &CancellationToken) -> bool {
        while !self.has_viewers() {
            if stop
                .run_until_cancelled(self.viewer_came.notified())
                .await
                .is_none()
            {
                return false;
            }
        }
        !stop.is_cancelled()
    }

    /// Sets whether the model is up to date. Subscribers learn when it becomes stale.
    pub(crate) fn set_ready(&self, ready: bool) {
        let was_ready = self.ready.send_replace(ready);
        if was_ready && !ready {
            self.publish(Update {
                stale: true,
                ..Update::default()
            });
        }
    }

    /// Replaces the model by a newly loaded one, and makes subscribers read everything again.
    pub(crate) fn replace(&self, mut model: ReadModel) {
        model.take_changes();
        self.state().model = model;
        self.set_ready(true);
        self.publish(Update {
            reload: true,
            ..Update::default()
        });
    }

    /// Applies changes, and publishes what differs.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut state = self.state();
        for change in changes {
            state.model.apply(change);
        }
        let update = state.update(self.updates.receiver_count() > 0);
        drop(state);
        if let Some(update) = update {
            self.publish(update);
        }
    }

    /// Returns a receiver of all updates from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Update>> {
        self.updates.subscribe()
    }

    fn publish(&self, update: Update) {
        // Fails only without subscribers.
        let _delivered = self.updates.send(Arc::new(update));
    }
}

impl State {
    /// Returns the update for all changes since the last call, if there is one and a subscriber.
    fn update(&mut self, has_subscribers: bool) -> Option<Update> {
        let changes = self.model.take_changes();
        if !has_subscribers {
            self.changed_racks.clear();
            return None;
        }
        let devices = self.device_rows(&changes);
        let racks = self.rack_rows();
        let is_empty = racks.is_none() && devices.is_empty() && changes.is_empty();
        (!is_empty).then(|| Update {
            racks,
            devices,
            incidents: self.incident_records(&changes),
            silences: changes.silences,
            reload: changes.reload,
            stale: false,
        })
    }

    /// Serialises the changed devices by rack, and notes their racks as changed.
    fn device_rows(&mut self, changes: &ChangeSet) -> BTreeMap<String, String> {
        let mut devices: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for id in &changes.devices {
            let Some(now) = self.model.now(id) else {
                continue;
            };
            let rack = self.model.rack_of(id).to_owned();
            if !rack.is_empty() {
                self.changed_racks.insert(rack.clone());
            }
            let row = json!([id, now.value, now.fault, now.at, now.severity]);
            devices.entry(rack).or_default().push(row);
        }
        let serialised = devices.into_iter();
        serialised
            .map(|(rack, rows)| (rack, Value::Array(rows).to_string()))
            .collect()
    }

    /// Serialises the changed racks, unless some were sent a moment ago.
    fn rack_rows(&mut self) -> Option<String> {
        if self.changed_racks.is_empty() || self.racks_sent.elapsed() < RACKS_EVERY {
            return None;
        }
        let changed = std::mem::take(&mut self.changed_racks);
        self.racks_sent = Instant::now();
        serde_json::to_string(&self.model.some_racks(&changed)).ok()
    }

    /// Serialises the newest record of each changed incident.
    fn incident_records(&self, changes: &ChangeSet) -> Option<String> {
        if changes.incidents.is_empty() {
            return None;
        }
        let changed = changes.incidents.iter();
        let records: Vec<IncidentRecord> = changed
            .filter_map(|id| self.model.timeline(id.as_str()).pop())
            .collect();
        serde_json::to_string(&records).ok()
    }
}

#[cfg(test)]
mod tests {
    use rackwatch_core::device::DeviceId;
    use rackwatch_core::reading::Reading;
    use rackwatch_core::rules::Profile;
    use rackwatch_core::time::Timestamp;
    use rackwatch_core::units::Celsius;

    use super::*;

    fn model() -> SharedReadModel {
        let rules = RuleSet::with_defaults(&[]).unwrap();
        SharedReadModel::new(Arc::new(rules), Profile::default().envelope())
    }

    fn reading(second: u64, degrees: f64) -> Change {
        Change::Reading {
            reading: Reading {
                device: DeviceId::new("inlet-B07-1").unwrap(),
                at: Timestamp::from_millis(1_795_000_000_000 + second * 1000).unwrap(),
                value: Ok(Celsius::new(degrees).unwrap()),
            },
            by_agent: false,
        }
    }

    #[test]
    fn subscribers_receive_changes() {
        let model = model();
        model.apply([reading(0, 20.0)]);
        let mut updates = model.subscribe();
        model.apply([reading(1, 21.5)]);
        let update = updates.try_recv().unwrap();
        let devices = &update.devices["B07"];
        assert_eq!(
            devices.as_str(),
            r#"[["inlet-B07-1",21.5,null,1795000001000,null]]"#
        );
        model.apply([reading(1, 21.5)]);
        assert!(updates.try_recv().is_err(), "nothing new");
    }

    #[test]
    fn a_slow_subscriber_holds_up_nobody() {
        let model = model();
        let mut updates = model.subscribe();
        for second in 0..10 * BUFFERED_UPDATES as u64 {
            model.apply([reading(second, 20.0)]);
        }
        let missed = updates.try_recv().unwrap_err();
        assert!(
            matches!(missed, broadcast::error::TryRecvError::Lagged(_)),
            "{missed}"
        );
    }

    #[test]
    fn subscribers_learn_once_that_data_is_stale() {
        let model = model();
        model.set_ready(true);
        let mut updates = model.subscribe();
        model.set_ready(false);
        assert!(updates.try_recv().unwrap().stale);
        model.set_ready(false);
        assert!(updates.try_recv().is_err(), "once");
    }

    #[tokio::test]
    async fn following_waits_for_a_viewer() {
        let model = model();
        assert!(!model.has_viewers());
        model.note_viewer();
        assert!(model.has_viewers());
        assert!(model.wait_for_viewer(&CancellationToken::new()).await);
    }
}
