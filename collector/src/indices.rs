//! Indices of racks, rows and rooms, a point a minute.
//!
//! In: what the owners of partitions say their racks come to, and the site, which says what rows and rooms
//! are made of. Out: `rackwatch:indices`, the newest of each, and a series for each number, where series are
//! kept: with `TimeSeries` or as plain streams. Whoever has the desk makes them. A point that cannot be
//! written is left out: the next one comes in a minute.

mod keep;
pub mod past;

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::indices::{Envelope, Indices, Sums};
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, RequestError, recover,
};
use redis::{RedisError, RedisResult};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::keep::Keeper;
use crate::incidents::correlate::time;
use crate::incidents::site::SiteReader;
use crate::series::SeriesConfig;
use crate::stage::StageError;

/// How often, unless a test is in a hurry.
pub const EVERY: Duration = Duration::from_mins(1);

/// What the sensors of a rack come to, as the owner of its partition says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RackSums {
    /// The zone of its agents.
    pub zone: String,
    /// Its name.
    pub rack: String,
    /// What its sensors come to.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What is kept of a rack, a row or a room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose limits.
    pub class: &'static str,
    /// The numbers.
    #[serde(flatten)]
    pub indices: Indices,
}

/// A rack, a row or a room: what it is, and its name.
type Scope = (&'static str, String);

/// Makes indices so often until told to stop.
///
/// # Errors
///
/// When Redis refuses for a reason that does not pass.
pub async fn run(
    connector: Connector,
    series: SeriesConfig,
    envelope: Envelope,
    every: Duration,
    stop: CancellationToken,
) -> Result<(), StageError> {
    loop {
        let error = match work(&connector, &series, &envelope, every, &stop).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        connector.refused(&error);
        match recover(&error, &stop).await {
            Ok(()) => {}
            Err(RequestError::Stopped) => return Ok(()),
            // Series that cannot be kept must not end what tells people.
            Err(RequestError::Refused(_)) => {
                tracing::warn!(%error, "indices cannot be kept, tried again in a minute");
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(every)).await;
        if stop.is_cancelled() {
            return Ok(());
        }
    }
}

async fn work(
    connector: &Connector,
    series: &SeriesConfig,
    envelope: &Envelope,
    every: Duration,
    stop: &CancellationToken,
) -> RedisResult<()> {
    let Some(mut connection) = connector.open_until(Purpose::Commands, stop).await else {
        return Ok(());
    };
    let mut keeper = Keeper::find(&mut connection, series).await?;
    let mut site = SiteReader::default();
    loop {
        let now = time(&mut connection).await?;
        let next = now.floor(every).plus(every);
        stop.run_until_cancelled(tokio::time::sleep(next.since(now)))
            .await;
        if stop.is_cancelled() {
            return Ok(());
        }
        site.refresh(&mut connection).await?;
        let racks = racks(&mut connection).await?;
        let scopes = scopes(&site, racks);
        keep(&mut connection, &mut keeper, scopes, envelope, next).await?;
    }
}

/// What all partitions say of their racks.
async fn racks(connection: &mut Connection) -> RedisResult<Vec<RackSums>> {
    let mut racks = Vec::new();
    for partition in Partitioning::read(connection).await?.partitions().all() {
        let mut get = redis::cmd("GET");
        get.arg(PartitionKeys::of(partition).racks);
        let json: Option<String> = get.query_async(connection).await?;
        // What another version says may not be understood.
        let said = json.and_then(|json| serde_json::from_str::<Vec<RackSums>>(&json).ok());
        racks.extend(said.unwrap_or_default());
    }
    Ok(racks)
}

/// The sums of each rack, row and room.
fn scopes(site: &SiteReader, racks: Vec<RackSums>) -> BTreeMap<Scope, Sums> {
    let mut scopes: BTreeMap<Scope, Sums> = BTreeMap::new();
    for RackSums { zone, rack, sums } in racks {
        let spot = site.site().spot_of_rack(&rack, &zone);
        for (scope, name) in [("rack", spot.rack), ("row", spot.row), ("room", spot.room)] {
            if !name.is_empty() {
                scopes.entry((scope, name)).or_default().add(&sums);
            }
        }
    }
    scopes
}

async fn keep(
    connection: &mut Connection,
    keeper: &mut Keeper,
    scopes: BTreeMap<Scope, Sums>,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(), RedisError> {
    let mut newest = redis::pipe();
    newest.del(keys::INDICES).ignore();
    let mut points = Vec::new();
    for ((scope, name), sums) in scopes {
        let indices = sums.indices(envelope);
        for (index, value) in indices.named() {
            points.push((keys::index(scope, &name, index), value));
        }
        let kept = Kept {
            at_ms: at.millis(),
            class: envelope.class,
            indices,
        };
        // Strings and numbers only: this cannot fail.
        let json = serde_json::to_string(&kept).unwrap_or_default();
        newest
            .hset(keys::INDICES, format!("{scope} {name}"), json)
            .ignore();
    }
    newest.exec_async(connection).await?;
    keeper.keep(connection, &points, at).await
}
