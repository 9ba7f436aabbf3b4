//! Locates the line, or the variable, of a deserializer's error.
//!
//! In: the file's text and an error with the path of its key; out: a [`ConfigError`] that names
//! both. Values are shown short, and not at all where they may be secret.

use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::checked::{KeyError, KeyFault};
use super::environment::Override;
use super::error::{ConfigError, Place, is_secret};
use super::path::{KeyPath, PathStep};
use super::plain::plain;
use super::secret::redact;
use super::tagged;

/// Longest text of a value in an error, in characters.
const SHOWN: usize = 80;

/// A parsed file with the position of every value.
pub(super) struct Source<'t> {
    file: Option<PathBuf>,
    text: &'t str,
    table: Table,
    spans: Spanned<DeTable<'t>>,
}

impl<'t> Source<'t> {
    /// Parses `text`, read from `file`.
    pub(super) fn parse(file: Option<&Path>, text: &'t str) -> Result<Self, ConfigError> {
        let wrong = |error: toml::de::Error| ConfigError::Syntax {
            place: Place::File {
                file: file.map(Path::to_path_buf).unwrap_or_default(),
                at: error.span().map(|span| line_and_column(text, span.start)),
            },
            message: one_line(error.message()),
        };
        Ok(Self {
            file: file.map(Path::to_path_buf),
            text,
            table: toml::from_str(text).map_err(wrong)?,
            spans: DeTable::parse(text).map_err(wrong)?,
        })
    }

    /// Returns the settings of the file.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Turns the deserializer's error into one that names its place.
    pub(super) fn explain(
        &self,
        error: &serde_path_to_error::Error<toml::de::Error>,
        table: &Table,
        overrides: &[Override],
    ) -> ConfigError {
        let (path, message) = path_and_message(error);
        let message = one_line(&message);
        let key = shown(&path);
        if let Some((_, expected)) = quoted(&message, "unknown field `", "`, ") {
            let place = self.place(&path, overrides, true);
            let expected = expected.replace('`', "");
            return ConfigError::UnknownKey {
                key,
                place,
                expected,
            };
        }
        if let Some((missing, hint)) = quoted(&message, "missing field `", "`") {
            let place = self.place(&path, overrides, true);
            let name = value_at(&path, table).and_then(|entry| entry.get("name")?.as_str());
            let name = name.map(|name| format!(" of {:?}", redact(name)));
            let key = path.join(KeyPath::parse(missing));
            return ConfigError::MissingKey {
                key: format!("{key}{}", name.unwrap_or_default()),
                place,
                hint: hint.to_owned(),
            };
        }
        let is_about_key = [" is a key of ", " is set too: "];
        if message.starts_with('`') && is_about_key.iter().any(|words| message.contains(words)) {
            return ConfigError::WrongKey {
                key,
                place: self.place(&path, overrides, true),
                reason: message,
            };
        }
        self.wrong_value(&path, &plain(&message), table, overrides)
    }

    /// Turns the error of a check into one that names its place.
    pub(super) fn refuse(
        &self,
        error: &KeyError,
        table: &Table,
        overrides: &[Override],
    ) -> ConfigError {
        let path = KeyPath::parse(&error.path);
        let key_place = || self.place(&path, overrides, true);
        match &error.fault {
            KeyFault::Missing(hint) => ConfigError::MissingKey {
                key: shown(&path),
                place: key_place(),
                hint: format!(", {hint}"),
            },
            KeyFault::Key(reason) => ConfigError::WrongKey {
                key: shown(&path),
                place: key_place(),
                reason: reason.clone(),
            },
            KeyFault::Value(requirement) => self.wrong_value(&path, requirement, table, overrides),
            KeyFault::Repeats(first) => {
                let place = self.place(&KeyPath::parse(first), overrides, false);
                let message = format!("{first} in {place} has the same value: give each its own");
                self.wrong_value(&path, &message, table, overrides)
            }
        }
    }

    fn wrong_value(
        &self,
        path: &KeyPath,
        message: &str,
        table: &Table,
        overrides: &[Override],
    ) -> ConfigError {
        let (message, seen) = describe(path, message, table);
        ConfigError::WrongValue {
            key: shown(path),
            place: self.place(path, overrides, false),
            message,
            seen,
        }
    }

