//! Why there is no connection, in words an operator can act on. No variant shows a secret.

use std::path::PathBuf;

use redis::{ErrorKind, RedisError};
use thiserror::Error;

use super::remedy::{Remedy, code};
use crate::config::RedisUrl;

/// A connection that cannot be made.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// An address that is none.
    #[error(
        "cannot use {url} as redis.url: write redis://host:6379, rediss://host:6379, \
         redis+unix:///path, redis+sentinel://host:26379/master or redis+cluster://host:6379"
    )]
    Url {
        /// The address, shown without user and password.
        url: RedisUrl,
        /// Why.
        source: RedisError,
    },
    /// TLS settings with an address that does not use TLS.
    #[error("{key} is set but redis.url ({url}) does not use TLS: write rediss:// or unset {key}")]
    TlsUnused {
        /// The setting.
        key: &'static str,
        /// The address, shown without user and password.
        url: RedisUrl,
    },
    /// A file named in the settings that cannot be read.
    #[error("cannot read {key} {}: check that it exists and this user may read it", file.display())]
    File {
        /// The setting.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file without certificates.
    #[error("cannot use redis.ca_file {}: it has to hold PEM certificates", file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: RedisError,
    },
    /// Nobody answers.
    #[error("cannot reach Redis at {endpoint}: check that it runs and that redis.url is right")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
    /// Somebody answers with a certificate that nobody we trust has signed for this name.
    #[error(
        "cannot trust the certificate of Redis at {endpoint}: name its authority in redis.ca_file, \
         and connect by a name it was made for"
    )]
    Untrusted {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
    /// Redis wants a password, and none is configured.
    #[error("Redis at {endpoint} asks for a password: set redis.password_file")]
    NoPassword {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
    /// Redis refuses the user or the password.
    #[error(
        "Redis at {endpoint} refuses the user or the password: check redis.username and \
         redis.password_file"
    )]
    WrongPassword {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
    /// Redis is starting.
    #[error("Redis at {endpoint} is not ready: it is loading its data or waiting for its master")]
    NotReady {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
    /// Redis answers, but not as it should.
    #[error("Redis at {endpoint} refuses the connection: see its answer")]
    Refused {
        /// Where.
        endpoint: String,
        /// Why.
        source: RedisError,
    },
}

impl ConnectError {
    /// Sorts what the client reports while connecting.
    pub(super) fn sort(endpoint: &str, source: RedisError) -> Self {
        let endpoint = endpoint.to_owned();
        match (source.kind(), code(&source).as_deref()) {
            (_, Some("NOAUTH")) => Self::NoPassword { endpoint, source },
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
                Self::WrongPassword { endpoint, source }
            }
            (_, Some("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN")) => {
                Self::NotReady { endpoint, source }
            }
            // The client keeps no more of rustls' error than its words.
            (ErrorKind::Io, _) if source.to_string().contains("certificate") => {
                Self::Untrusted { endpoint, source }
            }
            (ErrorKind::Io | ErrorKind::Parse, _) => Self::Unreachable { endpoint, source },
            _ => Self::Refused { endpoint, source },
        }
    }

    /// Whether trying again can help without a change of the settings.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Url { .. } | Self::TlsUnused { .. } | Self::File { .. } | Self::CaFile { .. } => {
                Remedy::Fatal
            }
            // A password is often put right at the server.
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NoPassword { .. }
            | Self::WrongPassword { .. }
            | Self::NotReady { .. }
            | Self::Refused { .. } => Remedy::RetryLater,
        }
    }
}
