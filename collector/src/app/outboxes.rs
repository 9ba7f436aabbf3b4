//! The outboxes of the leader: one for each recipient of each notifier, and what is published about them.
//!
//! A recipient whose progress is damaged is opened once its key is mended, and one whose notifier cannot be set up once it can
//! ([`super::setup`]). Nothing else waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::keys;
use rackwatch_core::wire::incident;
use rackwatch_runtime::clock;
use rackwatch_runtime::redis::{Connector, Purpose, Session};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::RunError;
use super::setup::{Ready, Setup};
use crate::config::CollectorConfig;
use crate::feed::position::{PositionFeed, ReaderKeys, ensure_group, group_position};
use crate::incidents::correlate::open;
use crate::muting::Muting;
use crate::notify::delivery_log::DeliveryLog;
use crate::notify::failures::RecipientKey;
use crate::notify::outbox::mending::Mending;
use crate::notify::outbox::{DeliveryProgress, OpenIncident, Outbox};
use crate::notify::{CommonConfig, Failures, NotifierConfig, published};
use crate::stage::StageError;

/// The parts from which the outboxes are built.
pub(super) struct Outboxes {
    pub(super) connector: Connector,
    pub(super) config: Arc<CollectorConfig>,
    pub(super) muting: Muting,
    pub(super) stop: CancellationToken,
}

/// The parts from which the outbox of one recipient is built.
struct Opening {
    connector: Connector,
    common: CommonConfig,
    /// The number of the recipient in its notifier, and its address where the notifier has several.
    number: usize,
    address: Option<String>,
    setup: Setup,
    /// `None` while the notifier cannot be set up.
    ready: Option<Ready>,
    names: ReaderKeys,
    failures: Failures,
    muting: Muting,
    stop: CancellationToken,
}

/// The feed and the progress of a recipient.
type Opened = (PositionFeed<IncidentRecord>, DeliveryProgress);

impl Outboxes {
    /// Starts the outbox of every recipient, after all of their positions exist.
    pub(super) async fn spawn(
        &self,
        stages: &mut JoinSet<Result<(), RunError>>,
    ) -> Result<(), RunError> {
        let Some(failures) = self.failures().await else {
            return Err(RunError::Incidents(StageError::Stopped));
        };
        let mut outboxes = Vec::new();
        for notifier in &self.config.notify {
            let openings = self.openings(notifier, &failures).await?;
            for mut opening in openings {
                let opened = opening
                    .open_or_damaged()
                    .await
                    .map_err(RunError::Incidents)?;
                outboxes.push((opening, opened));
            }
        }
        let (connector, stop) = (self.connector.at(keys::INCIDENTS), self.stop.clone());
        stages.spawn(async move {
            published::run(connector, failures, stop).await;
            Ok(())
        });
        if outboxes.is_empty() {
            return Ok(());
        }
        let open: Arc<[OpenIncident]> = open::newest_records(&self.connector, &self.stop)
            .await
            .into();
        for (opening, opened) in outboxes {
            let open = Arc::clone(&open);
            stages.spawn(async move {
                let ran = Box::pin(opening.run(opened, open)).await;
                ran.or_else(|error| match error {
                    StageError::Stopped => Ok(()),
                    error => Err(RunError::Incidents(error)),
                })
            });
        }
        Ok(())
    }

    /// Returns the failures of all recipients. `None` on a stop.
    async fn failures(&self) -> Option<Failures> {
        let recipients = self.config.notify.iter().flat_map(|notifier| {
            let keys = notifier.progress_keys().into_iter();
            keys.map(|(recipient, _)| (notifier.name().to_owned(), recipient))
        });
        let recipients: Vec<RecipientKey> = recipients.collect();
        let before = if recipients.is_empty() {
            BTreeMap::new()
        } else {
            let opened = self.connector.open_until(Purpose::Commands, &self.stop);
            published::failures_before(&mut opened.await?).await
        };
        Some(Failures::new(recipients, before))
    }

