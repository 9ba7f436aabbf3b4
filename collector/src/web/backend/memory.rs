//! The backend of the demo. Operator actions go to its correlator and its partition, and are lost when it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rackwatch_core::alert::{AlertRecord, AlertState};
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, IncidentId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{BackendError, WebBackend};
use crate::incidents::correlate::memory::OperatorAction;
use crate::incidents::operator_actions::{self, ActionError};
use crate::incidents::resolve::{Requested, Resolver};
use crate::incidents::windows::Window;
use crate::indices::past::{Points, SeriesRange};
use crate::ingest::raw_stream::ResolvedByHand;
use crate::notify::delivery_log::Delivery;
use crate::series::InMemory;
use crate::series::history::{self, History, Span};
use crate::stats::Stats;
use crate::web::read_model::SharedReadModel;
use crate::web::read_model::{Change, ReadModel};

/// The data of the demo beyond its read model.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    series: InMemory,
    model: Arc<SharedReadModel>,
    stats: Arc<Stats>,
    actions: mpsc::UnboundedSender<OperatorAction>,
    resolutions: mpsc::UnboundedSender<Vec<ResolvedByHand>>,
    operator_state: Mutex<OperatorState>,
}

#[derive(Debug, Default)]
struct OperatorState {
    silences: Vec<Silence>,
    windows: Vec<Window>,
}

impl MemoryBackend {
    /// Returns a backend over these stages of the demo.
    pub(crate) fn new(
        series: InMemory,
        model: Arc<SharedReadModel>,
        stats: Arc<Stats>,
        actions: mpsc::UnboundedSender<OperatorAction>,
        resolutions: mpsc::UnboundedSender<Vec<ResolvedByHand>>,
    ) -> Self {
        Self {
            series,
            model,
            stats,
            actions,
            resolutions,
            operator_state: Mutex::default(),
        }
    }

    fn operator_state(&self) -> MutexGuard<'_, OperatorState> {
        self.operator_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the only open incident whose id begins with `prefix`.
    fn only_open(&self, prefix: &str) -> Result<String, ActionError> {
        let prefix = operator_actions::checked_prefix(prefix)?;
        let open = self.model.query(ReadModel::incidents).into_iter();
        let open = open.map(|one| one.record.id.as_str().to_owned());
        let matching = open.filter(|known| known.starts_with(&prefix));
        operator_actions::only_match(&prefix, matching.collect())
    }

    /// Sends silences and windows to the correlator, and silences to the read model.
    fn publish(&self) {
        let state = self.operator_state();
        let (silences, windows) = (state.silences.clone(), state.windows.clone());
        drop(state);
        self.model.apply([Change::Silences(silences.clone())]);
        // Fails only once the demo ends.
        let _sent = self
            .actions
            .send(OperatorAction::SetSilences { silences, windows });
    }
}

#[async_trait]
impl WebBackend for MemoryBackend {
    async fn now(&self) -> Timestamp {
        clock::now()
    }

    async fn history(&self, device: &DeviceId, span: Span) -> Result<History, BackendError> {
        let mut series = self.series.open();
        let read = history::fetch(&mut series, device, span, clock::now()).await;
        read.map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    async fn indices(
        &self,
        _range: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError> {
        // Indices are computed once a minute. A demo is too short for a chart of them.
        Ok(Vec::new())
    }

    async fn alerts(
        &self,
        _device: &DeviceId,
        _zone: &str,
        _from: Timestamp,
    ) -> Result<Option<Vec<AlertRecord>>, BackendError> {
        Ok(None)
    }

    async fn ack(&self, id: &str, ack: Ack) -> Result<String, BackendError> {
        let id = self.only_open(id)?;
        let _sent = self
            .actions
            .send(OperatorAction::Ack(IncidentId::from_wire(&id), ack));
        Ok(id)
    }

    async fn resolve(&self, id: &str, resolver: Resolver) -> Result<Requested, BackendError> {
        let incident = self.only_open(id)?;
        let alerts = self.model.query(|model| {
            let newest = model.timeline(&incident).pop();
            newest.map_or_else(Vec::new, |newest| {
                let ids = newest.devices.iter().map(|subject| subject.as_id().clone());
                model.alerts(&ids.collect::<Vec<_>>(), newest.since)
            })
        });
        // The newest record of each alert says whether it is open.
        let newest: BTreeMap<_, _> = alerts.iter().map(|record| (&record.id, record)).collect();
        let open = newest
            .values()
            .filter(|record| record.state() == AlertState::Firing);
        let requests =
            open.map(|record| (record.id.clone(), resolver.request(record.subject.clone())));
        let requests: Vec<_> = requests.collect();
        if requests.is_empty() {
            return Err(ActionError::NothingOpen(incident).into());
        }
        let ids = requests.iter().map(|(id, _)| id.to_string());
        let requested = Requested::of_incident(incident, ids.collect());
        let _sent = self.resolutions.send(requests);
        Ok(requested)
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), BackendError> {
        silence.matcher.compile().map_err(ActionError::Invalid)?;
        let now = clock::now();
        let mut state = self.operator_state();
        state.silences.retain(|silence| silence.until > now);
        state.silences.push(silence);
        drop(state);
        self.publish();
        Ok(())
    }

    async fn expire_silence(&self, id: &str) -> Result<bool, BackendError> {
        let mut state = self.operator_state();
        let before = state.silences.len();
        state.silences.retain(|silence| silence.id != id);
        let removed = state.silences.len() < before;
        drop(state);
        self.publish();
        Ok(removed)
    }

    async fn windows(&self) -> Result<Vec<Window>, BackendError> {
        Ok(self.operator_state().windows.clone())
    }

    async fn add_window(&self, window: Window) -> Result<(), BackendError> {
        window
            .check(self.now().await)
            .map_err(|error| ActionError::Invalid(error.to_string()))?;
        self.operator_state().windows.push(window);
        self.publish();
        Ok(())
    }

    async fn delete_window(&self, id: &str) -> Result<bool, BackendError> {
        let mut state = self.operator_state();
        let before = state.windows.len();
        state.windows.retain(|window| window.id != id);
        let removed = state.windows.len() < before;
        drop(state);
        self.publish();
        Ok(removed)
    }

    async fn status(&self) -> Result<Value, BackendError> {
        let counts = self.stats.counts();
        Ok(json!({
            "demo": true,
            "facts": {
                "endpoint": "memory of this process",
                "devices": { "described": counts.devices },
                "readings": counts.readings,
                "faults": counts.faults,
                "dead": { "kept": counts.dead },
            },
            "verdict": { "problems": [], "warnings": [] },
        }))
    }

    async fn deliveries(&self, _incident: Option<&str>) -> Result<Vec<Delivery>, BackendError> {
        Ok(Vec::new())
    }
}
