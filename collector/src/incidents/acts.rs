//! What people do: they take incidents on, and say what they do not want to hear of. One way for the command line, the API
//! and the page.
//!
//! In: what is meant. Out: what stands in Redis, where the correlator reads it before each step. Each is one command of
//! Redis: done, or not.

use std::collections::BTreeSet;

use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, Stored};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::backoff;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::{AsyncCommands as _, RedisResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::incidents::windows::Window;

/// A shorter beginning of an id may be anything.
const SHORTEST: usize = 4;
/// More silences, or windows, than these would be looked at for each alert several times a second.
const MOST: usize = 1000;
/// The longest reason, note or name.
const LONGEST_WORDS: usize = 500;

/// It cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// Too little is said.
    #[error("{0:?} is too short: give at least {SHORTEST} digits of the id")]
    Short(String),
    /// Nothing is called so.
    #[error(
        "no open incident, and no alert of one, begins with {0}: `rackwatch-collector incidents` lists them"
    )]
    NoIncident(String),
    /// Several are.
    #[error("{id} may be any of {}: give more digits", may_be.join(", "))]
    Several {
        /// What was said.
        id: String,
        /// What may be meant.
        may_be: Vec<String>,
    },
    /// There are too many.
    #[error("there are {MOST} of them already: say with a glob what is to be silent")]
    TooMany,
    /// It cannot be meant.
    #[error("{0}")]
    Wrong(String),
    /// Redis does not take it.
    #[error("Redis did not take it")]
    Redis(#[from] redis::RedisError),
}

/// A new name for a silence or a window.
pub fn new_id() -> String {
    format!("{:06x}", backoff::random() & 0xff_ffff)
}

/// Words of people, without what would spoil a table, and not too many.
///
/// # Errors
///
/// When they are too many.
pub fn words(text: &str) -> Result<String, ActError> {
    if text.len() > LONGEST_WORDS {
        let why = format!("a reason, a note or a name has at most {LONGEST_WORDS} bytes");
        return Err(ActError::Wrong(why));
    }
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    Ok(visible.collect::<String>().trim().to_owned())
}

/// Takes the incident on that `id` begins, or that one of whose alerts does; says which it is.
///
/// # Errors
///
/// When it is not one.
pub async fn ack(connection: &mut Connection, id: &str, ack: &Ack) -> Result<String, ActError> {
    let id = beginning(id)?;
    let incident = the_one(&id, find(connection, &id).await?)?;
    // Strings and numbers only: this cannot fail.
    let json = serde_json::to_string(ack).unwrap_or_default();
    let _new: u64 = connection.hset(incidents::ACKS, &incident, json).await?;
    Ok(incident)
}

/// How an id begins, as it was typed.
///
/// # Errors
///
/// When that may be anything.
pub fn beginning(id: &str) -> Result<String, ActError> {
    let id = id.trim().to_ascii_lowercase();
    if id.len() < SHORTEST {
        return Err(ActError::Short(id));
    }
    Ok(id)
}

/// The one that was found to begin so.
///
/// # Errors
///
/// When it is none, or several.
pub fn the_one(id: &str, found: BTreeSet<String>) -> Result<String, ActError> {
    let id = id.to_owned();
    let mut may_be: Vec<String> = found.into_iter().collect();
    match (may_be.pop(), may_be.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(ActError::NoIncident(id)),
        (Some(last), false) => {
            may_be.push(last);
            Err(ActError::Several { id, may_be })
        }
    }
}

/// The open incidents whose id, or that of one of whose alerts, begins so.
async fn find(connection: &mut Connection, id: &str) -> RedisResult<BTreeSet<String>> {
    let open = scan_hash(connection, incidents::OPEN).await?;
    let mut found: BTreeSet<String> = open
        .keys()
        .filter(|known| known.starts_with(id))
        .cloned()
        .collect();
    for (alert, json) in scan_hash(connection, incidents::MEMBERS).await? {
        if alert.starts_with(id)
            && let Ok(stored) = serde_json::from_slice::<Stored>(&json)
        {
            found.insert(stored.incident.as_str().to_owned());
        }
    }
    Ok(found)
}

