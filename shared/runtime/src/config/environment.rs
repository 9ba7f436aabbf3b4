//! Environment variables as changes to the configuration table.
//!
//! In: the whole environment; out: one [`Override`] per variable that means a key. Variables
//! without `__` after the prefix belong to other programs and are ignored, except for the short
//! form of `redis.url`, and the names of lists of tables, which no variable can set.

use std::ffi::OsString;

use toml::{Table, Value};

use super::error::{ConfigError, is_secret};
use super::path::{KeyPath, PathStep};

const PREFIX: &str = "RACKWATCH_";
const SEPARATOR: &str = "__";

/// The short form of `RACKWATCH_REDIS__URL`, which wins where both are set.
const REDIS_URL: &str = "RACKWATCH_REDIS_URL";

/// One variable that sets one key.
#[derive(Debug)]
pub(super) struct Override {
    /// The name of the environment variable.
    pub(super) variable: String,
    /// The key it sets.
    pub(super) key: Vec<String>,
    text: String,
    value: Value,
}

/// Returns the variables that set a key. The short form comes first, so the long one overrides it.
pub(super) fn overrides(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    lists: &[&'static str],
) -> Result<Vec<Override>, ConfigError> {
    let mut found = Vec::new();
    for (variable, text) in environment {
        let Some(variable) = variable.to_str().map(str::to_owned) else {
            continue;
        };
        if let Some(list) = list_of(&variable, lists) {
            return Err(ConfigError::List { variable, list });
        }
        let Some(key) = key_of(&variable) else {
            continue;
        };
        let Ok(text) = text.into_string() else {
            return Err(ConfigError::NotText { variable });
        };
        let value = parse(&key, &text);
        found.push(Override {
            variable,
            key,
            text,
            value,
        });
    }
    found.sort_by(|a, b| {
        (a.variable != REDIS_URL, &a.variable).cmp(&(b.variable != REDIS_URL, &b.variable))
    });
    Ok(found)
}

fn key_of(variable: &str) -> Option<Vec<String>> {
    if variable == REDIS_URL {
        return Some(vec!["redis".to_owned(), "url".to_owned()]);
    }
    let path = variable.strip_prefix(PREFIX)?;
    path.contains(SEPARATOR)
        .then(|| path.split(SEPARATOR).map(str::to_lowercase).collect())
}

/// Returns the list of tables that a variable tries to set, if any.
fn list_of(variable: &str, lists: &[&'static str]) -> Option<&'static str> {
    let path = variable.strip_prefix(PREFIX)?;
    let first = path.split(SEPARATOR).next()?.to_lowercase();
    lists.iter().copied().find(|list| *list == first)
}

/// Parses a value. Secrets are taken literally: a password may look like a number or a quoted string.
fn parse(key: &[String], text: &str) -> Value {
    let literal = || Value::String(text.to_owned());
    if key.iter().any(|segment| is_secret(segment)) {
        return literal();
    }
    match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(literal),
        _ => literal(),
    }
}

impl Override {
    /// Sets the key in `table`, making the tables above it where they are absent.
    pub(super) fn apply(&self, table: &mut Table) -> Result<(), ConfigError> {
        let Some((last, above)) = self.key.split_last() else {
            return Ok(());
        };
        let mut table = table;
        for segment in above {
            let inner = table
                .entry(segment.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else {
                return Err(ConfigError::NotATable {
                    variable: self.variable.clone(),
                    key: segment.clone(),
                });
            };
            table = inner;
        }
        table.insert(last.clone(), self.value.clone());
        Ok(())
    }

    /// Returns whether `path` is the key of this variable or lies below it.
    pub(super) fn governs(&self, path: &KeyPath) -> bool {
        let mut path = path.0.iter();
        self.key
            .iter()
            .all(|own| matches!(path.next(), Some(PathStep::Key(key)) if key == own))
    }

    /// Returns whether the key of this variable lies below `path`.
    pub(super) fn is_below(&self, path: &KeyPath) -> bool {
        let mut key = self.key.iter();
        path.0
            .iter()
            .all(|step| matches!((step, key.next()), (PathStep::Key(key), Some(own)) if key == own))
            && key.next().is_some()
            && !path.0.is_empty()
    }

    /// Takes the value as plain text from now on; false where it already was.
    pub(super) fn fall_back_to_text(&mut self) -> bool {
        let changed = !self.value.is_str();
        self.value = Value::String(self.text.clone());
        changed
    }
}
