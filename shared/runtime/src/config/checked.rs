//! Checks of keys against one another, once every key has a value of its own type.

use serde::de::DeserializeOwned;

/// The settings of a program or of one of its files.
pub trait Settings: DeserializeOwned + Default {
    /// Checks keys against one another.
    ///
    /// # Errors
    ///
    /// When keys that are valid alone are invalid together.
    fn check(&self) -> Result<(), KeyError>;
}

/// A key that is at fault although its value has the right type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    /// The path from the top level, such as `notify[1].routes[0].hours`.
    pub path: String,
    /// The fault.
    pub fault: KeyFault,
}

/// The fault of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// The key is missing. Holds the expected values or an alternative.
    Missing(String),
    /// The key must not stand there. Holds the reason.
    Key(String),
    /// The value is wrong. Holds the requirement.
    Value(String),
    /// The key at this path has the same value, which must be unique.
    Repeats(String),
}

impl KeyError {
    /// Creates the error of a key with a wrong value.
    pub fn value(path: impl Into<String>, requirement: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            fault: KeyFault::Value(requirement.into()),
        }
    }
}

/// Checks that no two entries of `list` have the same `name`.
///
/// # Errors
///
/// When two have; the error names both.
pub fn unique_names<'n>(
    list: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<(), KeyError> {
    let path = |index: usize| format!("{list}[{index}].name");
    let mut known: Vec<&str> = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        if let Some(first) = known.iter().position(|other| *other == name) {
            return Err(KeyError {
                path: path(index),
                fault: KeyFault::Repeats(path(first)),
            });
        }
        known.push(name);
    }
    Ok(())
}

/// Checks that a value is not set both in `section` itself and by a file.
///
/// # Errors
///
/// When both keys are set; the error is at the second.
pub fn one_of(section: &str, inline: (&str, bool), file: (&str, bool)) -> Result<(), KeyError> {
    if !(inline.1 && file.1) {
        return Ok(());
    }
    Err(KeyError {
        path: format!("{section}.{}", file.0),
        fault: KeyFault::Key(conflict(inline.0)),
    })
}

/// Returns the reason against a key that excludes the key `other`.
pub(super) fn conflict(other: &str) -> String {
    format!("`{other}` is set too: remove one of them")
}
