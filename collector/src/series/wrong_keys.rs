//! Keys of series that hold something else, looked for where a series refused a reading: there may be too many series
//! to look at all.

use std::collections::BTreeMap;

use rackwatch_core::device::DeviceId;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::plain::late;

/// Most devices whose keys are looked at, which bounds the work of one look.
const MAX_DEVICES: usize = 100;

/// The beginning of the reason of a dead letter whose reading a series refused.
pub(crate) const REFUSED: &str = "series refused the reading: ";

/// Returns a line about each of these devices whose series is a key of another type, with what to do. `backend` is the
/// [name](super::Series::name) of the backend. Looks at the first [`MAX_DEVICES`].
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn wrong_keys(
    connection: &mut Connection,
    backend: &str,
    devices: impl IntoIterator<Item = &DeviceId>,
) -> RedisResult<BTreeMap<DeviceId, String>> {
    let mut expected = Vec::new();
    for device in devices.into_iter().take(MAX_DEVICES) {
        let key = connection.series_keys().raw(device);
        match backend {
            "timeseries" => expected.push((device, key, ("TSDB-TYPE", "time series"))),
            "plain" => {
                expected.push((device, late(&key), ("zset", "sorted set")));
                expected.push((device, key, ("stream", "stream")));
            }
            _ => {}
        }
    }
    let mut types = redis::pipe();
    for (_, key, _) in &expected {
        types.cmd("TYPE").arg(key);
    }
    if expected.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found: Vec<String> = types.query_async(connection).await?;
    let wrong = expected.into_iter().zip(found);
    let wrong = wrong.filter(|((.., (kind, _)), found)| found != "none" && found != kind);
    let line = |((device, key, (_, words)), found): ((&DeviceId, String, _), String)| {
        let line = format!(
            "{key} is a {found}, expected a {words}: readings of {device} are evaluated, and not stored; look at what \
             wrote the key, then rename or delete it"
        );
        (device.clone(), line)
    };
    Ok(wrong.map(line).collect())
}
