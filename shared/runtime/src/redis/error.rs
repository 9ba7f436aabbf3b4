//! The errors of connecting, each with what to do. No variant shows a secret.

use std::path::PathBuf;

use redis::{ErrorKind, RedisError};
use thiserror::Error;

use super::remedy::{Remedy, code};
use crate::config::RedisUrl;

/// The reason why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address is malformed.
    #[error(
        "cannot use {url} as redis.url: write redis://host:6379, rediss://host:6379, \
         redis+unix:///path, redis+sentinel://host:26379/master or redis+cluster://host:6379"
    )]
    Url {
        /// Address, shown without user and password.
        url: RedisUrl,
        /// Error of the client library.
        source: RedisError,
    },
    /// TLS settings stand beside an address without TLS.
    #[error("{key} is set but redis.url ({url}) does not use TLS: write rediss:// or unset {key}")]
    TlsUnused {
        /// Key of the setting.
        key: &'static str,
        /// Address, shown without user and password.
        url: RedisUrl,
    },
    /// One TLS setting takes the effect of another.
    #[error(
        "redis.ca_file has no effect while any certificate is accepted: unset redis.tls_insecure and #insecure, or redis.ca_file"
    )]
    TlsContradiction,
    /// A file named in the settings cannot be read.
    #[error("cannot read {key} {}: check that it exists and this user may read it", file.display())]
    File {
        /// Key of the setting.
        key: &'static str,
        /// Path of the file.
        file: PathBuf,
        /// Error of the client library.
        source: std::io::Error,
    },
    /// A PEM file holds nothing of its kind.
    #[error("cannot use {key} {}: it has to hold {expected}", file.display())]
    Pem {
        /// Key of the setting.
        key: &'static str,
        /// Path of the file.
        file: PathBuf,
        /// Kind of contents.
        expected: &'static str,
    },
    /// The key is of another certificate.
    #[error(
        "redis.client_key_file does not match redis.client_cert_file: name the key of that certificate"
    )]
    ClientKey {
        /// Error of the TLS library.
        source: rustls::Error,
    },
    /// Settings of Sentinels stand beside an address without them.
    #[error(
        "{key} is set but redis.url ({url}) names no Sentinels: write redis+sentinel:// or unset {key}"
    )]
    SentinelUnused {
        /// Key of the setting.
        key: &'static str,
        /// Address, shown without user and password.
        url: RedisUrl,
    },
    /// No server answers at the address.
    #[error("cannot reach Redis at {endpoint}: check that it runs and that redis.url is right")]
    Unreachable {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// The certificate is not signed by a trusted authority for this name.
    #[error(
        "cannot trust the certificate of Redis at {endpoint}: name its authority in redis.ca_file, \
         and connect by a name it was made for"
    )]
    Untrusted {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// Redis requires a client certificate, or refuses the one that it was shown.
    #[error(
        "Redis at {endpoint} refuses this program's certificate, or the lack of one: check redis.client_cert_file \
         and redis.client_key_file"
    )]
    ClientCertificate {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// Redis requires a password, and none is configured.
    #[error("Redis at {endpoint} asks for a password: set redis.password_file")]
    NoPassword {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// Redis refuses the user or the password.
    #[error(
        "Redis at {endpoint} refuses the user or the password: check redis.username and \
         redis.password_file"
    )]
    WrongPassword {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// Redis is starting, or waits for its master.
    #[error("Redis at {endpoint} is not ready: it is loading its data or waiting for its master")]
    NotReady {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
    /// Redis refuses for another reason.
    #[error("Redis at {endpoint} refuses the connection: see its answer")]
    Refused {
        /// Address, without user and password.
        endpoint: String,
        /// Error of the client library.
        source: RedisError,
    },
}

impl ConnectError {
    /// Classifies an error of the client library.
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
            // The client library keeps only the text of a rustls error. An alert is the server's own view.
            (ErrorKind::Io, _) if is_certificate_alert(&source.to_string()) => {
                Self::ClientCertificate { endpoint, source }
            }
            (ErrorKind::Io, _) if source.to_string().contains("certificate") => {
                Self::Untrusted { endpoint, source }
            }
            (ErrorKind::Io | ErrorKind::Parse, _) => Self::Unreachable { endpoint, source },
            _ => Self::Refused { endpoint, source },
        }
    }

    /// Returns the remedy: whether another try can help without a change of the settings.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Url { .. }
            | Self::TlsUnused { .. }
            | Self::TlsContradiction
            | Self::SentinelUnused { .. }
            | Self::File { .. }
            | Self::Pem { .. }
            | Self::ClientKey { .. } => Remedy::Fatal,
            // A password is often corrected on the server.
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::ClientCertificate { .. }
            | Self::NoPassword { .. }
            | Self::WrongPassword { .. }
            | Self::NotReady { .. }
            | Self::Refused { .. } => Remedy::RetryLater,
        }
    }
}

/// Returns whether the text of an error is an alert about the client's certificate.
fn is_certificate_alert(text: &str) -> bool {
    let alerts = [
        "CertificateRequired",
        "BadCertificate",
        "UnsupportedCertificate",
        "CertificateRevoked",
        "CertificateExpired",
        "CertificateUnknown",
        "UnknownCA",
    ];
    text.contains("fatal alert") && alerts.iter().any(|alert| text.contains(alert))
}
