//! Versioned values in Redis: what this program understands is read, the rest is logged.

use rackwatch_core::stored::{
    DecodeError, ErrorClass, IfRefused, Refusal, StoredValue, StoredValues, counted, decode,
};
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::RedisResult;
use serde::Serialize;

/// Reads a hash from ids to versioned JSON. Values of another version are logged, and stay in Redis.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read_hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<(String, T)>> {
    Ok(read_values(connection, key).await?.values)
}

/// Reads a hash from ids to versioned JSON, with the values of another version, which are logged.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read_values<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<StoredValues<T>> {
    let decoded = StoredValues::from_hash(scan_hash(connection, key).await?);
    log_refusals::<T>(key, &decoded.refusals);
    Ok(decoded)
}

/// Reads a hash from ids to versioned JSON. Values of another version are left out; the part that owns the key logs
/// them.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read_foreign_hash<T: StoredValue>(
    connection: &mut Connection,
    key: &str,
) -> RedisResult<Vec<(String, T)>> {
    Ok(StoredValues::from_hash(scan_hash(connection, key).await?).values)
}

/// Reads the only value of a key. A value of another version is logged, and stays in Redis.
pub fn read_one<T: StoredValue>(key: &str, json: &[u8]) -> Option<T> {
    match decode(json) {
        Ok(value) => Some(value),
        Err(error) => {
            log_refusal::<T>(key, None, 1, &error);
            None
        }
    }
}

/// Logs one line for each reason why values of `key` were refused.
pub fn log_refusals<T: StoredValue>(key: &str, refusals: &[Refusal]) {
    for refusal in refusals {
        let first = refusal.ids.first().map(String::as_str);
        log_refusal::<T>(key, first, refusal.ids.len(), &refusal.error);
    }
}

/// Logs that `count` values of `key` were refused for one reason. `first` is the id of one of them.
pub fn log_refusal<T: StoredValue>(
    key: &str,
    first: Option<&str>,
    count: usize,
    error: &DecodeError,
) {
    tracing::warn!(
        key,
        values = counted(count, T::NAME),
        first,
        found = error.finding(),
        understood = format!("version {}", T::VERSION),
        "stored state refused: {}",
        T::IF_REFUSED.consequence()
    );
}

/// Fields that a line names.
const MAX_FIELDS: usize = 3;

/// Stored values that this program does not understand, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedState {
    /// The key in Redis.
    pub key: String,
    /// The noun for one value.
    pub kind: &'static str,
    /// The number of values.
    pub count: usize,
    /// The reason, which names the versions.
    pub reason: String,
    /// The first fields of the hash among them, at most three.
    pub fields: Vec<String>,
    /// They are no values of any version, so that only deleting them helps.
    #[serde(skip)]
    is_garbage: bool,
    #[serde(skip)]
    consequence: IfRefused,
}

impl RefusedState {
    /// Returns the values of `key` that were refused for each reason.
    pub fn of<T: StoredValue>(key: &str, refusals: &[Refusal]) -> Vec<Self> {
        let of = |refusal: &Refusal| Self {
            key: key.to_owned(),
            kind: T::NAME,
            count: refusal.ids.len(),
            reason: refusal.error.comparison(T::VERSION),
            fields: refusal.ids.iter().take(MAX_FIELDS).cloned().collect(),
            is_garbage: matches!(
                refusal.error.class(),
                ErrorClass::Malformed | ErrorClass::TooLong
            ),
            consequence: T::IF_REFUSED,
        };
        refusals.iter().map(of).collect()
    }

    /// Returns whether an operator must act: Rackwatch goes on without its own state.
    pub fn is_problem(&self) -> bool {
        matches!(self.consequence, IfRefused::HasNoEffect(_))
    }

    /// Returns the fields as words of a command.
    fn named(&self) -> Vec<String> {
        let word = |field: &String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
            if field.chars().all(is_plain) && !field.is_empty() {
                field.clone()
            } else {
                format!("{field:?}")
            }
        };
        self.fields.iter().map(word).collect()
    }

    /// Returns words for the fields that are not listed.
    fn others(&self) -> String {
        match self.count.saturating_sub(self.fields.len()) {
            0 => String::new(),
            others => format!(", and {others} more"),
        }
    }

    /// Returns the command that deletes the fields.
    fn hdel(&self) -> String {
        format!("HDEL {} {}", self.key, self.named().join(" "))
    }

    /// Returns a line that says what was refused, why, and what to do or what follows.
    pub fn line(&self) -> String {
        let Self { key, reason, .. } = self;
        let values = counted(self.count, self.kind);
        let (have, are, them) = match self.count {
            1 => ("has", "is", "it"),
            _ => ("have", "are", "them"),
        };
        match self.consequence {
            IfRefused::HasNoEffect(remedy) => {
                let remedy = if self.is_garbage {
                    format!(
                        "look at what wrote {them}, then delete {them} with `{}`{}",
                        self.hdel(),
                        self.others()
                    )
                } else {
                    let named = self.named().join(", ");
                    format!(
                        "{}; {named}{}",
                        remedy.replace("{them}", them),
                        self.others()
                    )
                };
                format!("{values} in {key} {have} no effect ({reason}): {remedy}")
            }
            IfRefused::StartsCold(consequence) => {
                format!("{values} in {key} {are} not taken over ({reason}): {consequence}")
            }
        }
    }
}
