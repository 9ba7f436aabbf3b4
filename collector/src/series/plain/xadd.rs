//! Adds values to streams, and late ones to the sorted sets beside them.
//!
//! In: values for any series, in order. Out: the outcome of each. An error about the server fails
//! all; then some values may be written, and the caller adds all again.

use std::time::Duration;

use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::{Cmd, ServerError, ServerErrorKind, Value, cmd};

use super::super::backend::PointOutcome;
use super::super::{SeriesError, reply};

const WRITE: &str = "write series";

/// Field of the stream: short, because every entry has it.
pub(super) const FIELD: &str = "t";

/// Stores a late reading unless its time has one. KEYS: stream, sorted set. ARGV: time, value,
/// retention in milliseconds. Returns 1 (stored), 0 (stored before) or -1 (older than the retention).
pub(super) const LATE_READING: &str = r"
local id = ARGV[1] .. '-0'
if #redis.call('XRANGE', KEYS[1], id, id) > 0 then return 0 end
if redis.call('ZCOUNT', KEYS[2], ARGV[1], ARGV[1]) > 0 then return 0 end
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if top and tonumber(string.match(top[1], '^%d+')) - tonumber(ARGV[1]) > tonumber(ARGV[3]) then
  return -1
end
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[1] .. '=' .. ARGV[2])
return 1";

/// Stores a value of a recomputed minute, unless the stream has the same value. KEYS and ARGV as
/// above.
pub(super) const LATE_MINUTE: &str = r"
local id = ARGV[1] .. '-0'
redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])
local held = redis.call('XRANGE', KEYS[1], id, id)[1]
if held and held[2][2] == ARGV[2] then return 0 end
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[1] .. '=' .. ARGV[2])
return 1";

/// A script, and its hash once Redis has loaded it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    sha: String,
}

/// One value to add to a stream.
pub(super) struct StreamValue<'a> {
    pub(super) stream: &'a str,
    pub(super) at: Timestamp,
    pub(super) value: Celsius,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self {
            text,
            sha: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    fn call(&self, item: &StreamValue<'_>, retention: Duration) -> Cmd {
        let mut command = cmd("EVALSHA");
        command
            .arg(&self.sha)
            .arg(2)
            .arg(item.stream)
            .arg(late(item.stream))
            .arg(item.at.millis())
            .arg(item.value.degrees())
            .arg(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX));
        command
    }
}

/// Returns the sorted set beside a stream: [`SeriesKeys::late`](rackwatch_core::keys::SeriesKeys::late) for readings.
pub(in crate::series) fn late(stream: &str) -> String {
    format!("{stream}:late")
}

/// Adds values to streams, late ones by `script`. Returns the outcome of each.
pub(super) async fn add(
    connection: &mut Connection,
    most: usize,
    items: &[StreamValue<'_>],
    script: &Script,
    retention: Duration,
) -> Result<Vec<PointOutcome>, SeriesError> {
    let xadd = |item: &StreamValue<'_>| {
        let mut command = cmd("XADD");
        command
            .arg(item.stream)
            .arg(id(item.at))
            .arg(FIELD)
            .arg(item.value.degrees());
        command
    };
    let replies = reply::run(connection, WRITE, most, items.iter().map(xadd).collect()).await?;
    let mut outcomes = Vec::with_capacity(items.len());
    let mut late = Vec::new();
    for (index, answer) in replies.into_iter().enumerate() {
        outcomes.push(match answer {
            Value::ServerError(error) if is_late(&error) => {
                late.push(index);
                PointOutcome::Written
            }
            Value::ServerError(error) => PointOutcome::Refused(reply::error_text(&error)),
            _ => PointOutcome::Written,
        });
    }
    let calls: Vec<Cmd> = late
        .iter()
        .map(|&index| script.call(&items[index], retention))
        .collect();
    let answers = eval(connection, most, script, &calls).await?;
    for (index, answer) in late.into_iter().zip(answers) {
        outcomes[index] = late_outcome(answer)?;
    }
    Ok(outcomes)
}

/// Runs calls of a script; loads it first if Redis does not have it.
async fn eval(
    connection: &mut Connection,
    most: usize,
    script: &Script,
    calls: &[Cmd],
) -> Result<Vec<Value>, SeriesError> {
    let replies = reply::run(connection, WRITE, most, calls.to_vec()).await?;
    let lacks = |answer: &Value| {
        matches!(answer, Value::ServerError(error)
            if error.kind() == Some(ServerErrorKind::NoScript))
    };
    if !replies.iter().any(lacks) {
        return Ok(replies);
    }
    // Both scripts say the same when run twice, so all calls can be repeated.
    let mut load = cmd("SCRIPT");
    load.arg(&["LOAD", script.text]);
    reply::run(connection, "load a script", most, vec![load]).await?;
    reply::run(connection, WRITE, most, calls.to_vec()).await
}

fn late_outcome(answer: Value) -> Result<PointOutcome, SeriesError> {
    match answer {
        Value::Int(1) => Ok(PointOutcome::Written),
        Value::Int(0) => Ok(PointOutcome::Duplicate),
        Value::Int(-1) => Ok(PointOutcome::Refused("older than the retention".to_owned())),
        Value::ServerError(error) => Ok(PointOutcome::Refused(reply::error_text(&error))),
        other => Err(reply::unexpected(WRITE, &other)),
    }
}

pub(super) fn id(at: Timestamp) -> String {
    format!("{at}-0")
}

/// Returns whether the id is not above the last of the stream.
fn is_late(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|details| details.contains("equal or smaller than the target stream top"))
}
