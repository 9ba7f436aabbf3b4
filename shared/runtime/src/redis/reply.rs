//! Parses replies by moving their parts, which the types of the client library would copy.
//!
//! In: a [`Value`] as the server sent it, RESP2 or RESP3. Out: entries with their fields in order,
//! duplicate names included. On stream replies the library's
//! `StreamReadReply` measures several times as slow, and drops duplicate names.

use redis::Value;
use thiserror::Error;

/// Names and values of an entry, in order, duplicates included.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An undecoded entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Milliseconds and sequence number of its id.
    pub id: (u64, u64),
    /// Names and values in order; `None` if the entry was trimmed while it was pending.
    pub fields: Option<Fields>,
}

/// A reply of an unexpected kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected} in the reply of Redis, found {found}")]
pub struct ReplyError {
    expected: &'static str,
    found: String,
}

impl ReplyError {
    fn new(expected: &'static str, found: &Value) -> Self {
        // Contents are left out: they may be long, and are not ours to log.
        let found = match found {
            Value::ServerError(error) => format!("the error {}", error.code()),
            Value::Nil => "nothing".to_owned(),
            Value::Int(_) | Value::Double(_) => "a number".to_owned(),
            Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string".to_owned(),
            Value::Array(items) | Value::Set(items) => format!("{} items", items.len()),
            Value::Map(pairs) => format!("{} pairs", pairs.len()),
            _ => "something else".to_owned(),
        };
        Self { expected, found }
    }
}

/// Parses the streams and entries of an XREADGROUP or XREAD reply; empty after a timeout.
///
/// # Errors
///
/// When the reply is of another kind.
pub fn streams(reply: Value) -> Result<Vec<(String, Vec<RawEntry>)>, ReplyError> {
    const EXPECTED: &str = "a stream's name and entries";
    match reply {
        Value::Nil => Ok(Vec::new()),
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(name, read)| stream(name, read))
            .collect(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::Array(pair) => {
                    let [name, read]: [Value; 2] = pair
                        .try_into()
                        .map_err(|pair| ReplyError::new(EXPECTED, &Value::Array(pair)))?;
                    stream(name, read)
                }
                other => Err(ReplyError::new(EXPECTED, &other)),
            })
            .collect(),
        other => Err(ReplyError::new(EXPECTED, &other)),
    }
}

fn stream(name: Value, read: Value) -> Result<(String, Vec<RawEntry>), ReplyError> {
    let name = String::from_utf8(bytes(name, "a stream's name")?);
    // A stream is read because its name was sent, and ours are text.
    let name = name.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok((name, entries(read)?))
}

/// Parses the entries of an XRANGE reply, of one stream, or of the middle part of XAUTOCLAIM.
///
/// # Errors
///
/// When the reply is of another kind.
pub fn entries(reply: Value) -> Result<Vec<RawEntry>, ReplyError> {
    match reply {
        Value::Nil => Ok(Vec::new()),
        // Redis 6.2 puts nothing in the place of a claimed entry that was trimmed.
        Value::Array(items) => items
            .into_iter()
            .filter(|item| !matches!(item, Value::Nil))
            .map(entry)
            .collect(),
        other => Err(ReplyError::new("entries of a stream", &other)),
    }
}

/// Parses an id and fields. Ignores the two numbers that XREADGROUP adds with CLAIM.
fn entry(value: Value) -> Result<RawEntry, ReplyError> {
    const EXPECTED: &str = "an entry's id and fields";
    let Value::Array(parts) = value else {
        return Err(ReplyError::new(EXPECTED, &value));
    };
    if parts.len() < 2 {
        return Err(ReplyError::new(EXPECTED, &Value::Array(parts)));
    }
    let mut parts = parts.into_iter();
    let (id, read) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    Ok(RawEntry {
        id: entry_id(id)?,
        fields: fields(read)?,
    })
}

fn entry_id(value: Value) -> Result<(u64, u64), ReplyError> {
    const EXPECTED: &str = "an entry's id such as 1700000000000-0";
    let id = bytes(value, EXPECTED)?;
    let parse = |id: &[u8]| {
        let (ms, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
        Some((ms.parse().ok()?, sequence.parse().ok()?))
    };
    parse(&id).ok_or_else(|| ReplyError::new(EXPECTED, &Value::BulkString(id)))
}

/// Parses fields. XADD refuses an entry without any, so an empty list means a trimmed entry.
fn fields(value: Value) -> Result<Option<Fields>, ReplyError> {
    const EXPECTED: &str = "an entry's fields";
    let pairs: Fields = match value {
        Value::Nil => return Ok(None),
        Value::Array(items) if items.len().is_multiple_of(2) => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((bytes(name, EXPECTED)?, bytes(value, EXPECTED)?));
            }
            pairs
        }
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(name, value)| Ok((bytes(name, EXPECTED)?, bytes(value, EXPECTED)?)))
            .collect::<Result<_, ReplyError>>()?,
        other => return Err(ReplyError::new(EXPECTED, &other)),
    };
    Ok((!pairs.is_empty()).then_some(pairs))
}

fn bytes(value: Value, expected: &'static str) -> Result<Vec<u8>, ReplyError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        other => Err(ReplyError::new(expected, &other)),
    }
}

#[cfg(test)]
mod tests;
