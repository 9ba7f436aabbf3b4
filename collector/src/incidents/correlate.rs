//! The correlator: alerts of all partitions become incidents.
//!
//! In: the alert streams, what is known of devices, the site, silences and acknowledgements. Out:
//! `rackwatch:incidents`, and what is stored of incidents that are not over. Promise: what an alert makes of
//! an incident is written in one step, fenced by the epoch of the desk, and only then is the alert
//! acknowledged; an alert that comes again changes nothing. After any trouble all is loaded again: what Redis
//! has is what holds.

mod alerts;
pub mod memory;
pub(crate) mod open;
mod places;
mod quiet;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::{Ack, IncidentId, IncidentRecord, Incidents, Timing};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, ReplyError, RequestError, recover,
};
use redis::{RedisError, RedisResult};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use self::alerts::AlertStreams;
use self::places::Places;
use self::quiet::Quiet;
use self::store::Store;
use crate::failpoint;
use crate::stage::StageError;

/// How often alerts are looked for: a critical one is told of within two seconds.
const EVERY: Duration = Duration::from_millis(250);
/// How far the alerts are dealt with is written this often, though nothing has happened.
const NOTE_EVERY: Duration = Duration::from_secs(30);
/// Clocks of several servers differ by less.
const CLOCKS: Duration = Duration::from_secs(5);

/// Why it cannot go on as it is.
#[derive(Debug)]
enum Broken {
    Redis(RedisError),
    Reply(ReplyError),
    TakenOver,
    /// Redis no longer holds what was written.
    Gone,
}

impl From<RedisError> for Broken {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<ReplyError> for Broken {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

/// Makes incidents for a tenure of the desk.
pub struct Correlator<T> {
    connector: Connector,
    epoch: u64,
    timing: Timing,
    stop: CancellationToken,
    told: T,
}

impl<T> std::fmt::Debug for Correlator<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Correlator")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl<T: Fn(&IncidentRecord) + Send> Correlator<T> {
    /// For the tenure with this epoch; `told` hears of every record that was written.
    pub fn new(
        connector: &Connector,
        epoch: u64,
        timing: Timing,
        stop: CancellationToken,
        told: T,
    ) -> Self {
        Self {
            connector: connector.at(keys::INCIDENTS),
            epoch,
            timing,
            stop,
            told,
        }
    }

    /// Runs until told to stop, or until another has the desk.
    ///
    /// # Errors
    ///
    /// When Redis refuses for a reason that does not pass.
    pub async fn run(self) -> Result<(), StageError> {
        tracing::info!("this collector makes incidents and tells people of them");
        loop {
            let error = match self.work().await {
                Ok(()) | Err(Broken::TakenOver) => return Ok(()),
                Err(Broken::Gone) => {
                    tracing::warn!(
                        "redis no longer has the incidents that were written, loaded again"
                    );
                    continue;
                }
                Err(Broken::Reply(error)) => {
                    return Err(StageError::Refused {
                        what: "an answer to the correlator cannot be understood".to_owned(),
                        source: Box::new(error),
                    });
                }
                Err(Broken::Redis(error)) => error,
            };
            self.connector.refused(&error);
            match recover(&error, &self.stop).await {
                // All is loaded again then: not more often than alerts are looked for.
                Ok(()) => {
                    let pause = tokio::time::sleep(EVERY);
                    self.stop.run_until_cancelled(pause).await;
                }
                Err(RequestError::Stopped) => return Ok(()),
                Err(RequestError::Refused(_)) => {
                    return Err(StageError::Refused {
                        what: "Redis refused to keep incidents".to_owned(),
                        source: Box::new(error),
                    });
                }
            }
        }
    }

