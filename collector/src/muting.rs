//! Questions of outboxes to the correlator of the same leader: is an incident muted now, that is, are all of its alerts
//! covered by silences? The correlator alone knows the alerts, and reads the silences before each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rackwatch_core::incident::IncidentId;
use tokio::time::Instant;

/// Age up to which an answer holds: an outbox asks every second, the correlator answers four times a second.
const FRESH: Duration = Duration::from_secs(3);

/// The questions and answers. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Muting(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    asked: BTreeSet<IncidentId>,
    answers: BTreeMap<IncidentId, (bool, Instant)>,
}

impl Muting {
    /// Returns whether an incident is muted, and asks again. `None` until the correlator has answered.
    pub fn is_muted(&self, incident: &IncidentId) -> Option<bool> {
        let mut shared = self.lock();
        shared.asked.insert(incident.clone());
        let (is_muted, at) = shared.answers.get(incident)?;
        (at.elapsed() <= FRESH).then_some(*is_muted)
    }

    /// Answers all questions since the last call.
    pub fn answer(&self, is_muted: impl Fn(&IncidentId) -> bool) {
        let mut shared = self.lock();
        shared.answers.retain(|_, (_, at)| at.elapsed() <= FRESH);
        for incident in std::mem::take(&mut shared.asked) {
            let answer = (is_muted(&incident), Instant::now());
            shared.answers.insert(incident, answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
