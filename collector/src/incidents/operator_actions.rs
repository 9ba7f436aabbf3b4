//! Actions of operators: acknowledgements, silences and maintenance windows. The command line, the API and the page all
//! come through here.
//!
//! In: a checked request. Out: a value in Redis, which the correlator reads before each step. Each action is one Redis
//! command, so it is done completely or not at all. Stored values of another version are never changed: they stay for a
//! program that understands them.

use std::collections::BTreeSet;

use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, StoredMember};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::stored::{StoredValue, encode};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::backoff;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::{AsyncCommands as _, RedisResult};

use crate::incidents::windows::Window;
use crate::stored::read_hash;

/// Shortest accepted prefix of an id: with fewer digits, several open incidents often share one.
const MIN_PREFIX: usize = 4;
/// Most silences, and most windows: the correlator checks each alert against all of them several times a second.
const MAX_COUNT: usize = 1000;
/// Longest reason, note or name, in bytes: what fits a table and a chat message.
const MAX_TEXT_BYTES: usize = 500;

/// The reason why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The prefix of an id is too short.
    #[error("{0:?} is too short: give at least {MIN_PREFIX} digits of the id")]
    ShortPrefix(String),
    /// No incident or alert has an id with this prefix.
    #[error(
        "no open incident, and no alert of one, has an id that begins with {0}: `rackwatch-collector incidents` lists them"
    )]
    NoIncident(String),
    /// No open alert has an id with this prefix.
    #[error(
        "no open alert has an id that begins with {0}: `rackwatch-collector alerts` prints ids in brackets"
    )]
    NoAlert(String),
    /// No alert of the incident is open.
    #[error(
        "no alert of incident {0} is open: the incident is resolved after incidents.resolve_after"
    )]
    NothingOpen(String),
    /// Too many resolutions wait.
    #[error("too many resolutions wait to be carried out: try again in a minute")]
    TooManyWaiting,
    /// Several ids have this prefix.
    #[error("{prefix} is ambiguous, give more digits of one of {}", candidates.join(", "))]
    Ambiguous {
        /// The prefix as it was given.
        prefix: String,
        /// The ids that begin with it.
        candidates: Vec<String>,
    },
    /// The limit is reached.
    #[error("{MAX_COUNT} exist already: remove some, or cover several devices with one glob")]
    TooMany,
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// Redis did not carry out the command.
    #[error("failed to write to Redis")]
    Redis(#[from] redis::RedisError),
}

/// Returns a new random id for a silence or a window.
pub fn new_id() -> String {
    format!("{:06x}", backoff::random() & 0xff_ffff)
}

/// Cleans text that a person typed: control characters become spaces.
///
/// # Errors
///
/// Fails if the text is too long.
pub fn clean_text(text: &str) -> Result<String, ActionError> {
    if text.len() > MAX_TEXT_BYTES {
        let why =
            format!("text is too long: a reason, note or name has at most {MAX_TEXT_BYTES} bytes");
        return Err(ActionError::Invalid(why));
    }
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    Ok(visible.collect::<String>().trim().to_owned())
}

/// Acknowledges the open incident whose id, or an alert's id, begins with `prefix`. Returns the incident's id.
///
/// # Errors
///
/// Fails if the prefix matches no incident or several, or if Redis does not answer.
pub async fn acknowledge(
    connection: &mut Connection,
    prefix: &str,
    ack: &Ack,
) -> Result<String, ActionError> {
    let prefix = checked_prefix(prefix)?;
    let incident = only_match(&prefix, find_incidents(connection, &prefix).await?)?;
    let _new: u64 = connection
        .hset(incidents::ACKS, &incident, encode(ack))
        .await?;
    Ok(incident)
}

/// Returns the prefix of an id in the form of ids.
///
/// # Errors
///
/// Fails if the prefix is too short.
pub fn checked_prefix(prefix: &str) -> Result<String, ActionError> {
    let prefix = prefix.trim().to_ascii_lowercase();
    if prefix.len() < MIN_PREFIX {
        return Err(ActionError::ShortPrefix(prefix));
    }
    Ok(prefix)
}

/// Returns the only match of a prefix.
///
/// # Errors
///
/// Fails if there is none, or if there are several.
pub fn only_match(prefix: &str, matches: BTreeSet<String>) -> Result<String, ActionError> {
    let prefix = prefix.to_owned();
    let mut candidates: Vec<String> = matches.into_iter().collect();
    match (candidates.pop(), candidates.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(ActionError::NoIncident(prefix)),
        (Some(last), false) => {
            candidates.push(last);
            Err(ActionError::Ambiguous { prefix, candidates })
        }
    }
}