/// Begins a silence.
///
/// # Errors
///
/// When it would match everything, or there are too many.
pub async fn silence(
    connection: &mut Connection,
    silence: &Silence,
    now: Timestamp,
) -> Result<(), ActError> {
    silence.matcher.check().map_err(ActError::Wrong)?;
    if silences(connection, now).await?.len() >= MOST {
        return Err(ActError::TooMany);
    }
    keep(connection, keys::SILENCES, &silence.id, silence).await
}

/// Silences that last, the next to end first; those that are over are forgotten.
///
/// # Errors
///
/// When Redis does not answer.
pub async fn silences(connection: &mut Connection, now: Timestamp) -> RedisResult<Vec<Silence>> {
    let over = |silence: &Silence| silence.until <= now;
    let mut lasting = tidy(connection, keys::SILENCES, over).await?;
    lasting.sort_by_key(|silence| silence.until);
    Ok(lasting)
}

/// Plans a window.
///
/// # Errors
///
/// When it cannot be meant, or there are too many.
pub async fn window(
    connection: &mut Connection,
    window: &Window,
    now: Timestamp,
) -> Result<(), ActError> {
    window
        .check()
        .map_err(|why| ActError::Wrong(why.to_string()))?;
    if windows(connection, now).await?.len() >= MOST {
        return Err(ActError::TooMany);
    }
    keep(connection, keys::WINDOWS, &window.id, window).await
}

/// Windows that will be open, or are; those that are over are forgotten.
///
/// # Errors
///
/// When Redis does not answer.
pub async fn windows(connection: &mut Connection, now: Timestamp) -> RedisResult<Vec<Window>> {
    let mut windows = tidy(connection, keys::WINDOWS, |window: &Window| {
        window.is_over(now)
    })
    .await?;
    windows.sort_by(|a, b| (a.next(now), &a.id).cmp(&(b.next(now), &b.id)));
    Ok(windows)
}

/// Ends the silence, or takes back the window, of this name; whether there was one.
///
/// # Errors
///
/// When Redis does not answer.
pub async fn remove(connection: &mut Connection, key: &str, id: &str) -> RedisResult<bool> {
    let removed: u64 = connection.hdel(key, id).await?;
    Ok(removed > 0)
}

async fn keep<T: Serialize>(
    connection: &mut Connection,
    key: &str,
    id: &str,
    what: &T,
) -> Result<(), ActError> {
    // Strings and numbers only: this cannot fail.
    let json = serde_json::to_string(what).unwrap_or_default();
    let _new: u64 = connection.hset(key, id, json).await?;
    Ok(())
}

/// All of a hash, without what is over, which is forgotten with what cannot be read.
async fn tidy<T: DeserializeOwned>(
    connection: &mut Connection,
    key: &str,
    is_over: impl Fn(&T) -> bool,
) -> RedisResult<Vec<T>> {
    let mut kept = Vec::new();
    for (id, json) in scan_hash(connection, key).await? {
        match serde_json::from_slice::<T>(&json) {
            Ok(one) if !is_over(&one) => kept.push(one),
            _ => {
                let _gone: u64 = connection.hdel(key, id).await?;
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_one_of_what_begins_so() {
        let among = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            the_one("a1b2", ids).map_err(|error| error.to_string())
        };
        assert_eq!(among(&["a1b2c3"]).unwrap(), "a1b2c3");
        let none = among(&[]).unwrap_err();
        assert!(none.contains("begins with a1b2"), "{none}");
        let several = among(&["a1b2c3", "a1b2d4"]).unwrap_err();
        assert!(several.contains("a1b2c3, a1b2d4"), "{several}");
        assert_eq!(beginning(" A1B2 ").unwrap(), "a1b2");
        assert!(matches!(beginning("a1"), Err(ActError::Short(_))));
    }

    #[test]
    fn words_are_of_some_length_and_stay_on_their_line() {
        assert_eq!(words(" on my\nway ").unwrap(), "on my way");
        assert!(words(&"x".repeat(LONGEST_WORDS + 1)).is_err());
    }
}
