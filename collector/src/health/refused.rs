//! Finds stored values that this version does not understand, for the report.

use std::collections::BTreeMap;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::Description;
use rackwatch_core::engine::Slice;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, Incident, StoredMember};
use rackwatch_core::keys::{self, PartitionKeys, incidents};
use rackwatch_core::loss_ledger::Runs;
use rackwatch_core::site::StoredSite;
use rackwatch_core::stored::{StoredValue, StoredValues, decode};
use rackwatch_runtime::redis::{Connection, Partitioning, scan_hash};
use redis::RedisResult;

use super::facts::{Facts, Incidents};
use crate::incidents::resolve_request::ResolveRequest;
use crate::incidents::windows::Window;
use crate::stored::RefusedState;

/// Returns each field of a hash whose value does not begin with `{"v":<version>,`: slices are too large to read all.
const OTHER_VERSIONS: &str = r"
local others = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local json = redis.call('HGET', KEYS[1], field)
  if string.sub(json, 1, #ARGV[1]) ~= ARGV[1] then others[#others + 1] = field end
end
return others";

/// Returns a line for each reason why values that people or agents wrote have no effect, with what to do.
///
/// # Errors
///
/// If Redis does not answer, or a key holds something else.
pub(crate) async fn without_effect(connection: &mut Connection) -> RedisResult<Vec<String>> {
    let mut refused = descriptions(connection).await?;
    refused.extend(hash::<Silence>(connection, keys::SILENCES).await?);
    refused.extend(hash::<Window>(connection, keys::WINDOWS).await?);
    refused.extend(hash::<Ack>(connection, incidents::ACKS).await?);
    let partitioning = Partitioning::read(connection).await?;
    for keys in partitioning.partitions().all().map(PartitionKeys::of) {
        refused.extend(hash::<ResolveRequest>(connection, &keys.resolutions).await?);
    }
    let problems = refused.iter().filter(|one| one.is_problem());
    Ok(problems.map(RefusedState::line).collect())
}

/// Returns the refused descriptions, which may lack a version.
async fn descriptions(connection: &mut Connection) -> RedisResult<Vec<RefusedState>> {
    let mut values = StoredValues::<Description>::default();
    for (field, json) in scan_hash(connection, keys::DEVICES).await? {
        if let Err(error) = Description::from_json(&json) {
            values.refuse(&field, error);
        }
    }
    Ok(RefusedState::of::<Description>(
        keys::DEVICES,
        &values.refusals,
    ))
}

/// Returns the refused values of a hash.
async fn hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<RefusedState>> {
    let mut values = StoredValues::<T>::default();
    for (field, json) in scan_hash(connection, key).await? {
        if let Err(error) = decode::<T>(&json) {
            values.refuse(&field, error);
        }
    }
    Ok(RefusedState::of::<T>(key, &values.refusals))
}

impl Facts {
    /// Reads a hash, and notes the values that this version refuses.
    pub(super) async fn read<T: StoredValue>(
        &mut self,
        connection: &mut Connection,
        key: &str,
    ) -> RedisResult<Vec<(String, T)>> {
        let stored = StoredValues::<T>::from_hash(scan_hash(connection, key).await?);
        self.refused
            .extend(RefusedState::of::<T>(key, &stored.refusals));
        Ok(stored.values)
    }

    /// Counts incidents and silences, and reads the leader. Notes refused values of operators too.
    pub(super) async fn incidents(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut leader = redis::cmd("GET");
        leader.arg(incidents::LEASE);
        self.incidents.leader = leader.query_async(connection).await?;
        let site: Option<Vec<u8>> = redis::cmd("HGET")
            .arg(keys::SITE)
            .arg("site")
            .query_async(connection)
            .await?;
        let site = StoredValues::<StoredSite>::from_hash(site.map(|json| ("site", json)));
        self.refused
            .extend(RefusedState::of::<StoredSite>(keys::SITE, &site.refusals));
        let silences = self.read::<Silence>(connection, keys::SILENCES).await?;
        self.read::<Window>(connection, keys::WINDOWS).await?;
        let open = self.read::<Incident>(connection, incidents::OPEN).await?;
        self.read::<StoredMember>(connection, incidents::MEMBERS)
            .await?;
        self.read::<Ack>(connection, incidents::ACKS).await?;
        // An acknowledgement stays stored when growth has ended it.
        let acked = open.iter().filter(|(_, one)| one.is_acknowledged()).count();
        let mut by_severity: BTreeMap<_, _> = Severity::ALL.into_iter().map(|s| (s, 0)).collect();
        for (_, incident) in &open {
            *by_severity.entry(incident.severity_now()).or_default() += 1;
        }
        self.incidents = Incidents {
            open: open.len(),
            by_severity,
            acked,
            silences: silences.len(),
            leader: self.incidents.leader.take(),
        };
        Ok(())
    }

    /// Notes refused values among the saved state of a partition and the requests to it, but for its episodes.
    pub(super) async fn saved_state(
        &mut self,
        connection: &mut Connection,
        keys: &PartitionKeys,
    ) -> RedisResult<()> {
        self.read::<Runs>(connection, &keys.loss_ledger).await?;
        self.read::<ResolveRequest>(connection, &keys.resolutions)
            .await?;
        let script = redis::Script::new(OTHER_VERSIONS);
        let mut call = script.key(&keys.snapshot);
        call.arg(format!("{{\"v\":{},", Slice::VERSION));
        let others: Vec<String> = call.invoke_async(connection).await?;
        let mut slices = StoredValues::<Slice>::default();
        for field in others {
            let mut get = redis::cmd("HGET");
            get.arg(&keys.snapshot).arg(&field);
            let json: Option<Vec<u8>> = get.query_async(connection).await?;
            if let Some(Err(error)) = json.map(|json| decode::<Slice>(&json)) {
                slices.refuse(&field, error);
            }
        }
        self.refused
            .extend(RefusedState::of::<Slice>(&keys.snapshot, &slices.refusals));
        Ok(())
    }
}