/// Returns the open incidents whose id, or an alert's id, begins with `prefix`.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub(super) async fn find_incidents(
    connection: &mut Connection,
    prefix: &str,
) -> RedisResult<BTreeSet<String>> {
    let open = scan_hash(connection, incidents::OPEN).await?;
    let mut found: BTreeSet<String> = open
        .into_keys()
        .filter(|id| id.starts_with(prefix))
        .collect();
    for (alert, stored) in read_hash::<StoredMember>(connection, incidents::MEMBERS).await? {
        if alert.starts_with(prefix) {
            found.insert(stored.incident.as_str().to_owned());
        }
    }
    Ok(found)
}

/// Adds a silence.
///
/// # Errors
///
/// Fails if the matcher is invalid, if the limit is reached, or if Redis does not answer.
pub async fn add_silence(
    connection: &mut Connection,
    silence: &Silence,
    now: Timestamp,
) -> Result<(), ActionError> {
    silence.matcher.compile().map_err(ActionError::Invalid)?;
    if silences(connection, now).await?.len() >= MAX_COUNT {
        return Err(ActionError::TooMany);
    }
    store(connection, keys::SILENCES, &silence.id, silence).await
}

/// Returns the silences that have not expired, the next to expire first, and deletes the others.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn silences(connection: &mut Connection, now: Timestamp) -> RedisResult<Vec<Silence>> {
    let is_expired = |silence: &Silence| silence.until <= now;
    let mut silences = read_current(connection, keys::SILENCES, is_expired).await?;
    silences.sort_by_key(|silence| silence.until);
    Ok(silences)
}

/// Adds a maintenance window.
///
/// # Errors
///
/// Fails if the window is invalid, if the limit is reached, or if Redis does not answer.
pub async fn add_window(
    connection: &mut Connection,
    window: &Window,
    now: Timestamp,
) -> Result<(), ActionError> {
    window
        .check(now)
        .map_err(|why| ActionError::Invalid(why.to_string()))?;
    if windows(connection, now).await?.len() >= MAX_COUNT {
        return Err(ActionError::TooMany);
    }
    store(connection, keys::WINDOWS, &window.id, window).await
}

/// Returns the windows that are open or will open, the next one first, and deletes the others.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn windows(connection: &mut Connection, now: Timestamp) -> RedisResult<Vec<Window>> {
    let is_past = |window: &Window| window.is_past(now);
    let mut windows = read_current(connection, keys::WINDOWS, is_past).await?;
    windows.sort_by(|a, b| (a.next(now), &a.id).cmp(&(b.next(now), &b.id)));
    Ok(windows)
}

/// Deletes a silence or a window by its id, in any version. Returns whether it existed.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn remove(connection: &mut Connection, key: &str, id: &str) -> RedisResult<bool> {
    let removed: u64 = connection.hdel(key, id).await?;
    Ok(removed > 0)
}

async fn store<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
    id: &str,
    value: &T,
) -> Result<(), ActionError> {
    let _new: u64 = connection.hset(key, id, encode(value)).await?;
    Ok(())
}

/// Reads a hash without expired values, and deletes those. Values of another version stay.
async fn read_current<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
    is_expired: impl Fn(&T) -> bool,
) -> RedisResult<Vec<T>> {
    let mut current = Vec::new();
    for (id, value) in read_hash::<T>(connection, key).await? {
        if is_expired(&value) {
            let _deleted: u64 = connection.hdel(key, id).await?;
        } else {
            current.push(value);
        }
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_exactly_one_match() {
        let among = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            only_match("a1b2", ids).map_err(|error| error.to_string())
        };
        assert_eq!(among(&["a1b2c3"]).unwrap(), "a1b2c3");
        let none = among(&[]).unwrap_err();
        assert!(none.contains("begins with a1b2"), "{none}");
        let ambiguous = among(&["a1b2c3", "a1b2d4"]).unwrap_err();
        assert!(ambiguous.contains("a1b2c3, a1b2d4"), "{ambiguous}");
        assert_eq!(checked_prefix(" A1B2 ").unwrap(), "a1b2");
        assert!(matches!(
            checked_prefix("a1"),
            Err(ActionError::ShortPrefix(_))
        ));
    }

    #[test]
    fn text_is_bounded_and_has_no_line_breaks() {
        assert_eq!(clean_text(" on my\nway ").unwrap(), "on my way");
        assert!(clean_text(&"x".repeat(MAX_TEXT_BYTES + 1)).is_err());
    }
}
