//! The access file: users, their access levels and the digests of their tokens.
//!
//! Each line is `name level sha256:<64 hex digits>`, with the level `viewer` or `operator`, and the digest of a random token.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use ring::digest;
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::config::AccessLevel;

/// The access file is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamesError {
    /// The file cannot be read.
    #[error("cannot read web.access_file {}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// A line is invalid.
    #[error("{}:{line}: invalid line: expected `name viewer|operator sha256:<64 hex digits>`", path.display())]
    Line {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// The file has no users.
    #[error("web.access_file {} has no users: add one with `rackwatch-collector access add`", .0.display())]
    NoUsers(PathBuf),
}

/// A user of the access file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) level: AccessLevel,
    digest: [u8; 32],
}

/// The users that the access file had when it was last read.
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    users: RwLock<Vec<User>>,
}

impl Names {
    /// Reads the access file.
    pub(crate) fn read(path: &Path) -> Result<Self, NamesError> {
        Ok(Self {
            path: path.to_owned(),
            users: RwLock::new(read(path)?),
        })
    }

    /// Returns the path of the access file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again, and returns the number of users. After an error, the users before stay.
    pub(crate) fn reload(&self) -> Result<usize, NamesError> {
        let users = read(&self.path)?;
        let count = users.len();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(count)
    }

    /// Returns the user with this token.
    pub(crate) fn user_of(&self, token: &str) -> Option<User> {
        let digest = digest_of(token);
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.iter().find(|user| user.digest == digest).cloned()
    }
}

/// Reads the users of a file.
fn read(path: &Path) -> Result<Vec<User>, NamesError> {
    let text = std::fs::read_to_string(path).map_err(|source| NamesError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let mut users = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let user = user(line).ok_or_else(|| NamesError::Line {
            path: path.to_owned(),
            line: index + 1,
        })?;
        users.push(user);
    }
    if users.is_empty() {
        return Err(NamesError::NoUsers(path.to_owned()));
    }
    Ok(users)
}

fn user(line: &str) -> Option<User> {
    let mut words = line.split_whitespace();
    let (name, level, digest) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let level = match level {
        "viewer" => AccessLevel::Viewer,
        "operator" => AccessLevel::Operator,
        _ => return None,
    };
    let hex = digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64)?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(User {
        name: name.to_owned(),
        level,
        digest,
    })
}

/// Returns a new token of 256 bits from the system's cryptographic random source, and the line of the access
/// file that grants it access.
///
/// # Errors
///
/// If the system has no random source.
pub(crate) fn new_user(name: &str, is_operator: bool) -> Result<(String, String), Unspecified> {
    let mut bits = [0; 32];
    SystemRandom::new().fill(&mut bits)?;
    // 256 random bits cannot be guessed, so a fast hash is enough.
    let token = hex(&bits);
    let digest = hex(&digest_of(&token));
    let level = if is_operator { "operator" } else { "viewer" };
    Ok((token, format!("{name} {level} sha256:{digest}\n")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ok = write!(hex, "{byte:02x}");
        hex
    })
}

/// Returns the SHA-256 digest of a token.
fn digest_of(token: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
