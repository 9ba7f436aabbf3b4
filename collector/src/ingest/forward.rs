//! Forwards readings of plain clients to the partitions.
//!
//! A client that knows only `raw_sensor_data` goes on writing there when the site has partitions. The owner of
//! the default zone's partition moves its entries: first they are appended to their partition, then deleted.
//! After a crash in between they come again, and count once by device and time.

use std::time::{Duration, Instant};

use rackwatch_core::device::Description;
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_runtime::redis::{Connection, Connector, Partitioning, Purpose, Session, entries};
use redis::{RedisResult, Value};
use tokio_util::sync::CancellationToken;

use crate::ownership::zones::Zones;
use crate::progress::Pulse;
use crate::stage::StageError;

/// Pause between two looks: a delay that an alert can bear.
const PAUSE: Duration = Duration::from_millis(500);
/// Entries moved at once.
const MAX_ENTRIES: usize = 1000;
/// Time for which zones are used before they are read again.
const ZONES_LIFETIME: Duration = Duration::from_mins(1);

/// Moves entries of the plain raw stream until `stop`, if `own` is the partition of the default zone.
///
/// # Errors
///
/// If Redis refuses for a lasting reason.
pub(crate) async fn run(
    connector: Connector,
    own: PartitionId,
    pulse: Pulse,
    stop: CancellationToken,
) -> Result<(), StageError> {
    let mut session = Session::new(connector, Purpose::Commands, stop.clone());
    let mut zones: Option<(Instant, Zones)> = None;
    while !stop.is_cancelled() {
        let refused = |error| StageError::of_request("Redis refused to forward entries", error);
        let mut connection = match session.connection().await.map_err(refused) {
            Err(StageError::Stopped) => return Ok(()),
            connected => connected?,
        };
        match step(&mut connection, own, &mut zones).await {
            Ok(count) => {
                pulse.beat();
                if count == MAX_ENTRIES {
                    continue;
                }
            }
            Err(error) => match session.recover(&error).await.map_err(refused) {
                Err(StageError::Stopped) => return Ok(()),
                recovered => recovered?,
            },
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    Ok(())
}

/// Returns whether the owner of `own` moves entries: it owns the default zone's partition, which is not the
/// plain one.
fn is_forwarder(partitions: Partitions, own: PartitionId) -> bool {
    own != PartitionId::PLAIN && partitions.of_zone(Description::DEFAULT_ZONE) == own
}

/// Moves the oldest entries. Returns their number.
async fn step(
    connection: &mut Connection,
    own: PartitionId,
    zones: &mut Option<(Instant, Zones)>,
) -> RedisResult<usize> {
    let partitions = match Partitioning::read(connection).await? {
        Partitioning::Set(partitions) if is_forwarder(partitions, own) => partitions,
        _ => return Ok(0),
    };
    let mut range = redis::cmd("XRANGE");
    range.arg(keys::RAW).arg(&["-", "+", "COUNT"]);
    let found: Value = range.arg(MAX_ENTRIES).query_async(connection).await?;
    let found = entries(found).unwrap_or_default();
    if found.is_empty() {
        return Ok(0);
    }
    let is_fresh = |(read, _): &(Instant, Zones)| read.elapsed() < ZONES_LIFETIME;
    if !zones.as_ref().is_some_and(is_fresh) {
        *zones = Some((Instant::now(), Zones::read(connection).await?));
    }
    let mut moved = redis::cmd("XDEL");
    moved.arg(keys::RAW);
    for entry in &found {
        let fields = entry.fields.as_deref().unwrap_or_default();
        if let Some((_, zones)) = zones {
            let stream = PartitionKeys::of(zones.of_entry(partitions, fields)).raw;
            let mut add = redis::cmd("XADD");
            add.arg(stream).arg("*");
            for (name, value) in fields {
                add.arg(name).arg(value);
            }
            add.exec_async(connection).await?;
        }
        moved.arg(format!("{}-{}", entry.id.0, entry.id.1));
    }
    moved.exec_async(connection).await?;
    tracing::debug!(entries = found.len(), "forwarded entries of plain clients");
    Ok(found.len())
}
