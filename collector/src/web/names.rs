//! The file of names: who may look, and who may act.
//!
//! A line of it is `name right sha256:<64 hex digits>`, with the right `look` or `act`; the digest is that of a random token.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rackwatch_runtime::backoff;
use ring::digest;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// See everything.
    Look,
    /// And acknowledge, silence, plan.
    Act,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// It cannot be read.
    #[error("cannot read web.access_file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of it cannot be meant.
    #[error("{}:{line}: a line is `name look|act sha256:<64 hex digits>`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// It names nobody.
    #[error("web.access_file {} names nobody: `rackwatch-collector access add` adds somebody", .0.display())]
    Nobody(PathBuf),
}

/// Somebody of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) right: Right,
    digest: [u8; 32],
}

/// The file, as it was read last.
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    users: RwLock<Vec<User>>,
}

impl Names {
    /// Reads it.
    pub(crate) fn read(path: &Path) -> Result<Self, NamesError> {
        Ok(Self {
            path: path.to_owned(),
            users: RwLock::new(read(path)?),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it again; those that were there stay where it cannot be used. Says how many are in it.
    pub(crate) fn renew(&self) -> Result<usize, NamesError> {
        let users = read(&self.path)?;
        let count = users.len();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(count)
    }

    /// Whose token it is.
    pub(crate) fn who_has(&self, token: &str) -> Option<User> {
        let digest = digest_of(token);
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.iter().find(|user| user.digest == digest).cloned()
    }
}

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
        return Err(NamesError::Nobody(path.to_owned()));
    }
    Ok(users)
}

fn user(line: &str) -> Option<User> {
    let mut words = line.split_whitespace();
    let (name, right, digest) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let right = match right {
        "look" => Right::Look,
        "act" => Right::Act,
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
        right,
        digest,
    })
}

/// A new token, and the line for the file of names that lets whoever has it in.
pub(crate) fn new_user(name: &str, acts: bool) -> (String, String) {
    use std::fmt::Write as _;
    // 256 bits, which nobody guesses: no slow hash is needed.
    let token: String = (0..4).fold(String::new(), |mut token, _| {
        let _ok = write!(token, "{:016x}", backoff::random());
        token
    });
    let hex = digest_of(&token)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ok = write!(hex, "{byte:02x}");
            hex
        });
    let right = if acts { "act" } else { "look" };
    (token, format!("{name} {right} sha256:{hex}\n"))
}

fn digest_of(token: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
