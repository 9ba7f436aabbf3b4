//! The keys `user` and `password_file`, which only make sense together.

use std::path::PathBuf;

use rackwatch_runtime::config::tagged::EntryError;

use crate::notify::error::{SetupErrorKind, read_secret};

/// Checks that `user` and `password_file` are both set, or neither.
///
/// # Errors
///
/// When only one of them is set.
pub(super) fn check(
    user: Option<&String>,
    password_file: Option<&PathBuf>,
) -> Result<(), EntryError> {
    match (user, password_file) {
        (Some(_), None) => Err(EntryError::Missing {
            key: "password_file",
            hint: "needed for user",
        }),
        (None, Some(_)) => Err(EntryError::Missing {
            key: "user",
            hint: "needed for password_file",
        }),
        _ => Ok(()),
    }
}

/// Returns the user and the password, if they are configured.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn read(
    user: Option<&String>,
    password_file: Option<&PathBuf>,
) -> Result<Option<(String, String)>, SetupErrorKind> {
    let (Some(user), Some(path)) = (user, password_file) else {
        return Ok(None);
    };
    Ok(Some((user.clone(), read_secret(path)?)))
}
