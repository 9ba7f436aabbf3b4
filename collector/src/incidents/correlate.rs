//! The correlator: groups the alerts of all partitions into incidents.
//!
//! In: the alert streams, device descriptions, the site, and what operators have written: silences, maintenance
//! windows and acknowledgements. Out: `rackwatch:incidents`, and the stored state of incidents that are not
//! resolved.
//!
//! Promise: one step, fenced by the leader's epoch, writes all changes that a batch of alerts causes. Only then
//! are the alerts acknowledged, and an alert that comes again changes nothing. After any error the correlator
//! loads its state again: Redis holds the truth.

mod absent;
mod alerts;
pub mod memory;
pub(crate) mod open;
mod operator_input;
mod places;
mod regroup;
mod step_error;
mod store;

use std::time::Duration;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::{AlertPlace, IncidentRecord, IncidentTiming, Incidents};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, RequestError, recover,
};
use redis::RedisResult;
use tokio_util::sync::CancellationToken;

use self::absent::Absent;
use self::alerts::{AlertBatch, AlertStreams};
use self::operator_input::{Hash, OperatorInput};
use self::places::Places;
use self::regroup::Ungrouped;
use self::step_error::StepError;
use self::store::{Loaded, Store};
use crate::failpoint;
use crate::incidents::episodes;
use crate::muting::Muting;
use crate::optional_key::{is_wrong_type, unless_wrong_type};
use crate::progress::Pulse;
use crate::stage::StageError;

/// Pause between two steps. A critical alert must cause a notification within two seconds.
const STEP_PAUSE: Duration = Duration::from_millis(250);
/// Interval at which an idle correlator writes its progress, so that a new consumer group starts near the end.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);
/// Margin for the clocks of several servers, when a consumer group is created anew.
const CLOCK_MARGIN: Duration = Duration::from_secs(5);

/// Makes incidents during one term of the leader.
pub struct Correlator<T> {
    connector: Connector,
    epoch: u64,
    pulse: Pulse,
    timing: IncidentTiming,
    muting: Muting,
    stop: CancellationToken,
    on_record: T,
}

impl<T> std::fmt::Debug for Correlator<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Correlator")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl<T: Fn(&IncidentRecord) + Send> Correlator<T> {
    /// Prepares a correlator for one epoch, with a pulse that beats per step. It calls `on_record` for every record that
    /// it has written.
    pub fn new(
        connector: &Connector,
        (epoch, pulse): (u64, Pulse),
        timing: IncidentTiming,
        stop: CancellationToken,
        on_record: T,
    ) -> Self {
        Self {
            connector: connector.at(keys::INCIDENTS),
            epoch,
            pulse,
            timing,
            muting: Muting::default(),
            stop,
            on_record,
        }
    }

    /// Makes the correlator answer the questions of `muting`.
    pub fn answering(mut self, muting: Muting) -> Self {
        self.muting = muting;
        self
    }

    /// Runs until `stop`, or until another collector is the leader.
    ///
    /// # Errors
    ///
    /// Fails if Redis refuses a command for a lasting reason.
    pub async fn run(self) -> Result<(), StageError> {
        tracing::info!(epoch = self.epoch, "correlator started");
        loop {
            let error = match self.work().await {
                Ok(()) | Err(StepError::TakenOver) => return Ok(()),
                Err(StepError::StateLost) => {
                    tracing::warn!("redis lost the state of incidents, loading it again");
                    continue;
                }
                Err(StepError::Reply(error)) => {
                    return Err(StageError::Refused {
                        what: "unexpected reply to the correlator".to_owned(),
                        source: Box::new(error),
                    });
                }
                Err(StepError::Redis(error)) => error,
            };
            self.connector.refused(&error);
            match recover(&error, &self.stop).await {
                // Loading everything again costs more than a step, so it must not happen more often.
                Ok(()) => {
                    let pause = tokio::time::sleep(STEP_PAUSE);
                    self.stop.run_until_cancelled(pause).await;
                }
                Err(RequestError::Stopped) => return Ok(()),
                Err(RequestError::Refused(_)) => {
                    return Err(StageError::Refused {
                        what: "Redis refused to store incidents".to_owned(),
                        source: Box::new(error),
                    });
                }
            }
        }
    }

    /// Loads the stored state and runs steps until `stop`.
    async fn work(&self) -> Result<(), StepError> {
        let opened = self.connector.open_until(Purpose::Commands, &self.stop);
        let Some(mut connection) = opened.await else {
            return Ok(());
        };
        let Loaded {
            store,
            incidents,
            lost,
        } = Store::load(&mut connection, self.epoch, self.timing).await?;
        let ungrouped = Ungrouped::read(&mut connection, &incidents, lost).await?;
        let absent = Absent::of(&episodes::all(&mut connection).await?);
        let partitioning = Partitioning::read(&mut connection).await?;
        let mut session = Session {
            absent,
            store,
            incidents,
            ungrouped,
            streams: AlertStreams::new(partitioning.partitions()),
            places: Places::default(),
            operator_input: OperatorInput::new(),
        };
        tracing::debug!(open = session.incidents.len(), "incidents loaded");
        while !self.stop.is_cancelled() {
            let (records, more) = session.step(&mut connection, &self.muting).await?;
            self.connector.accepted();
            self.pulse.beat();
            records.iter().for_each(&self.on_record);
            if !more {
                self.stop
                    .run_until_cancelled(tokio::time::sleep(STEP_PAUSE))
                    .await;
            }
        }
        Ok(())
    }
}