    /// Returns the parts for the outbox of each recipient of a notifier.
    async fn openings(
        &self,
        notifier: &NotifierConfig,
        failures: &Failures,
    ) -> Result<Vec<Opening>, RunError> {
        let dashboard = self.config.web.public_url.as_deref();
        let setup = Setup::new(notifier, dashboard, failures, &self.stop);
        let ready = setup.try_all().await;
        let recipients = notifier.progress_keys();
        let keys: Vec<String> = recipients.iter().map(|(_, key)| key.clone()).collect();
        let connector = self.connector.at(keys::INCIDENTS);
        let group = keys::notifier_group(notifier.name());
        // Before any recipient moves it.
        let mut session = Session::new(connector.clone(), Purpose::Commands, self.stop.clone());
        let group_position = group_position(&mut session, (keys::INCIDENTS, &group)).await;
        let group_position = group_position.map_err(RunError::Incidents)?;
        let opening = |(number, ((address, progress), ready))| Opening {
            connector: connector.clone(),
            common: notifier.common.clone(),
            number,
            address,
            setup: setup.clone(),
            ready,
            names: ReaderKeys {
                group: group.clone(),
                consumer: keys::CORRELATOR_CONSUMER,
                others: keys
                    .iter()
                    .filter(|key| **key != progress)
                    .cloned()
                    .collect(),
                progress,
                group_position,
            },
            failures: failures.clone(),
            muting: self.muting.clone(),
            stop: self.stop.clone(),
        };
        let all = recipients.into_iter().zip(ready).enumerate();
        Ok(all.map(opening).collect())
    }
}

impl Opening {
    /// Opens the feed and the progress.
    async fn open(&self) -> Result<Opened, StageError> {
        let stream = (keys::INCIDENTS.to_owned(), incident::decode as _);
        let (connector, stop) = (self.connector.clone(), self.stop.clone());
        let feed = PositionFeed::open(connector, stream, self.names.clone(), stop).await?;
        let progress = DeliveryProgress::load(
            self.connector.clone(),
            self.names.progress.clone(),
            (self.key(), self.failures.clone()),
            self.stop.clone(),
        );
        Ok((feed, progress.await?))
    }

    /// Opens the feed and the progress. `None` if the key of the progress is damaged: the group then keeps the position.
    async fn open_or_damaged(&mut self) -> Result<Option<Opened>, StageError> {
        match self.open().await {
            Err(StageError::Damaged { line }) => {
                self.failures.set_blocked(&self.key(), clock::now(), &line);
                let group = (keys::INCIDENTS, self.names.group.as_str());
                self.names.group_position = ensure_group(&mut self.session(), group).await?;
                Ok(None)
            }
            Ok(opened) => {
                // Before any other outbox reports who fails.
                self.failures.set(&self.key(), opened.1.failure());
                Ok(Some(opened))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the feed and the progress once the key is mended.
    async fn open_when_mended(&self) -> Result<Opened, StageError> {
        let of = (self.key(), self.failures.clone());
        let mending = Mending::new(of, self.names.progress.clone(), self.stop.clone());
        let mut session = self.session();
        loop {
            mending.wait(&mut session).await?;
            match self.open().await {
                Err(StageError::Damaged { .. }) => {}
                opened => return opened,
            }
        }
    }

    /// Runs the outbox, with the incidents that were open when its feed was opened.
    async fn run(
        mut self,
        opened: Option<Opened>,
        open: Arc<[OpenIncident]>,
    ) -> Result<(), StageError> {
        let (recipient, routes) = match self.ready.take() {
            Some(ready) => ready,
            None => self.setup.wait(self.number, &self.key()).await?,
        };
        let ((feed, progress), open) = if let Some(opened) = opened {
            self.failures.clear_blocked(&self.key());
            (opened, open)
        } else {
            let opened = self.open_when_mended().await?;
            let open = open::newest_records(&self.connector, &self.stop).await;
            (opened, open.into())
        };
        let log = DeliveryLog::new(self.connector.at(keys::DELIVERIES));
        let outbox = Outbox::new(
            &self.common,
            recipient,
            routes,
            progress,
            (log, self.failures),
            self.stop,
        );
        let outbox = outbox.heeding(self.muting);
        let outbox = outbox.resume(&open, feed.lost_progress_at()).await?;
        outbox.run(feed).await
    }

    fn key(&self) -> RecipientKey {
        (self.common.name.to_string(), self.address.clone())
    }

    fn session(&self) -> Session {
        Session::new(self.connector.clone(), Purpose::Commands, self.stop.clone())
    }
}
