//! The stages of the leader, which run on one collector at a time: alerts of all partitions ─▶ incidents ─▶ notifiers,
//! the indices of racks, and the heartbeat.

use std::sync::Arc;

use rackwatch_core::incident::IncidentRecord;
use rackwatch_runtime::redis::Connector;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::RunError;
use super::finish::finish;
use super::outboxes::Outboxes;
use crate::config::CollectorConfig;
use crate::incidents::correlate::Correlator;
use crate::indices;
use crate::muting::Muting;
use crate::notify::Heartbeat;
use crate::notify::console::Console;
use crate::progress::{Progress, Stage};
use crate::stage::StageError;

/// The parts from which the leader's stages are built. Clones are cheap.
#[derive(Clone)]
pub(super) struct LeaderStages {
    pub(super) connector: Connector,
    pub(super) config: Arc<CollectorConfig>,
    pub(super) console: Option<Console>,
    pub(super) progress: Arc<Progress>,
}

impl LeaderStages {
    /// Runs the stages until the leadership with this `epoch` ends.
    pub(super) async fn run(self, epoch: u64, stop: CancellationToken) -> Result<(), RunError> {
        let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
        // From here on, and not only once the outboxes have begun, alerts wait for this collector.
        let muting = Muting::default();
        let correlator = self.correlator(epoch, &stop).answering(muting.clone());
        match self.spawn_outboxes(&mut stages, muting, &stop).await {
            Ok(()) => {}
            Err(RunError::Incidents(StageError::Stopped)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let (connector, progress) = (self.connector.clone(), Arc::clone(&self.progress));
        let heartbeat = self.config.heartbeat.clone();
        if heartbeat.is_configured() {
            let stop = stop.clone();
            stages.spawn(async move {
                if let Some(heartbeat) = Heartbeat::wait(&heartbeat, &stop).await {
                    heartbeat.run(connector, progress, stop).await;
                }
                Ok(())
            });
        }
        stages.spawn(async move { correlator.run().await.map_err(RunError::Incidents) });
        let indices = indices::run(
            self.connector.clone(),
            self.config.series.clone(),
            self.config.alerts.profile.envelope(),
            indices::INTERVAL,
            stop.clone(),
        );
        stages.spawn(async move { indices.await.map_err(RunError::Incidents) });
        finish(stages, &stop).await
    }

    fn correlator(
        &self,
        epoch: u64,
        stop: &CancellationToken,
    ) -> Correlator<impl Fn(&IncidentRecord) + Send + use<>> {
        let console = self.console.clone();
        let print = move |record: &IncidentRecord| {
            if let Some(console) = &console {
                console.print_incident(record);
            }
        };
        let timing = self.config.incidents.timing();
        let pulse = self.progress.begin(Stage::Correlator);
        Correlator::new(&self.connector, (epoch, pulse), timing, stop.clone(), print)
    }

    /// Starts the outbox of every recipient, after all of their positions exist.
    ///
    /// The correlator starts later, because a new recipient does not see incidents that are older than its position.
    async fn spawn_outboxes(
        &self,
        stages: &mut JoinSet<Result<(), RunError>>,
        muting: Muting,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let outboxes = Outboxes {
            connector: self.connector.clone(),
            config: Arc::clone(&self.config),
            muting,
            stop: stop.clone(),
        };
        outboxes.spawn(stages).await
    }
}