/// The state of the correlator while one connection lasts.
struct Session {
    absent: Absent,
    store: Store,
    incidents: Incidents,
    ungrouped: Ungrouped,
    streams: AlertStreams,
    places: Places,
    operator_input: OperatorInput,
}

impl Session {
    /// Processes one batch of alerts. Returns the records written, and whether more alerts wait.
    async fn step(
        &mut self,
        connection: &mut Connection,
        muting: &Muting,
    ) -> Result<(Vec<IncidentRecord>, bool), StepError> {
        let (partitioning, [silences, windows, acks]) = read_input(connection).await?;
        // Its streams are being moved: a group that is created now would make an old one again.
        let is_changing = matches!(partitioning, Partitioning::Changing(_));
        if partitioning.partitions() != self.streams.partitions() {
            self.streams = AlertStreams::new(partitioning.partitions());
        }
        let now = time(connection).await?;
        let from = self.store.through.map_or_else(
            || now.minus(AlertRecord::NEWS),
            |through| through.minus(CLOCK_MARGIN),
        );
        let batch = if is_changing {
            AlertBatch::default()
        } else {
            self.streams.next(connection, from).await?
        };
        let places = self.places.of(connection, &batch.records).await?;

        self.operator_input.update(acks, silences, windows);
        if let Some(silences) = self.operator_input.changed_silences(now) {
            self.incidents.set_silences(silences);
        }
        self.observe(connection, &batch, places, now).await?;
        for (id, ack) in self.operator_input.acks() {
            self.incidents.acknowledge(&id, ack);
        }
        let changes = self.incidents.advance(now);
        muting.answer(|incident| self.incidents.is_muted(incident, now));
        let progress = self.store.through.unwrap_or_default();
        if !changes.is_empty() || now.since(progress) >= PROGRESS_INTERVAL {
            failpoint::pass("before incidents written");
            self.store.write(connection, &changes, now).await?;
        }
        failpoint::pass("before alerts acknowledged");
        self.streams.acknowledge(connection, &batch).await?;
        Ok((changes.records, batch.more))
    }
}

impl Session {
    /// Groups the alerts of a batch, and those that no incident has.
    async fn observe(
        &mut self,
        connection: &mut Connection,
        batch: &AlertBatch,
        places: Vec<AlertPlace>,
        now: Timestamp,
    ) -> RedisResult<()> {
        for (record, place) in batch.records.iter().zip(places) {
            self.absent.observe(record);
            self.incidents
                .observe(&marked_if_old(record, now), place, now);
        }
        self.ungrouped
            .regroup(
                connection,
                (&batch.records, batch.more),
                &mut self.places,
                (&mut self.incidents, now),
            )
            .await?;
        if self.absent.take_changed() || !(self.absent.is_empty() || batch.records.is_empty()) {
            self.find_stale(connection).await?;
        }
        Ok(())
    }

    /// Finds the open alerts whose sensors send no data.
    async fn find_stale(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let sensors = self.incidents.open_sensors();
        let described = Places::described(connection, &sensors).await?;
        let absent = &self.absent;
        self.incidents
            .set_absent(|sensor| absent.covers(sensor, &described));
        Ok(())
    }
}

/// Reads the partitioning, then silences, windows and acknowledgements. One of these of another type counts as empty:
/// a notification too many is better than none.
async fn read_input(connection: &mut Connection) -> RedisResult<(Partitioning, [Hash; 3])> {
    let hashes = [keys::SILENCES, keys::WINDOWS, incidents::ACKS];
    let mut all = redis::pipe();
    all.add_command(Partitioning::read_command());
    for key in hashes {
        all.cmd("HGETALL").arg(key);
    }
    match all.query_async::<(_, Hash, Hash, Hash)>(connection).await {
        Err(error) if is_wrong_type(&error) => {}
        read => {
            let (partitioning, silences, windows, acks) = read?;
            let partitioning = Partitioning::from_reply(partitioning)?;
            return Ok((partitioning, [silences, windows, acks]));
        }
    }
    let partitioning = Partitioning::read(connection).await?;
    let mut found = <[Hash; 3]>::default();
    for (key, hash) in hashes.into_iter().zip(&mut found) {
        let read = redis::cmd("HGETALL").arg(key).query_async(connection).await;
        *hash = unless_wrong_type(read)?;
    }
    Ok((partitioning, found))
}

/// Returns the record, marked as historical if it waited too long to be read.
fn marked_if_old(record: &AlertRecord, now: Timestamp) -> AlertRecord {
    AlertRecord {
        historical: record.historical || now.since(record.at) > AlertRecord::NEWS,
        ..record.clone()
    }
}

/// Returns the time by the clock of Redis.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn time(connection: &mut Connection) -> RedisResult<Timestamp> {
    let mut server = connection.at(keys::INCIDENTS);
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut server).await?;
    let millis = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    Ok(Timestamp::from_millis(millis).unwrap_or_default())
}
