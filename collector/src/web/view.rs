//! The view: what this collector shows people of the whole site, whoever owns which partition.
//!
//! In: changes, from Redis ([`watch`]) or from the demo's own stages. Out: the [`picture`] for whoever asks, and news of it
//! for whoever listens. Promise: who listens slowly, or not at all, holds up nobody: news are written once, kept for
//! a moment, and who has missed some is told so. Nothing is followed while nobody looks.

pub mod picture;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::indices::Envelope;
use rackwatch_core::rules::RuleSet;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, watch as channel};
use tokio_util::sync::CancellationToken;

use self::picture::{Change, Picture};

/// So many updates wait for one that reads slowly; then it is told that it has missed some.
const WAITING: usize = 256;
/// Racks are summed up, and told, no more often.
const RACKS_EVERY: Duration = Duration::from_millis(500);
/// Whoever asked so recently is still looking.
const LINGER: Duration = Duration::from_mins(2);
/// Who asks first waits so long for the picture.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is new, as text to be sent; written once for all who listen.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Racks, as a JSON array of rows.
    pub racks: Option<String>,
    /// Devices by their racks, each as a JSON array of `[id, value, fault, at, severity]`.
    pub devices: BTreeMap<String, String>,
    /// Incidents, as a JSON array of records; those that are over among them.
    pub incidents: Option<String>,
    /// Silences are others.
    pub silences: bool,
    /// All is to be read again.
    pub layout: bool,
    /// What is shown is old: Redis does not answer.
    pub away: bool,
}

/// Nobody knows yet what there is to see.
#[derive(Debug, thiserror::Error)]
#[error("what there is to see is not read yet: Redis does not answer, or has much to tell")]
pub struct NotReady;

/// What is shown. Shared by all who ask, and by who fills it.
#[derive(Debug)]
pub struct View {
    kept: Mutex<Kept>,
    updates: broadcast::Sender<Arc<Update>>,
    ready: channel::Sender<bool>,
    /// When somebody asked last, in milliseconds since `born`.
    asked: AtomicU64,
    wanted: Notify,
    born: Instant,
}

#[derive(Debug)]
struct Kept {
    picture: Picture,
    /// Racks that are to be told of, and when some were told last.
    racks: BTreeSet<String>,
    told: Instant,
}

impl View {
    /// Of a site of which nothing is known yet.
    pub fn new(rules: Arc<RuleSet>, envelope: Envelope) -> Self {
        let now = Instant::now();
        Self {
            kept: Mutex::new(Kept {
                picture: Picture::new(rules, envelope),
                racks: BTreeSet::new(),
                told: now,
            }),
            updates: broadcast::Sender::new(WAITING),
            ready: channel::Sender::new(false),
            asked: AtomicU64::new(0),
            wanted: Notify::new(),
            born: now,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks something of the picture as it is.
    pub fn see<T>(&self, ask: impl FnOnce(&Picture) -> T) -> T {
        ask(&self.kept().picture)
    }

    /// Somebody looks: the picture is kept up for a while.
    pub fn look(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked.store(now.max(1), Ordering::Relaxed);
        self.wanted.notify_one();
    }

    /// The same, and waits until there is something to see.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub async fn looked(&self) -> Result<(), NotReady> {
        self.look();
        let mut ready = self.ready.subscribe();
        match tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotReady),
        }
    }

    /// Somebody has looked of late.
    pub fn is_wanted(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        asked > 0 && Duration::from_millis(now.saturating_sub(asked)) < LINGER
    }

    /// Waits until somebody looks; false when told to stop.
    pub async fn until_wanted(&self, stop: &CancellationToken) -> bool {
        while !self.is_wanted() {
            if stop
                .run_until_cancelled(self.wanted.notified())
                .await
                .is_none()
            {
                return false;
            }
        }
        !stop.is_cancelled()
    }

    /// Whether the picture is one of now. Who listens is told when it is not any more.
    pub fn set_ready(&self, ready: bool) {
        let was = self.ready.send_replace(ready);
        if was && !ready {
            let away = Update {
                away: true,
                ..Update::default()
            };
            // Nobody may be listening.
            let _heard = self.updates.send(Arc::new(away));
        }
    }

    /// Another picture, made from the beginning.
    pub fn replace(&self, picture: Picture) {
        let mut kept = self.kept();
        kept.picture = picture;
        kept.picture.news();
        drop(kept);
        self.set_ready(true);
        let anew = Update {
            layout: true,
            ..Update::default()
        };
        // Nobody may be listening.
        let _heard = self.updates.send(Arc::new(anew));
    }

    /// Takes changes in, and tells what is new.
    pub fn take(&self, changes: impl IntoIterator<Item = Change>) {
        let mut kept = self.kept();
        for change in changes {
            kept.picture.take(change);
        }
        let update = kept.update(self.updates.receiver_count() > 0);
        drop(kept);
        if let Some(update) = update {
            let _heard = self.updates.send(Arc::new(update));
        }
    }

    /// What is new from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Update>> {
        self.updates.subscribe()
    }
}

