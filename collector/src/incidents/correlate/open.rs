//! Incidents that are open, out of what was written of them.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::{Connection, Connector, Purpose, entries, scan_hash};
use redis::{RedisError, RedisResult};
use tokio_util::sync::CancellationToken;

/// Records of one read.
const PAGE: usize = 1000;

/// The newest record of each that is `wanted`, the oldest incident first.
///
/// # Errors
///
/// When Redis does not answer.
pub(crate) async fn newest(
    connection: &mut Connection,
    wanted: impl Fn(&IncidentRecord) -> bool,
) -> RedisResult<Vec<IncidentRecord>> {
    let open = scan_hash(connection, incidents::OPEN).await?;
    let mut missing: BTreeSet<String> = open.into_keys().collect();
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

/// What people were told last of each, for who says it again; none where Redis does not answer.
pub(crate) async fn told(connector: &Connector, stop: &CancellationToken) -> Vec<IncidentRecord> {
    let opened = connector.open_until(Purpose::Commands, stop).await;
    let Some(mut connection) = opened else {
        return Vec::new();
    };
    let told = newest(&mut connection, |record| record.tell.is_some()).await;
    told.unwrap_or_else(|error| {
        // The next reminder says it at the latest.
        tracing::debug!(%error, "it is not known what is open");
        Vec::new()
    })
}
