//! Configuration: one TOML file, overridden by the environment.
//!
//! In: `/etc/rackwatch/<program>.toml` or the file named on the command line, and variables
//! `RACKWATCH_<SECTION>__<KEY>` (`RACKWATCH_REDIS__URL` is `redis.url`; `RACKWATCH_REDIS_URL`,
//! without the double underscore, is a short form of the same). Out: the caller's own settings
//! type, or an error that names the file and line or the variable, the key and the value seen.
//! An unknown key is an error: a typing mistake must not switch a rule off.
//!
//! Values of secret-looking keys and the user part of addresses are never shown.

pub mod checked;
pub mod duration;
mod environment;
mod error;
mod locate;
mod path;
mod plain;
mod secret;
mod sections;
mod size;
pub mod tagged;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

pub use checked::{KeyError, KeyFault, Settings};
pub use error::{ConfigError, Place};
pub use secret::{RedisUrl, Secret};
pub use sections::{LogConfig, LogFormat, RedisConfig};
pub use size::{ByteSize, NotASize};

use environment::Override;

/// Settings, and the file they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// The settings: defaults, then the file, then the environment.
    pub config: T,
    /// The file that was read; `None` where there was none.
    pub from: Option<PathBuf>,
}

/// Reads the settings of `program` (`agent` or `collector`) and this process's environment.
///
/// Without a `path`, `/etc/rackwatch/<program>.toml` is read where it exists.
///
/// # Errors
///
/// When the file cannot be read or holds a wrong key or value, or a variable does.
pub fn load<T>(program: &str, path: Option<&Path>) -> Result<Loaded<T>, ConfigError>
where
    T: Settings,
{
    let standard = PathBuf::from(format!("/etc/rackwatch/{program}.toml"));
    load_from(path, &standard, std::env::vars_os())
}

/// Loads as [`load`] does, but with the caller's standard file and environment.
///
/// # Errors
///
/// As [`load`].
pub fn load_from<T>(
    path: Option<&Path>,
    standard: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded<T>, ConfigError>
where
    T: Settings,
{
    let file = match path {
        Some(path) => Some((path, read(path)?)),
        None => match read(standard) {
            Ok(text) => Some((standard, text)),
            Err(ConfigError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
    };
    let overrides = environment::overrides(environment, &lists_of::<T>())?;
    let from = file.as_ref().map(|(path, _)| path.to_path_buf());
    let config = match &file {
        None if overrides.is_empty() => T::default(),
        Some((path, text)) => merge(Some(path), text, overrides)?,
        None => merge(None, "", overrides)?,
    };
    Ok(Loaded { config, from })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read {
        file: path.to_path_buf(),
        source,
    })
}

/// Returns the keys of the top level that hold lists of tables: those that refuse a single table.
fn lists_of<T: Settings>() -> Vec<&'static str> {
    let is_list = |key: &&&str| {
        let table = Table::from_iter([((**key).to_owned(), Value::Table(Table::new()))]);
        table.try_into::<T>().is_err()
    };
    let keys = tagged::keys_of::<T>().iter();
    keys.filter(is_list).copied().collect()
}

/// Lays the overrides over the file's text and checks the result.
///
/// A variable's value is tried as TOML first (`5`, `true`, `["a"]`) and as plain text where that
/// does not fit its key, so that a user named `123` needs no quotes.
fn merge<T: Settings>(
    file: Option<&Path>,
    text: &str,
    mut overrides: Vec<Override>,
) -> Result<T, ConfigError> {
    let source = locate::Source::parse(file, text)?;
    let mut first = None;
    loop {
        let mut table = source.table().clone();
        for change in &overrides {
            change.apply(&mut table)?;
        }
        let error = match serde_path_to_error::deserialize::<_, T>(table.clone()) {
            Ok(config) => {
                let checked = config.check();
                return checked
                    .map(|()| config)
                    .map_err(|error| source.refuse(&error, &table, &overrides));
            }
            Err(error) => error,
        };
        let (path, _) = locate::path_and_message(&error);
        let culprit = overrides.iter_mut().find(|change| change.governs(&path));
        let retry = culprit.is_some_and(Override::fall_back_to_text);
        let found = source.explain(&error, &table, &overrides);
        // The complaint about the value as written helps more than the one about it as text.
        match first.take() {
            Some(earlier) if ConfigError::same_key(&earlier, &found) => return Err(earlier),
            _ if retry => first = Some(found),
            _ => return Err(found),
        }
    }
}

#[cfg(test)]
mod tests;
