//! `TS.MADD`, with series created on the way and an outcome for each value.
//!
//! In: values for any series, in order. Out: the error of each value, or none. An error about
//! the server fails all; then some values may be written, and the caller adds all again.

use std::collections::HashMap;

use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::{Cmd, ServerError, Value, cmd};

use super::super::backend::PointOutcome;
use super::super::{SeriesError, reply};

const WRITE: &str = "write time series";

/// A value to add to a series.
pub(super) struct MaddValue<'a> {
    pub(super) key: &'a str,
    pub(super) at: Timestamp,
    pub(super) value: Celsius,
}

/// The commands that create a series.
pub(super) struct Creation {
    /// The command with labels.
    pub(super) labelled: Cmd,
    /// The command without labels, for a server that refuses them.
    pub(super) plain: Cmd,
}

fn madd(items: &[&MaddValue<'_>]) -> Cmd {
    let mut command = cmd("TS.MADD");
    for MaddValue { key, at, value } in items {
        command.arg(*key).arg(at.millis()).arg(value.degrees());
    }
    command
}

/// Adds values and returns the error of each. Creates missing series with the commands that `create`
/// returns for the index of a value. The error of a value whose series cannot be created is that of the
/// creation.
pub(super) async fn add(
    connection: &mut Connection,
    most: usize,
    items: &[MaddValue<'_>],
    create: impl Fn(usize) -> Option<Creation> + Send + Sync,
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
    let refused = create_missing(connection, most, keys, create).await?;
    let again: Vec<_> = missing.iter().map(|&index| &items[index]).collect();
    let results = add_known(connection, most, &again).await?;
    for (index, error) in missing.into_iter().zip(results) {
        // "No such key" says nothing where the reason is known.
        let reason = error.as_ref().filter(|error| is_missing(error));
        let reason = reason.and_then(|_| refused.get(items[index].key));
        errors[index] = reason.cloned().or(error);
    }
    Ok(errors)
}

/// Creates a series for each key, without labels where Redis refuses them. Returns the errors of the keys
/// that could not be created. One that another client created meanwhile is no error.
async fn create_missing<'k>(
    connection: &mut Connection,
    most: usize,
    keys: HashMap<&'k str, usize>,
    create: impl Fn(usize) -> Option<Creation> + Send + Sync,
) -> Result<HashMap<&'k str, ServerError>, SeriesError> {
    const CREATE: &str = "create time series";
    let (mut names, mut labelled, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for (key, index) in keys {
        let Some(creation) = create(index) else {
            continue;
        };
        names.push(key);
        labelled.push(creation.labelled);
        plain.push(creation.plain);
    }
    let replies = reply::run(connection, CREATE, most, labelled).await?;
    let (mut refused, mut again) = (Vec::new(), Vec::new());
    for ((name, plain), answer) in names.into_iter().zip(plain).zip(replies) {
        if error(answer).is_some_and(|error| !already_exists(&error)) {
            refused.push(name);
            again.push(plain);
        }
    }
    let replies = reply::run(connection, CREATE, most, again).await?;
    let errors = refused.into_iter().zip(replies);
    let errors = errors.filter_map(|(name, answer)| {
        Some((name, error(answer).filter(|error| !already_exists(error))?))
    });
    Ok(errors.collect())
}

/// Returns whether a series could not be created because its key exists.
fn already_exists(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|details| details.contains("already exists"))
}

async fn add_known(
    connection: &mut Connection,
    most: usize,
    items: &[&MaddValue<'_>],
) -> Result<Vec<Option<ServerError>>, SeriesError> {
    // Stable: values of a series stay in order.
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| tag(items[index].key));
    let chunks: Vec<&[usize]> = order
        .chunk_by(|&a, &b| tag(items[a].key) == tag(items[b].key))
        .flat_map(|same| same.chunks(most))
        .collect();
    let of = |chunk: &[usize]| -> Vec<&MaddValue<'_>> { chunk.iter().map(|&i| items[i]).collect() };
    let commands: Vec<_> = chunks.iter().map(|chunk| madd(&of(chunk))).collect();
    // Few values in flight: the replies of a full chunk are as large as those of a pipeline elsewhere.
    let at_once = 2 * (most * chunks.len() / items.len().max(1)).max(1);
    let replies = reply::run(connection, WRITE, at_once, commands).await?;
    let mut errors = vec![None; items.len()];
    for (chunk, answer) in chunks.into_iter().zip(replies) {
        let found = match answer {
            Value::Array(answers) if answers.len() == chunk.len() => {
                reply::check(WRITE, &answers)?;
                answers.into_iter().map(error).collect()
            }
            // Some servers refuse the whole command for one of its values.
            Value::ServerError(_) => add_singly(connection, most, &of(chunk)).await?,
            other => return Err(reply::unexpected(WRITE, &other)),
        };
        for (&index, error) in chunk.iter().zip(found) {
            errors[index] = error;
        }
    }
    Ok(errors)
}

/// Returns the hash tag of a key, which all keys of a command must share on a cluster.
fn tag(key: &str) -> &str {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    tag.map_or("", |(tag, _)| tag)
}

async fn add_singly(
    connection: &mut Connection,
    most: usize,
    items: &[&MaddValue<'_>],
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

/// Returns whether the text of an error means that there is no such series.
pub(in crate::series) fn says_missing(details: &str) -> bool {
    details.contains("key does not exist") || details.contains("not a TSDB key")
}

/// Returns whether there is no such series. A key of another type has the same error.
pub(super) fn is_missing(error: &ServerError) -> bool {
    error.details().is_some_and(says_missing)
}

/// Returns whether that time has a value, in a series that another client created with another policy.
fn is_duplicate(error: &ServerError) -> bool {
    error
        .details()
        .is_some_and(|details| details.contains("DUPLICATE_POLICY"))
}

pub(super) fn outcome(error: Option<ServerError>) -> PointOutcome {
    match error {
        None => PointOutcome::Written,
        Some(error) if is_duplicate(&error) => PointOutcome::Duplicate,
        Some(error) => PointOutcome::Refused(reply::error_text(&error)),
    }
}
