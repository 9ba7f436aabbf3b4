//! The stages of one owned partition: raw stream ─▶ series, engine ─▶ alerts ─▶ alert sinks.

use std::sync::Arc;

use rackwatch_core::keys;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::Connector;
use tokio::task::JoinSet;

use super::error::RunError;
use super::finish::finish;
use crate::config::CollectorConfig;
use crate::feed::redis::RedisFeed;
use crate::ingest::partition::Partition;
use crate::ingest::raw_stream::redis::RedisLog;
use crate::ingest::recorder::Recorder;
use crate::notify::{AlertSinks, alert_sink};
use crate::ownership::owner::Tenure;
use crate::stats::Stats;

/// The parts that the stages of all partitions share.
pub(super) struct PartitionStages {
    pub(super) connector: Connector,
    pub(super) config: Arc<CollectorConfig>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) sinks: AlertSinks,
    pub(super) stats: Arc<Stats>,
}

impl PartitionStages {
    /// Runs the stages of one partition until its ownership ends.
    pub(super) fn run(
        &self,
        tenure: Tenure,
    ) -> impl Future<Output = Result<(), RunError>> + Send + use<> {
        let partition = self.partition(&tenure);
        let stop = tenure.stop;
        let feed = RedisFeed::new(
            self.connector.at(&tenure.keys.raw),
            (tenure.keys.alerts, alert::decode),
            keys::LOGGER_GROUP.to_owned(),
            keys::LOGGER_CONSUMER,
            stop.clone(),
        );
        let sinks = self.sinks.clone();
        async move {
            let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
            stages.spawn(async move { Ok(partition.run().await?) });
            stages.spawn(async move {
                let delivery = alert_sink::run(feed, sinks);
                delivery.await.map_err(RunError::Alerts)
            });
            finish(stages, &stop).await
        }
    }

    /// Builds the loop that reads, stores, evaluates and commits.
    fn partition(&self, tenure: &Tenure) -> Partition<RedisLog> {
        let connector = self.connector.at(&tenure.keys.raw);
        let stop = &tenure.stop;
        let (lease, save_every) = (
            self.config.partition.lease,
            self.config.partition.save_every,
        );
        Partition::new(
            tenure.partition,
            RedisLog::new(connector.clone(), tenure, &self.config.stream, lease),
            Recorder::redis(connector, self.config.series.clone(), stop.clone()),
            Arc::clone(&self.rules),
            Arc::clone(&self.stats),
            save_every,
            stop.clone(),
        )
        .within(self.config.alerts.profile.envelope())
    }
}
