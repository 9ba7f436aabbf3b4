//! Keys of ours that hold something else: another type, or a value that makes no sense.
//!
//! Redis answers WRONGTYPE without naming a key. So the collector looks here for the keys after that error.

use rackwatch_core::keys::{self, PartitionKeys, incidents};
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::redis::{Connection, Partitioning, Remedy, remedy};
use redis::{RedisError, RedisResult};

use crate::feed::damage::damage;
use crate::incidents::site::version_fault;
use crate::optional_key::is_wrong_type;

/// Keys that stand once, with their types.
const SHARED: [(&str, &str); 20] = [
    (keys::RAW, "stream"),
    (keys::DEVICES, "hash"),
    (keys::DEVICES_REVISION, "string"),
    (keys::UNDESCRIBED, "zset"),
    (keys::PARTITIONING, "hash"),
    (keys::COLLECTORS, "zset"),
    (keys::ANNOUNCEMENTS, "hash"),
    (keys::SITE, "hash"),
    (keys::INVENTORY_CHANGES, "stream"),
    (keys::SILENCES, "hash"),
    (keys::WINDOWS, "hash"),
    (keys::DELIVERIES, "stream"),
    (keys::INCIDENTS, "stream"),
    (keys::INDICES, "hash"),
    (incidents::FENCE, "hash"),
    (incidents::LEASE, "string"),
    (incidents::OPEN, "hash"),
    (incidents::MEMBERS, "hash"),
    (incidents::ACKS, "hash"),
    (incidents::NOTIFIERS, "hash"),
];

/// Returns a line for each key that holds something else, with what to do. `deliveries` are the keys with the progress
/// of notifiers ([`KnownNotifiers`](super::notifiers::KnownNotifiers)).
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn broken_keys(
    connection: &mut Connection,
    deliveries: &[String],
) -> RedisResult<Vec<String>> {
    let (partitions, garbage) = match Partitioning::read(connection).await {
        Ok(partitioning) => (partitioning.partitions(), None),
        // The types below name it.
        Err(error) if Partitioning::is_another_type(&error) => (Partitions::PLAIN, None),
        Err(error) if is_garbage(&error) => {
            let named = error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned);
            (Partitions::PLAIN, Some(named))
        }
        Err(error) => return Err(error),
    };
    let mut broken: Vec<String> = garbage.into_iter().collect();
    let expected = expected(partitions);
    let mut types = redis::pipe();
    for (key, _) in &expected {
        types.cmd("TYPE").arg(key);
    }
    let found: Vec<String> = types.query_async(connection).await?;
    for ((key, expected), found) in expected.iter().zip(found) {
        if found == "none" || found == *expected {
            continue;
        }
        let remedy = if key == keys::PARTITIONING {
            // The number of partitions is known nowhere else.
            Partitioning::RESTORE
        } else {
            "look at what wrote it, then delete or rename it; Rackwatch makes the key again"
        };
        broken.push(format!(
            "{key} is a {found}, expected a {expected}: {remedy}"
        ));
    }
    broken.extend(site_fault(connection).await?);
    broken.extend(damaged(connection, deliveries).await?);
    Ok(broken)
}

/// Returns whether a line of [`broken_keys`] is about a key that says what is open, or whether that is up to date. The others
/// hold reports, deliveries, and offsets of clocks.
pub(super) fn bears_on_room(line: &str) -> bool {
    let key = line.split(' ').next().unwrap_or_default();
    let has_no_bearing = [
        keys::DELIVERIES,
        keys::UNDESCRIBED,
        keys::INVENTORY_CHANGES,
        incidents::NOTIFIERS,
    ];
    !has_no_bearing.contains(&key) && !key.ends_with(":clocks") && !key.ends_with(":tally")
}

/// Returns a line for each of these keys with the progress of notifiers that is damaged, with what to do.
///
/// # Errors
///
/// If Redis does not answer.
pub(super) async fn damaged(
    connection: &mut Connection,
    deliveries: &[String],
) -> RedisResult<Vec<String>> {
    let mut damaged = Vec::new();
    for key in deliveries {
        damaged.extend(damage(connection, key).await?);
    }
    Ok(damaged)
}

/// Returns the keys of ours with their types.
fn expected(partitions: Partitions) -> Vec<(String, &'static str)> {
    let shared = SHARED.map(|(key, kind)| (key.to_owned(), kind));
    let mut all: Vec<_> = shared.into();
    for keys in partitions.all().map(PartitionKeys::of) {
        all.extend([
            (keys.raw, "stream"),
            (keys.dead, "stream"),
            (keys.alerts, "stream"),
            (keys.losses, "stream"),
            (keys.fence, "hash"),
            (keys.lease, "string"),
            (keys.episodes, "hash"),
            (keys.loss_ledger, "hash"),
            (keys.clocks, "hash"),
            (keys.tally, "hash"),
            (keys.resolutions, "hash"),
            (keys.racks, "string"),
            (keys.snapshot, "hash"),
        ]);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns a line if the revision of the site is no number.
async fn site_fault(connection: &mut Connection) -> RedisResult<Option<String>> {
    let mut get = redis::cmd("HGET");
    get.arg(keys::SITE).arg("version");
    match get.query_async::<Option<String>>(connection).await {
        Err(error) if is_wrong_type(&error) => Ok(None),
        version => Ok(version?.as_deref().and_then(version_fault)),
    }
}

/// Returns whether a value makes no sense. Such an error is ours: it has no code of Redis, and names the key.
fn is_garbage(error: &RedisError) -> bool {
    remedy(error) == Remedy::Fatal && error.code().is_none()
}

/// Turns an error about a key of the wrong type into the default, since [`broken_keys`] names it.
pub(super) fn unless_wrong_type<T: Default>(
    answer: Result<T, impl Into<anyhow::Error>>,
) -> anyhow::Result<T> {
    match answer.map_err(Into::into) {
        Err(error) if is_wrong_type(error.as_ref()) => Ok(T::default()),
        answer => answer,
    }
}

/// Turns an unusable partitioning into the one without partitions, since [`broken_keys`] names it.
pub(super) fn unless_garbage(answer: RedisResult<Partitioning>) -> RedisResult<Partitioning> {
    match answer {
        Err(error) if is_wrong_type(&error) || is_garbage(&error) => Ok(Partitioning::Unset),
        answer => answer,
    }
}
