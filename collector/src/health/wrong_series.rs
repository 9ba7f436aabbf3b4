//! Keys of series and their roll-ups that hold something else, found by the readings and minutes that they refused.

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_core::device::DeviceId;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::field;
use rackwatch_runtime::redis::{Connection, entries};

use crate::series::{REFUSED, REFUSED_MINUTE, wrong_keys};

/// Age of the dead letters that are looked at.
const RECENT: Duration = Duration::from_hours(1);
/// Newest dead letters that are looked at, for each partition.
const MAX_LETTERS: usize = 1000;
/// Most keys that are listed, for each partition.
const MAX_LISTED: usize = 10;

/// Returns a line for each key of a series that holds something else, with what to do. The newest dead letters say which
/// series refused a reading or a minute.
///
/// # Errors
///
/// If Redis refuses a command or gives an unexpected reply.
pub(crate) async fn wrong_series(
    connection: &mut Connection,
    keys: &PartitionKeys,
    (backend, now): (&str, Timestamp),
) -> anyhow::Result<Vec<String>> {
    let mut newest = redis::cmd("XREVRANGE");
    newest
        .arg(&keys.dead)
        .arg("+")
        .arg(now.minus(RECENT).millis());
    newest.arg("COUNT").arg(MAX_LETTERS);
    let letters = entries(newest.query_async(connection).await?)?;
    let refused: BTreeSet<DeviceId> = letters
        .into_iter()
        .filter_map(|letter| refused(&letter.fields?))
        .collect();
    let found = wrong_keys(connection, backend, &refused).await?;
    let more = found.len().saturating_sub(MAX_LISTED);
    let lines = found.into_iter().map(|wrong| wrong.line);
    let mut lines: Vec<String> = lines.take(MAX_LISTED).collect();
    if more > 0 {
        lines.push(format!("{more} more keys of series hold something else"));
    }
    Ok(lines)
}

/// Returns the device of a dead letter whose reading or minute its series refused.
fn refused(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<DeviceId> {
    let text = |wanted: &str| {
        let found = fields.iter().find(|(name, _)| name == wanted.as_bytes());
        std::str::from_utf8(&found?.1).ok()
    };
    let reason = text("reason")?;
    if ![REFUSED, REFUSED_MINUTE]
        .iter()
        .any(|prefix| reason.starts_with(prefix))
    {
        return None;
    }
    DeviceId::new(text(field::DEVICE_ID)?).ok()
}
