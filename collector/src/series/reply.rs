//! Pipelines of commands, with a check of each reply.
//!
//! An error about one key or value (`ERR`, `WRONGTYPE`) stays among the replies, for the caller. Any other
//! (out of memory, read-only, loading, no permission) is about the server, and fails all commands.

use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::Connection;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, ServerError, ServerErrorKind, Value};

use super::{Samples, SeriesError};

/// Maximum length of an unexpected reply in an error, in characters.
const MAX_SHOWN: usize = 200;

/// Runs commands in pipelines of up to `max` each. Returns one reply for each command, in order.
/// `what` names the operation in errors, such as "write series".
pub(super) async fn run(
    connection: &mut Connection,
    what: &'static str,
    max: usize,
    commands: Vec<Cmd>,
) -> Result<Vec<Value>, SeriesError> {
    let mut replies = Vec::with_capacity(commands.len());
    let mut commands = commands.into_iter();
    while commands.len() > 0 {
        let mut pipe = Pipeline::new();
        let mut count = 0;
        for command in commands.by_ref().take(max) {
            pipe.add_command(command);
            count += 1;
        }
        let received = connection
            .req_packed_commands(&pipe, 0, count)
            .await
            .map_err(|source| SeriesError::Redis { what, source })?;
        if received.len() != count {
            let answer = format!("{} replies to {count} commands", received.len());
            return Err(SeriesError::Reply { what, answer });
        }
        check(what, &received)?;
        replies.extend(received);
    }
    Ok(replies)
}

/// Fails if one of the replies is an error about the server.
pub(super) fn check(what: &'static str, replies: &[Value]) -> Result<(), SeriesError> {
    for reply in replies {
        if let Value::ServerError(error) = reply
            && !is_about_key(error)
        {
            let source = error.clone().into();
            return Err(SeriesError::Redis { what, source });
        }
    }
    Ok(())
}

/// Returns whether an error is about a key, value or script, and not about the server.
fn is_about_key(error: &ServerError) -> bool {
    let is_unknown_command = error
        .details()
        .is_some_and(|details| details.starts_with("unknown command"));
    // RedisTimeSeries begins some errors with `TSDB:` instead of a code.
    !is_unknown_command
        && (matches!(error.code(), "ERR" | "WRONGTYPE" | "TSDB:")
            || error.kind() == Some(ServerErrorKind::NoScript))
}

/// Returns the text of an error, with its code unless that is `ERR`.
pub(super) fn error_text(error: &ServerError) -> String {
    match (error.code(), error.details()) {
        ("WRONGTYPE", _) => {
            "WRONGTYPE: its key in Redis has another type, look at what wrote the key, then rename or delete it"
                .to_owned()
        }
        ("ERR", Some(details)) => details.to_owned(),
        (code, Some(details)) => format!("{code} {details}"),
        (code, None) => code.to_owned(),
    }
}

/// Returns the error for a reply of an unexpected type.
pub(super) fn unexpected(what: &'static str, reply: &Value) -> SeriesError {
    let answer = format!("{reply:?}").chars().take(MAX_SHOWN).collect();
    SeriesError::Reply { what, answer }
}

/// Returns the samples in `reply`, each parsed by `parse`. Skips entries that are not temperatures:
/// other clients may write to the same keys.
pub(super) fn samples(
    reply: Value,
    parse: impl Fn(&Value) -> Option<(Timestamp, Celsius)>,
) -> Result<Samples, String> {
    match reply {
        Value::Array(items) => Ok(items.iter().filter_map(parse).collect()),
        Value::ServerError(error) => Err(error_text(&error)),
        other => Err(format!("{other:?}").chars().take(MAX_SHOWN).collect()),
    }
}

/// Parses an integer, sent as number or text.
pub(super) fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// Parses a time in milliseconds since 1970.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    Timestamp::from_millis(integer(value)?)
}

/// Parses a temperature, sent as number or text.
pub(super) fn celsius(value: &Value) -> Option<Celsius> {
    match value {
        Value::Double(degrees) => Celsius::new(*degrees).ok(),
        Value::Int(degrees) => Celsius::new(*degrees as f64).ok(),
        other => Celsius::parse(text(other)?).ok(),
    }
}

/// Parses text, sent as simple or bulk string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
