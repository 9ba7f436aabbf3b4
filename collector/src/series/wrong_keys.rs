//! Keys of series and of their roll-ups that hold something else, looked for where a series refused a reading or a minute:
//! there may be too many series to look at all.

use rackwatch_core::device::DeviceId;
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;

use super::Aggregate;
use super::plain::late;

/// Most devices whose keys are looked at, which bounds the work of one look.
const MAX_DEVICES: usize = 100;

/// The beginning of the reason of a dead letter whose reading a series refused.
pub(crate) const REFUSED: &str = "series refused the reading: ";
/// The beginning of the reason of a dead letter about a refused minute. It holds no reading: those of the minute are stored.
pub(crate) const REFUSED_MINUTE: &str = "series refused a minute: ";

/// The content that belongs in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeriesContent {
    /// Readings of a device.
    Readings,
    /// Roll-ups of its minutes.
    Minutes,
}

/// A key of a series that holds something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongKey {
    /// The device of the series.
    pub(crate) device: DeviceId,
    /// The key in Redis.
    pub(crate) key: String,
    /// The content that belongs there.
    pub(crate) content: SeriesContent,
    /// A sentence about the present content, its effect and the remedy.
    pub(crate) line: String,
}

/// A key of a series, with its type as Redis names it and in words.
struct ExpectedKey<'d> {
    device: &'d DeviceId,
    key: String,
    content: SeriesContent,
    kind: &'static str,
    words: &'static str,
}

/// Returns the keys of these devices' series that have another type. `backend` is the [name](super::Series::name) of the
/// backend. Looks at the first [`MAX_DEVICES`].
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn wrong_keys(
    connection: &mut Connection,
    backend: &str,
    devices: impl IntoIterator<Item = &DeviceId>,
) -> RedisResult<Vec<WrongKey>> {
    let names = connection.series_keys();
    let mut expected = Vec::new();
    for device in devices.into_iter().take(MAX_DEVICES) {
        let readings = (names.raw(device), SeriesContent::Readings);
        let minutes = Aggregate::ALL.map(|which| {
            let key = names.rollup(device, which.name());
            (key, SeriesContent::Minutes)
        });
        for key in std::iter::once(readings).chain(minutes) {
            expected.extend(expected_keys(device, backend, key));
        }
    }
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let mut types = redis::pipe();
    for one in &expected {
        types.cmd("TYPE").arg(&one.key);
    }
    let found: Vec<String> = types.query_async(connection).await?;
    let all = expected.into_iter().zip(found);
    let wrong = all.filter(|(one, found)| found != "none" && found != one.kind);
    Ok(wrong.map(|(one, found)| one.holding(&found)).collect())
}

/// Returns the keys in which a backend stores one series.
fn expected_keys<'d>(
    device: &'d DeviceId,
    backend: &str,
    (key, content): (String, SeriesContent),
) -> Vec<ExpectedKey<'d>> {
    let expected = |key, kind, words| ExpectedKey {
        device,
        key,
        content,
        kind,
        words,
    };
    match backend {
        "timeseries" => vec![expected(key, "TSDB-TYPE", "time series")],
        "plain" => vec![
            expected(late(&key), "zset", "sorted set"),
            expected(key, "stream", "stream"),
        ],
        _ => Vec::new(),
    }
}

impl ExpectedKey<'_> {
    fn holding(self, found: &str) -> WrongKey {
        let Self {
            device, key, words, ..
        } = self;
        let effect = match self.content {
            SeriesContent::Readings => {
                format!("readings of {device} are evaluated, and not stored")
            }
            SeriesContent::Minutes => {
                format!("minutes of {device} are not stored, its readings are")
            }
        };
        WrongKey {
            line: format!(
                "{key} is a {found}, expected a {words}: {effect}; look at what wrote the key, then rename or delete it"
            ),
            device: device.clone(),
            content: self.content,
            key,
        }
    }
}
