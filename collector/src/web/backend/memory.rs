//! The demo's own memory: what people do goes to its correlator, and ends with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, IncidentId};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Backend, BackendError};
use crate::incidents::correlate::memory::OperatorAction;
use crate::incidents::operator_actions::{self, ActionError};
use crate::incidents::windows::Window;
use crate::indices::past::{Points, SeriesRange};
use crate::notify::delivery_log::Delivery;
use crate::series::InMemory;
use crate::series::history::{self, History, Span};
use crate::stats::Stats;
use crate::web::view::View;
use crate::web::view::picture::{Change, Picture};

/// What the demo knows besides its view.
#[derive(Debug)]
pub(crate) struct MemoryBackend {
    series: InMemory,
    view: Arc<View>,
    stats: Arc<Stats>,
    acts: mpsc::UnboundedSender<OperatorAction>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    silences: Vec<Silence>,
    windows: Vec<Window>,
}

impl MemoryBackend {
    /// Of these stages of the demo.
    pub(crate) fn new(
        series: InMemory,
        view: Arc<View>,
        stats: Arc<Stats>,
        acts: mpsc::UnboundedSender<OperatorAction>,
    ) -> Self {
        Self {
            series,
            view,
            stats,
            acts,
            said: Mutex::default(),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the correlator and the view what is silent, and what is planned.
    fn tell(&self) {
        let said = self.said();
        let (silences, windows) = (said.silences.clone(), said.windows.clone());
        drop(said);
        self.view.take([Change::Silences(silences.clone())]);
        // The correlator is gone when the demo ends.
        let _told = self
            .acts
            .send(OperatorAction::SetSilences { silences, windows });
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn now(&self) -> Timestamp {
        clock::now()
    }

    async fn history(&self, device: &DeviceId, span: Span) -> Result<History, BackendError> {
        let mut series = self.series.open();
        let read = history::fetch(&mut series, device, span, clock::now()).await;
        read.map_err(|error| BackendError::Away(error.to_string()))
    }

    async fn indices(
        &self,
        _stretch: SeriesRange<'_>,
    ) -> Result<Vec<(&'static str, Points)>, BackendError> {
        // They are made once a minute, by the correlator of a collector: a demo is over before there is much to see.
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
        let id = operator_actions::checked_prefix(id)?;
        let open = self.view.see(Picture::incidents).into_iter();
        let open = open.map(|one| one.record.id.as_str().to_owned());
        let id = operator_actions::only_match(
            &id,
            open.filter(|known| known.starts_with(&id)).collect(),
        )?;
        let _told = self
            .acts
            .send(OperatorAction::Ack(IncidentId::from_wire(&id), ack));
        Ok(id)
    }

    async fn silence(&self, silence: Silence) -> Result<(), BackendError> {
        silence.matcher.compile().map_err(ActionError::Invalid)?;
        let now = clock::now();
        let mut said = self.said();
        said.silences.retain(|silence| silence.until > now);
        said.silences.push(silence);
        drop(said);
        self.tell();
        Ok(())
    }

    async fn unsilence(&self, id: &str) -> Result<bool, BackendError> {
        let mut said = self.said();
        let before = said.silences.len();
        said.silences.retain(|silence| silence.id != id);
        let removed = said.silences.len() < before;
        drop(said);
        self.tell();
        Ok(removed)
    }

    async fn windows(&self) -> Result<Vec<Window>, BackendError> {
        Ok(self.said().windows.clone())
    }

    async fn plan(&self, window: Window) -> Result<(), BackendError> {
        window
            .check()
            .map_err(|why| ActionError::Invalid(why.to_string()))?;
        self.said().windows.push(window);
        self.tell();
        Ok(())
    }

    async fn unplan(&self, id: &str) -> Result<bool, BackendError> {
        let mut said = self.said();
        let before = said.windows.len();
        said.windows.retain(|window| window.id != id);
        let removed = said.windows.len() < before;
        drop(said);
        self.tell();
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
            "verdict": { "wrong": [], "warnings": [] },
        }))
    }

    async fn deliveries(&self, _incident: Option<&str>) -> Result<Vec<Delivery>, BackendError> {
        Ok(Vec::new())
    }
}