impl Kept {
    fn update(&mut self, is_heard: bool) -> Option<Update> {
        let news = self.picture.news();
        if !is_heard {
            self.racks.clear();
            return None;
        }
        let mut update = Update {
            silences: news.silences,
            layout: news.layout,
            ..Update::default()
        };
        let mut devices: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for id in &news.devices {
            let Some(now) = self.picture.now(id) else {
                continue;
            };
            let rack = self.picture.rack_of(id).to_owned();
            if !rack.is_empty() {
                self.racks.insert(rack.clone());
            }
            let row = json!([id, now.value, now.fault, now.at, now.severity]);
            devices.entry(rack).or_default().push(row);
        }
        let text = |rows: Vec<Value>| Value::Array(rows).to_string();
        update.devices = devices
            .into_iter()
            .map(|(rack, rows)| (rack, text(rows)))
            .collect();
        if !self.racks.is_empty() && self.told.elapsed() >= RACKS_EVERY {
            let racks = self.picture.some_racks(&std::mem::take(&mut self.racks));
            update.racks = serde_json::to_string(&racks).ok();
            self.told = Instant::now();
        }
        if !news.incidents.is_empty() {
            let records: Vec<IncidentRecord> = news
                .incidents
                .iter()
                .filter_map(|id| self.picture.story(id.as_str()).pop())
                .collect();
            update.incidents = serde_json::to_string(&records).ok();
        }
        let is_empty = update.racks.is_none() && update.devices.is_empty() && news.is_empty();
        (!is_empty).then_some(update)
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

    fn view() -> View {
        let rules = RuleSet::with_defaults(&[]).unwrap();
        View::new(Arc::new(rules), Profile::default().envelope())
    }

    fn reading(second: u64, degrees: f64) -> Change {
        Change::Reading(Reading {
            device: DeviceId::new("inlet-B07-1").unwrap(),
            at: Timestamp::from_millis(1_795_000_000_000 + second * 1000).unwrap(),
            value: Ok(Celsius::new(degrees).unwrap()),
        })
    }

    #[test]
    fn who_listens_hears_what_has_changed() {
        let view = view();
        view.take([reading(0, 20.0)]);
        let mut news = view.listen();
        view.take([reading(1, 21.5)]);
        let heard = news.try_recv().unwrap();
        let devices = &heard.devices["B07"];
        assert_eq!(
            devices.as_str(),
            r#"[["inlet-B07-1",21.5,null,1795000001000,null]]"#
        );
        view.take([reading(1, 21.5)]);
        assert!(news.try_recv().is_err(), "nothing new");
    }

    #[test]
    fn who_does_not_listen_holds_up_nobody() {
        let view = view();
        let mut news = view.listen();
        for second in 0..10 * WAITING as u64 {
            view.take([reading(second, 20.0)]);
        }
        let missed = news.try_recv().unwrap_err();
        assert!(
            matches!(missed, broadcast::error::TryRecvError::Lagged(_)),
            "{missed}"
        );
    }

    #[test]
    fn who_listens_is_told_that_what_is_shown_is_old() {
        let view = view();
        view.set_ready(true);
        let mut news = view.listen();
        view.set_ready(false);
        assert!(news.try_recv().unwrap().away);
        view.set_ready(false);
        assert!(news.try_recv().is_err(), "once");
    }

    #[tokio::test]
    async fn nothing_is_followed_while_nobody_looks() {
        let view = view();
        assert!(!view.is_wanted());
        view.look();
        assert!(view.is_wanted());
        assert!(view.until_wanted(&CancellationToken::new()).await);
    }
}
