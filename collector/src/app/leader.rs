//! The stages of the leader, which run on one collector at a time: alerts of all partitions ─▶ incidents ─▶ notifiers,
//! the indices of racks, and the heartbeat.

use std::sync::Arc;

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::keys;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::Connector;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::RunError;
use super::finish::finish;
use crate::config::CollectorConfig;
use crate::feed::redis::RedisFeed;
use crate::incidents::correlate::{Correlator, open};
use crate::indices;
use crate::notify::console::Console;
use crate::notify::delivery_log::DeliveryLog;
use crate::notify::outbox::Outbox;
use crate::notify::{Heartbeat, NotifierConfig};
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
        let correlator = self.correlator(epoch, &stop);
        match self.spawn_outboxes(&mut stages, &stop).await {
            Ok(()) => {}
            Err(RunError::Incidents(StageError::Stopped)) => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(heartbeat) = Heartbeat::new(&self.config.heartbeat)? {
            let (connector, stop) = (self.connector.clone(), stop.clone());
            let progress = Arc::clone(&self.progress);
            stages.spawn(async move {
                heartbeat.run(connector, progress, stop).await;
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

    /// Starts the outbox of every notifier, after all of their consumer groups exist.
    ///
    /// The correlator starts later, because a group does not see incidents that are older than itself.
    async fn spawn_outboxes(
        &self,
        stages: &mut JoinSet<Result<(), RunError>>,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let mut feeds = Vec::new();
        for notifier in &self.config.notify {
            let mut feed = RedisFeed::new(
                self.connector.at(keys::INCIDENTS),
                (keys::INCIDENTS.to_owned(), incident::decode),
                keys::notifier_group(notifier.name()),
                keys::CORRELATOR_CONSUMER,
                stop.clone(),
            );
            feed.begin().await.map_err(RunError::Incidents)?;
            feeds.push((notifier, feed));
        }
        if feeds.is_empty() {
            return Ok(());
        }
        let open = open::newest_notifications(&self.connector, stop).await;
        for (notifier, feed) in feeds {
            let outbox = self.outbox(notifier, stop)?.resume(&open);
            stages.spawn(async move { outbox.run(feed).await.map_err(RunError::Incidents) });
        }
        Ok(())
    }

    fn outbox(
        &self,
        notifier: &NotifierConfig,
        stop: &CancellationToken,
    ) -> Result<Outbox, RunError> {
        let (built, routes) = notifier.build(self.config.web.public_url.as_deref())?;
        let log = DeliveryLog::new(self.connector.at(keys::DELIVERIES));
        let common = &notifier.common;
        Ok(Outbox::new(common, built, routes, log, stop.clone()))
    }
}