    /// From loading what is stored until the stop.
    async fn work(&self) -> Result<(), Broken> {
        let opened = self.connector.open_until(Purpose::Commands, &self.stop);
        let Some(mut connection) = opened.await else {
            return Ok(());
        };
        let (store, incidents) = Store::load(&mut connection, self.epoch, self.timing).await?;
        let layout = Partitioning::read(&mut connection).await?;
        let mut desk = Desk {
            store,
            incidents,
            streams: AlertStreams::new(layout.partitions()),
            places: Places::default(),
            quiet: Quiet::default(),
        };
        tracing::debug!(open = desk.incidents.len(), "incidents loaded");
        while !self.stop.is_cancelled() {
            let (records, more) = desk.turn(&mut connection).await?;
            self.connector.accepted();
            records.iter().for_each(&self.told);
            if !more {
                self.stop
                    .run_until_cancelled(tokio::time::sleep(EVERY))
                    .await;
            }
        }
        Ok(())
    }
}

/// A small hash of JSON, whole.
type Hash = BTreeMap<String, Vec<u8>>;

/// What is at hand while one connection lasts.
struct Desk {
    store: Store,
    incidents: Incidents,
    streams: AlertStreams,
    places: Places,
    quiet: Quiet,
}

impl Desk {
    /// Takes in what there is and writes what comes of it: the records, and whether there is more.
    async fn turn(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(Vec<IncidentRecord>, bool), Broken> {
        let (layout, silences, windows, acks): (_, Hash, Hash, Hash) = redis::pipe()
            .add_command(Partitioning::read_command())
            .cmd("HGETALL")
            .arg(keys::SILENCES)
            .cmd("HGETALL")
            .arg(keys::WINDOWS)
            .cmd("HGETALL")
            .arg(incidents::ACKS)
            .query_async(connection)
            .await?;
        let partitions = Partitioning::from_reply(layout)?.partitions();
        if partitions != self.streams.partitions() {
            self.streams = AlertStreams::new(partitions);
        }
        let now = time(connection).await?;
        let from = self.store.through.map_or_else(
            || now.minus(AlertRecord::NEWS),
            |through| through.minus(CLOCKS),
        );
        let heard = self.streams.next(connection, from).await?;
        let spots = self.places.spots(connection, &heard.records).await?;

        if let Some(silences) = self.quiet.change(silences, windows, now) {
            self.incidents.silences(silences);
        }
        for (record, spot) in heard.records.iter().zip(spots) {
            self.incidents.take(&old_news(record, now), spot, now);
        }
        for (id, json) in &acks {
            if let Ok(ack) = serde_json::from_slice::<Ack>(json) {
                self.incidents.ack(&IncidentId::from_wire(id), ack);
            }
        }
        let changes = self.incidents.settle(now);
        let noted = self.store.through.unwrap_or_default();
        if !changes.is_empty() || now.since(noted) >= NOTE_EVERY {
            failpoint::pass("before incidents written");
            self.store.write(connection, &changes, now).await?;
        }
        failpoint::pass("before alerts acknowledged");
        self.streams.done(connection, &heard).await?;
        Ok((changes.records, heard.more))
    }
}

/// A record that has lain about is no news, though it was when it was written.
fn old_news(record: &AlertRecord, now: Timestamp) -> AlertRecord {
    AlertRecord {
        historical: record.historical || now.since(record.at) > AlertRecord::NEWS,
        ..record.clone()
    }
}

/// The clock of Redis.
pub async fn time(connection: &mut Connection) -> RedisResult<Timestamp> {
    let mut server = connection.at(keys::INCIDENTS);
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut server).await?;
    let millis = seconds.saturating_mul(1000).saturating_add(micros / 1000);
    Ok(Timestamp::from_millis(millis).unwrap_or_default())
}

/// The values of a hash that can be understood.
fn understood<T: DeserializeOwned>(key: &str, all: &Hash) -> Vec<T> {
    let read = |(id, json): (&String, &Vec<u8>)| match serde_json::from_slice(json) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(key, id, %error, "cannot be understood, ignored");
            None
        }
    };
    all.iter().filter_map(read).collect()
}
