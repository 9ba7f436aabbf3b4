//! Errors of setting up notifiers and the heartbeat.

use std::path::{Path, PathBuf};

use super::route::InvalidRoute;

/// A notifier or the heartbeat cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up {section}")]
pub struct SetupError {
    /// The section of the configuration, such as `notify "ops"`.
    pub section: String,
    /// The cause, without the section.
    #[source]
    pub source: SetupErrorKind,
}

/// The cause of a [`SetupError`].
#[derive(Debug, thiserror::Error)]
pub enum SetupErrorKind {
    /// The address has another scheme, or no host. It may hold a token, so it is not shown.
    #[error("url is not an http:// or https:// address")]
    Url,
    /// A file that the configuration names cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The path as configured.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file that should hold a secret begins with an empty line.
    #[error("the first line of {} is empty: put the value there", path.display())]
    Empty {
        /// The path as configured.
        path: PathBuf,
    },
    /// The signing secret is malformed or too short.
    #[error(
        "the secret in {} is unusable: write whsec_ and base64, or text, of at least 16 bytes",
        path.display()
    )]
    Secret {
        /// The path as configured.
        path: PathBuf,
    },
    /// The HTTP client cannot be created, for instance because of a bad certificate.
    #[error("cannot create the HTTP client")]
    Client(#[source] reqwest::Error),
    /// TLS to the mail server cannot be set up.
    #[error("cannot set up TLS to the mail server")]
    Smtp(#[source] lettre::transport::smtp::Error),
    /// A route is unusable.
    #[error(transparent)]
    Route(#[from] InvalidRoute),
}

impl SetupErrorKind {
    /// Wraps an error of the HTTP client without the address, which may hold a token.
    pub(super) fn client(source: reqwest::Error) -> Self {
        Self::Client(source.without_url())
    }
}

/// Reads the whole text of a file that the configuration names.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn read_file(path: &Path) -> Result<String, SetupErrorKind> {
    std::fs::read_to_string(path).map_err(|source| SetupErrorKind::File {
        path: path.to_owned(),
        source,
    })
}

/// Reads a secret: the first line of the file, trimmed.
///
/// # Errors
///
/// When the file cannot be read, or its first line is empty.
pub(super) fn read_secret(path: &Path) -> Result<String, SetupErrorKind> {
    let text = read_file(path)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(SetupErrorKind::Empty {
            path: path.to_owned(),
        });
    }
    Ok(line.to_owned())
}