    fn place(&self, path: &KeyPath, overrides: &[Override], of_key: bool) -> Place {
        let variable = |change: &Override| Place::Variable(change.variable.clone());
        if let Some(change) = overrides.iter().rfind(|change| change.governs(path)) {
            return variable(change);
        }
        let (offset, exact) = self.offset(path, of_key);
        if !exact && let Some(change) = overrides.iter().rfind(|change| change.is_below(path)) {
            return variable(change);
        }
        self.file
            .clone()
            .map_or(Place::Defaults, |file| Place::File {
                file,
                at: offset.map(|offset| line_and_column(self.text, offset)),
            })
    }

    /// Returns the offset of the key at `path`, or of its value, and whether the file has it at all.
    /// If it has not, the offset is that of the last enclosing value.
    fn offset(&self, path: &KeyPath, of_key: bool) -> (Option<usize>, bool) {
        let mut offset = None;
        let mut here = Node::Table(self.spans.get_ref());
        for step in &path.0 {
            let Some((key, value)) = here.step(step) else {
                return (offset, false);
            };
            offset = Some(if of_key { key } else { value.span().start });
            here = match value.get_ref() {
                DeValue::Table(table) => Node::Table(table),
                DeValue::Array(array) => Node::Array(array),
                _ => Node::Leaf,
            };
        }
        (offset, true)
    }
}

/// Returns the path as an error shows it.
fn shown(path: &KeyPath) -> String {
    match path.0.len() {
        0 => "the top level".to_owned(),
        _ => path.to_string(),
    }
}

/// Returns the path of the wrong key and the deserializer's message about it.
pub(super) fn path_and_message(
    error: &serde_path_to_error::Error<toml::de::Error>,
) -> (KeyPath, String) {
    let (inner, message) = tagged::take_path(error.inner().message());
    let path = KeyPath::from(error.path()).join(inner);
    (path, message.to_owned())
}

/// Splits `<start>a<end>b` into `a` and `b`.
fn quoted<'m>(message: &'m str, start: &str, end: &str) -> Option<(&'m str, &'m str)> {
    message.strip_prefix(start)?.split_once(end)
}

/// A place in the file while a path is followed.
enum Node<'s, 't> {
    Table(&'s DeTable<'t>),
    Array(&'s DeArray<'t>),
    Leaf,
}

impl<'s, 't> Node<'s, 't> {
    /// Returns the offset of the key, and the value, one step further.
    fn step(&self, step: &PathStep) -> Option<(usize, &'s Spanned<DeValue<'t>>)> {
        match (self, step) {
            (Node::Table(table), PathStep::Key(key)) => table
                .iter()
                .find(|(name, _)| name.get_ref() == key)
                .map(|(name, value)| (name.span().start, value)),
            (Node::Array(array), PathStep::Index(index)) => {
                array.get(*index).map(|value| (value.span().start, value))
            }
            _ => None,
        }
    }
}

pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// Returns the message and the value without secrets.
fn describe(path: &KeyPath, message: &str, table: &Table) -> (String, String) {
    let is_secret = |step: &PathStep| matches!(step, PathStep::Key(key) if is_secret(key));
    if path.0.iter().any(is_secret) {
        return (redact(message), "not shown, it may be secret".to_owned());
    }
    if path.0.is_empty() {
        return (redact(message), "a table".to_owned());
    }
    let value = value_at(path, table);
    match value {
        None => (redact(message), "nothing".to_owned()),
        Some(Value::Table(_)) => (redact(message), "a table".to_owned()),
        Some(Value::Array(_)) => (redact(message), "an array".to_owned()),
        Some(Value::String(text)) => {
            let shown: String = redact(text).chars().take(SHOWN).collect();
            (redact(message), format!("{shown:?}"))
        }
        Some(other) => (redact(message), other.to_string()),
    }
}

/// Returns the value at `path`, or `None` if the table lacks it or the path is empty.
fn value_at<'t>(path: &KeyPath, table: &'t Table) -> Option<&'t Value> {
    let (first, rest) = path.0.split_first()?;
    let first = match first {
        PathStep::Key(key) => table.get(key),
        PathStep::Index(_) => None,
    };
    rest.iter().fold(first, |value, step| match step {
        PathStep::Key(key) => value?.get(key),
        PathStep::Index(index) => value?.get(*index),
    })
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
