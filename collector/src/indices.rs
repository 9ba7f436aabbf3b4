//! Cooling indices of racks, rows and rooms, one point a minute.
//!
//! In: the aggregates that partition owners write of their racks, and the site, which assigns racks to rows and rooms.
//! Out: `rackwatch:indices` with the newest values, and a series for each index, with `TimeSeries` or as plain streams.
//! The leader runs this. A point that cannot be written is skipped, since the next one follows in a minute.

pub mod past;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_core::indices::{Aggregate, Envelope, Indices};
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::stored::{IfRefused, StoredValue, encode};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, RequestError, recover,
};
use redis::{RedisError, RedisResult};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::writer::SeriesWriter;
use crate::incidents::correlate::time;
use crate::incidents::site::SiteReader;
use crate::series::SeriesConfig;
use crate::stage::StageError;
use crate::stored::read_one;

/// Interval between points in production. Tests use a shorter one.
pub const INTERVAL: Duration = Duration::from_mins(1);

/// Time for which published rack aggregates count: 12 times their interval, so that a change of owner leaves no gap.
const FRESH_FOR: Duration = Duration::from_mins(3);

/// Time for which they are kept. Older ones still say which sensors there should be.
pub(crate) const KEPT_FOR: Duration = Duration::from_hours(24);

/// The aggregate of one rack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RackAggregate {
    /// The zone of its agents.
    pub zone: String,
    /// The name of the rack.
    pub rack: String,
    /// The sums over its sensors.
    #[serde(flatten)]
    pub aggregate: Aggregate,
}

/// The aggregates of a partition's racks, as their owner writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RackAggregates {
    /// One entry for each zone and rack.
    pub racks: Vec<RackAggregate>,
}

impl StoredValue for RackAggregates {
    const NAME: &'static str = "rack aggregates";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("racks have no indices");
}

/// The newest indices of a rack, a row or a room, as `rackwatch:indices` holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewestIndices {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The ASHRAE class whose limits apply.
    pub class: String,
    /// The indices of the place.
    #[serde(flatten)]
    pub indices: Indices,
}

impl StoredValue for NewestIndices {
    const NAME: &'static str = "indices";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("indices are not listed");
}

/// The kind (`rack`, `row`, `room`) and the name of a place.
type Scope = (&'static str, String);

/// Computes indices at an interval until `stop`.
///
/// # Errors
///
/// Never fails today: a lasting refusal is logged, since it must not end notifications.
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
            Ok(()) => tracing::debug!(%error, "failed to store indices, will retry"),
            Err(RequestError::Stopped) => return Ok(()),
            Err(RequestError::Refused(_)) => {
                tracing::warn!(%error, "failed to store indices, will retry");
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
    let mut writer = SeriesWriter::detect(&mut connection, series).await?;
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
        let racks = read_aggregates(&mut connection).await?;
        let scopes = scopes(&site, racks);
        store(&mut connection, &mut writer, scopes, envelope, next).await?;
    }
}

/// Reads the rack aggregates of all partitions. The sensors of a partition without an owner have no present value.
async fn read_aggregates(connection: &mut Connection) -> RedisResult<Vec<RackAggregate>> {
    let mut racks = Vec::new();
    for partition in Partitioning::read(connection).await?.partitions().all() {
        let key = PartitionKeys::of(partition).racks;
        let mut get = redis::pipe();
        get.get(&key).ttl(&key);
        let (json, left): (Option<String>, i64) = get.query_async(connection).await?;
        let stored = json.and_then(|json| read_one::<RackAggregates>(&key, json.as_bytes()));
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let is_fresh = KEPT_FOR.saturating_sub(left) < FRESH_FOR;
        let each = stored.unwrap_or_default().racks.into_iter();
        racks.extend(each.map(|rack| RackAggregate {
            aggregate: if is_fresh {
                rack.aggregate
            } else {
                rack.aggregate.without_values()
            },
            ..rack
        }));
    }
    Ok(racks)
}

/// Adds up the aggregates of each rack, row and room.
fn scopes(site: &SiteReader, racks: Vec<RackAggregate>) -> BTreeMap<Scope, Aggregate> {
    let mut scopes: BTreeMap<Scope, Aggregate> = BTreeMap::new();
    for rack in racks {
        let RackAggregate {
            zone,
            rack,
            aggregate,
        } = rack;
        let spot = site.site().spot_of_rack(&rack, &zone);
        for (scope, name) in [("rack", spot.rack), ("row", spot.row), ("room", spot.room)] {
            if !name.is_empty() {
                scopes.entry((scope, name)).or_default().add(&aggregate);
            }
        }
    }
    scopes
}

async fn store(
    connection: &mut Connection,
    writer: &mut SeriesWriter,
    scopes: BTreeMap<Scope, Aggregate>,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(), RedisError> {
    let mut newest = redis::pipe();
    newest.del(keys::INDICES).ignore();
    let mut points = Vec::new();
    for ((scope, name), aggregate) in scopes {
        let indices = aggregate.indices(envelope);
        for (index, value) in indices.named() {
            points.push((keys::index(scope, &name, index), value));
        }
        let indices = NewestIndices {
            at_ms: at.millis(),
            class: envelope.class.to_owned(),
            indices,
        };
        let field = format!("{scope} {name}");
        newest.hset(keys::INDICES, field, encode(&indices)).ignore();
    }
    newest.exec_async(connection).await?;
    writer.write(connection, &points, at).await
}
