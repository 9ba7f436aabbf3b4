//! The stages of one owned partition: raw stream ─▶ series, engine ─▶ alerts ─▶ alert sinks.

use std::sync::Arc;

use rackwatch_core::keys;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::Connector;
use tokio::task::JoinSet;

use super::error::RunError;
use super::finish::finish;
use super::sinks::SinkOfGroup;
use crate::config::CollectorConfig;
use crate::feed::redis::RedisFeed;
use crate::ingest::forward;
use crate::ingest::partition::{Partition, Parts};
use crate::ingest::raw_stream::redis::{OwnedPartition, RedisRawStream};
use crate::ingest::recorder::Recorder;
use crate::ingest::relief::Relief;
use crate::notify::alert_sink;
use crate::ownership::owner::OwnershipTerm;
use crate::progress::Stage;
use crate::stage::StageError;
use crate::stats::Stats;

/// The parts that the stages of all partitions share.
pub(super) struct PartitionStages {
    pub(super) connector: Connector,
    pub(super) config: Arc<CollectorConfig>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) sinks: Vec<SinkOfGroup>,
    pub(super) stats: Arc<Stats>,
}

impl PartitionStages {
    /// Runs the stages of one partition until its ownership ends.
    pub(super) fn run(
        &self,
        term: OwnershipTerm,
    ) -> impl Future<Output = Result<(), RunError>> + Send + use<> {
        let (id, stop) = (term.partition, term.stop.clone());
        let plain = self.connector.at(keys::RAW);
        let (raw, alerts) = (term.keys.raw.clone(), term.keys.alerts.clone());
        let feed = {
            let (connector, stop) = (self.connector.at(&raw), stop.clone());
            move |group: &'static str| {
                RedisFeed::new(
                    connector.clone(),
                    (alerts.clone(), alert::decode),
                    group.to_owned(),
                    keys::consumer_of(group),
                    stop.clone(),
                )
            }
        };
        let partition = self.partition(term);
        let sinks = self.sinks.clone();
        let forwarder = self.stats.progress().begin(Stage::Forwarder(id));
        async move {
            // Before the first alert is written: a group that is created later would miss it.
            let mut feeds = Vec::new();
            for (group, sink) in sinks {
                let mut feed = feed(group);
                // The console's group exists in any case: programs look at it to see how far alerts are shown.
                let begun = if sink.is_some() || group == keys::LOGGER_GROUP {
                    let begun = feed.begin().await;
                    feeds.push((feed, sink));
                    begun
                } else {
                    feed.remove().await
                };
                match begun {
                    Err(StageError::Stopped) => return Ok(()),
                    begun => begun.map_err(RunError::Alerts)?,
                }
            }
            let mut stages: JoinSet<Result<(), RunError>> = JoinSet::new();
            stages.spawn(async move { Ok(partition.run().await?) });
            let forward = forward::run(plain, id, forwarder, stop.clone());
            stages.spawn(async move { forward.await.map_err(RunError::Forwarding) });
            for (feed, sink) in feeds {
                let delivery = alert_sink::run(feed, sink.into_iter().collect(), stop.clone());
                stages.spawn(async move { delivery.await.map_err(RunError::Alerts) });
            }
            finish(stages, &stop).await
        }
    }

    /// Builds the loop that reads, stores, evaluates and commits.
    fn partition(&self, term: OwnershipTerm) -> Partition<RedisRawStream> {
        let connector = self.connector.at(&term.keys.raw);
        let stop = term.stop.clone();
        let (config, lease) = (&self.config, self.config.partition.lease);
        let relief = Arc::new(Relief::new(term.keys.raw.clone()));
        Partition::new(Parts {
            id: term.partition,
            recorder: Recorder::redis(
                connector.clone(),
                config.series.clone(),
                Arc::clone(&relief),
                stop.clone(),
            ),
            stream: RedisRawStream::new(
                connector,
                OwnedPartition {
                    keys: term.keys,
                    epoch: term.epoch,
                    stop: term.stop,
                },
                &config.stream,
                lease,
                relief,
            ),
            rules: Arc::clone(&self.rules),
            envelope: config.alerts.profile.envelope(),
            stats: Arc::clone(&self.stats),
            save_every: config.partition.save_every,
            max_devices: config.partition.max_devices,
            stop,
        })
    }
}
