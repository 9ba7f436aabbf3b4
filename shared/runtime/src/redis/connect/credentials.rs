//! Passwords and certificates, as the files that `[redis]` names hold them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::{RedisConfig, Secret};
use crate::redis::error::ConnectError;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The contents of the files; passwords may also stand in the settings themselves.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The password of Redis, unless only the address may have one.
    pub(super) password: Option<String>,
    /// The password of the Sentinels.
    pub(super) sentinel_password: Option<String>,
    ca: Option<Vec<u8>>,
    client: Option<ClientCertificate>,
}

/// A certificate with its chain and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Credentials {
    /// Reads the files and checks what they hold. May block.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, holds nothing of its kind, or the key does not match the certificate.
    pub(super) fn read(config: &RedisConfig) -> Result<Self, ConnectError> {
        let ca = config.ca_file.as_deref().map(authorities).transpose()?;
        let client = match (&config.client_cert_file, &config.client_key_file) {
            (Some(cert), Some(key)) => Some(client_certificate(cert, key)?),
            _ => None,
        };
        let sentinel_file = config.sentinel_password_file.as_deref();
        Ok(Self {
            password: password(
                "redis.password_file",
                config.password_file.as_deref(),
                config.password.as_ref(),
            )?,
            sentinel_password: password(
                "redis.sentinel_password_file",
                sentinel_file,
                config.sentinel_password.as_ref(),
            )?,
            ca,
            client,
        })
    }

    /// Returns the certificates for TLS, if there are any besides the system's authorities.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        if self.ca.is_none() && self.client.is_none() {
            return None;
        }
        let client_tls = self.client.as_ref().map(|client| ClientTlsConfig {
            client_cert: client.chain.clone(),
            client_key: client.key.clone(),
        });
        Some(TlsCertificates {
            client_tls,
            root_cert: self.ca.clone(),
        })
    }
}

/// Returns whether the settings name a file with credentials.
pub(super) fn has_files(config: &RedisConfig) -> bool {
    let files = [
        &config.password_file,
        &config.sentinel_password_file,
        &config.ca_file,
        &config.client_cert_file,
        &config.client_key_file,
    ];
    files.into_iter().any(Option::is_some)
}

/// Returns the password of a file, else the one in the settings.
fn password(
    key: &'static str,
    file: Option<&Path>,
    inline: Option<&Secret>,
) -> Result<Option<String>, ConnectError> {
    let Some(file) = file else {
        return Ok(inline.map(|password| password.expose().to_owned()));
    };
    let text = read(key, file)?;
    let text = String::from_utf8_lossy(&text);
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

fn authorities(file: &Path) -> Result<Vec<u8>, ConnectError> {
    let key = "redis.ca_file";
    let pem = read(key, file)?;
    certificates(key, file, &pem)?;
    Ok(pem)
}

fn client_certificate(cert: &Path, key: &Path) -> Result<ClientCertificate, ConnectError> {
    let cert_key = "redis.client_cert_file";
    let key_key = "redis.client_key_file";
    let chain = read(cert_key, cert)?;
    let certificates = certificates(cert_key, cert, &chain)?;
    let pem = read(key_key, key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| ConnectError::Pem {
        key: key_key,
        file: key.to_owned(),
        expected: "a PEM private key without a passphrase",
    })?;
    CertifiedKey::from_der(certificates, private, &default_provider())
        .map_err(|source| ConnectError::ClientKey { source })?;
    Ok(ClientCertificate { chain, key: pem })
}

/// Parses the certificates of a PEM file, at least one.
fn certificates(
    key: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.ok().filter(|all| !all.is_empty());
    parsed.ok_or_else(|| ConnectError::Pem {
        key,
        file: file.to_owned(),
        expected: "PEM certificates",
    })
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, ConnectError> {
    let bytes = || {
        let mut bytes = Vec::new();
        File::open(file)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB",
            ));
        }
        Ok(bytes)
    };
    bytes().map_err(|source| ConnectError::File {
        key,
        file: file.to_owned(),
        source,
    })
}
