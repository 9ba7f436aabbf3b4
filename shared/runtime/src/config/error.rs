//! Errors of a configuration, in words that an operator can act on.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: check that it exists and may be read", file.display())]
    Read {
        /// File that cannot be read.
        file: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file is not TOML. The parser's own error is left out: it quotes the line, which may
    /// hold a secret.
    #[error("{place} is not valid TOML: {message}")]
    Syntax {
        /// Place of the error.
        place: Place,
        /// Message of the parser.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown key {key} in {place}, {expected}")]
    UnknownKey {
        /// The key with its sections.
        key: String,
        /// Place of the key.
        place: Place,
        /// Keys that exist there.
        expected: String,
    },
    /// A key that must not stand where it is: it belongs to another kind of entry, or excludes another key.
    #[error("wrong key {key} in {place}: {reason}")]
    WrongKey {
        /// The key with its sections.
        key: String,
        /// Place of the key.
        place: Place,
        /// The kinds that have this key and the kind of the entry, or the key that it excludes.
        reason: String,
    },
    /// A mandatory key that is absent.
    #[error("missing key {key} in {place}{hint}")]
    MissingKey {
        /// The whole key, followed by the name of its entry if the entry has one.
        key: String,
        /// Place of the entry.
        place: Place,
        /// Alternatives to the key, with a leading comma; may be empty.
        hint: String,
    },
    /// A key with a value of the wrong type or form.
    #[error("wrong value of {key} in {place}: {message} (seen: {seen})")]
    WrongValue {
        /// The key with its sections.
        key: String,
        /// Place of the key.
        place: Place,
        /// Requirement that the value does not meet.
        message: String,
        /// The value, or its type if it may be secret.
        seen: String,
    },
    /// A variable whose value is not UTF-8.
    #[error("the environment variable {variable} is not valid UTF-8: set it again")]
    NotText {
        /// The name of the variable.
        variable: String,
    },
    /// A variable for a table in a list.
    #[error(
        "the environment variable {variable} sets [[{list}]]: variables cannot set tables in lists, so write \
         [[{list}]] in the configuration file and unset the variable"
    )]
    List {
        /// The name of the variable.
        variable: String,
        /// The key of the list.
        list: &'static str,
    },
    /// A variable for a key below something that has no keys.
    #[error(
        "the environment variable {variable} sets a key below {key}, which is not a table in the \
         configuration file: unset one of them"
    )]
    NotATable {
        /// The name of the variable.
        variable: String,
        /// Key that is not a table.
        key: String,
    },
}

impl ConfigError {
    /// Returns whether both errors are about the same key.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.key().is_some() && self.key() == other.key()
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::WrongKey { key, .. }
            | Self::MissingKey { key, .. }
            | Self::WrongValue { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// The origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A place in a file. Lines and columns count from 1.
    File {
        /// The path of the file.
        file: PathBuf,
        /// The line, and the column in characters.
        at: Option<(usize, usize)>,
    },
    /// An environment variable.
    Variable(String),
    /// Neither file nor environment: a mandatory key that is not set.
    Defaults,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                file,
                at: Some((line, column)),
            } => {
                write!(f, "{} line {line} column {column}", file.display())
            }
            Self::File { file, at: None } => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Defaults => f.write_str("the defaults"),
        }
    }
}

/// Returns whether the value of a key with this name must not be shown.
///
/// Includes doubtful cases: webhook addresses carry their token in the path, and an SNMP community is
/// a password. The name of a *file* that holds a secret is not secret.
pub(super) fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "pass",
        "passphrase",
        "token",
        "secret",
        "key",
        "webhook",
        "community",
        "credentials",
    ];
    key.rsplit('_')
        .next()
        .is_some_and(|word| WORDS.contains(&word.to_lowercase().as_str()))
}
