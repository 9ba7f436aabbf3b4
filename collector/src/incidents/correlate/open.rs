//! Open incidents, read back from their newest records.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::incident::{Incident, IncidentRecord};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::stored::StoredValues;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, entries, scan_hash};
use redis::{RedisError, RedisResult};
use tokio_util::sync::CancellationToken;

use crate::notify::outbox::OpenIncident;

/// Records per read, about 1 MB.
const PAGE: usize = 1000;

/// Returns, for each open incident, its newest record that `wanted` accepts, the oldest incident first.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub(crate) async fn newest(
    connection: &mut Connection,
    wanted: impl Fn(&IncidentRecord) -> bool,
) -> RedisResult<Vec<IncidentRecord>> {
    // `from_hash` leaves out incidents of another version. Their records would not decode, and the search for
    // them would read the whole stream.
    let open = StoredValues::<Incident>::from_hash(scan_hash(connection, incidents::OPEN).await?);
    let mut missing: BTreeSet<String> = open.values.into_iter().map(|(id, _)| id).collect();
    let mut found: BTreeMap<(u64, String), IncidentRecord> = BTreeMap::new();
    let mut to = "+".to_owned();
    while !missing.is_empty() {
        let mut read = redis::cmd("XREVRANGE");
        read.arg(keys::INCIDENTS).arg(&to).arg("-");
        read.arg("COUNT").arg(PAGE);
        let page = entries(read.query_async(connection).await?);
        let page = page.map_err(|error| RedisError::from(std::io::Error::other(error)))?;
        let Some(last) = page.last() else { break };
        to = format!("({}-{}", last.id.0, last.id.1);
        for entry in page {
            let record = entry.fields.as_ref().map(incident::decode);
            if let Some(Ok(record)) = record
                && wanted(&record)
                && missing.remove(record.id.as_str())
            {
                found.insert((record.since.millis(), record.id.to_string()), record);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Returns the open incidents, for outboxes that continue with them. The list is empty if the read fails, or if `stop`
/// is cancelled before Redis answers.
pub(crate) async fn newest_records(
    connector: &Connector,
    stop: &CancellationToken,
) -> Vec<OpenIncident> {
    let opened = connector.open_until(Purpose::Commands, stop).await;
    let Some(mut connection) = opened else {
        return Vec::new();
    };
    let read = both(&mut connection).await;
    read.unwrap_or_else(|error| {
        // Notifiers then repeat an incident, and end its wait for the hours of a route, only after its next change.
        tracing::debug!(%error, "read of open incidents failed");
        Vec::new()
    })
}

async fn both(connection: &mut Connection) -> RedisResult<Vec<OpenIncident>> {
    let newest = newest(connection, |_| true).await?;
    let notifications = self::newest(connection, |record| record.notification_id.is_some()).await?;
    let mut notifications: BTreeMap<_, _> = notifications
        .into_iter()
        .map(|record| (record.id.clone(), record))
        .collect();
    let open = newest.into_iter().map(|newest| OpenIncident {
        notification: notifications.remove(&newest.id),
        newest,
    });
    Ok(open.collect())
}
