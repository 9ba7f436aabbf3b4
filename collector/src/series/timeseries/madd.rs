//! `TS.MADD`, value by value: what is missing is created, what is refused is named.
//!
//! In: values for any series, in order. Out: of each the error that Redis has for it, or none. An
//! error that concerns all fails the whole; then some values may be written, and adding all again
//! is right.

use std::collections::HashMap;

use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ServerError, Value, cmd};

use super::super::{Outcome, SeriesError, reply};

const WRITE: &str = "write time series";

/// One value for `TS.MADD`.
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) at: Timestamp,
    pub(super) value: Celsius,
}

fn madd(items: &[&Item<'_>]) -> Cmd {
    let mut command = cmd("TS.MADD");
    for Item { key, at, value } in items {
        command.arg(*key).arg(at.millis()).arg(value.degrees());
    }
    command
}

/// Adds values; of each the error, if any. Series that are missing are created with what `create`
/// gives for the index of a value.
pub(super) async fn add(
    connection: &mut MultiplexedConnection,
    most: usize,
    items: &[Item<'_>],
    create: impl Fn(usize) -> Option<Cmd> + Send + Sync,
) -> Result<Vec<Option<ServerError>>, SeriesError> {
    let all: Vec<_> = items.iter().collect();
    let mut errors = add_known(connection, most, &all).await?;
    let missing: Vec<usize> = (0..items.len())
        .filter(|&index| errors[index].as_ref().is_some_and(is_missing))
        .collect();
    if missing.is_empty() {
        return Ok(errors);
    }
    let mut keys: HashMap<&str, usize> = HashMap::new();
    for &index in &missing {
        keys.entry(items[index].key).or_insert(index);
    }
    // What came of it is seen when the values are added again: that the key is there by now is
    // as good as having created it, and a key of another type is refused once more.
    let creations = keys.into_values().filter_map(create).collect();
    reply::run(connection, "create time series", most, creations).await?;
    let again: Vec<_> = missing.iter().map(|&index| &items[index]).collect();
    let results = add_known(connection, most, &again).await?;
    for (index, error) in missing.into_iter().zip(results) {
        errors[index] = error;
    }
    Ok(errors)
}

async fn add_known(
    connection: &mut MultiplexedConnection,
    most: usize,
    items: &[&Item<'_>],
) -> Result<Vec<Option<ServerError>>, SeriesError> {
    let chunks = || items.chunks(most);
    let commands = chunks().map(|chunk| madd(chunk)).collect();
    // Few chunks in flight: the replies of one are as large as those of a pipeline elsewhere.
    let replies = reply::run(connection, WRITE, 2, commands).await?;
    let mut errors = Vec::with_capacity(items.len());
    for (chunk, answer) in chunks().zip(replies) {
        match answer {
            Value::Array(answers) if answers.len() == chunk.len() => {
                reply::check(WRITE, &answers)?;
                errors.extend(answers.into_iter().map(error));
            }
            // Some servers refuse the whole command for one of its values.
            Value::ServerError(_) => errors.extend(add_singly(connection, most, chunk).await?),
            other => return Err(reply::unexpected(WRITE, &other)),
        }
    }
    Ok(errors)
}

async fn add_singly(
    connection: &mut MultiplexedConnection,
    most: usize,
    items: &[&Item<'_>],
) -> Result<Vec<Option<ServerError>>, SeriesError> {
    let commands = items.iter().map(|item| madd(&[item])).collect();
    let replies = reply::run(connection, WRITE, most, commands).await?;
    let single = |answer| match answer {
        Value::Array(mut answers) => answers.pop().and_then(error),
        other => error(other),
    };
    let errors: Vec<_> = replies.into_iter().map(single).collect();
    for error in errors.iter().flatten() {
        reply::check(WRITE, &[Value::ServerError(error.clone())])?;
    }
    Ok(errors)
}

fn error(answer: Value) -> Option<ServerError> {
    match answer {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

/// There is no such series. The module says the same of a key of another type.
pub(super) fn is_missing(error: &ServerError) -> bool {
    error.details().is_some_and(|details| {
        details.contains("key does not exist") || details.contains("not a TSDB key")
    })
}

/// There is a value at that time, in a series that somebody else created with another policy.
fn is_duplicate(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|details| details.contains("DUPLICATE_POLICY"))
}

pub(super) fn outcome(error: Option<ServerError>) -> Outcome {
    match error {
        None => Outcome::Written,
        Some(error) if is_duplicate(&error) => Outcome::Duplicate,
        Some(error) => Outcome::Refused(reply::words(&error)),
    }
}
