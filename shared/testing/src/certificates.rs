//! A private certificate authority and a server certificate for 127.0.0.1, made with `openssl`.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

const EXTENSIONS: &str = "subjectAltName=IP:127.0.0.1,DNS:localhost\n\
    basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n";

/// Files in a temporary directory that goes with the value.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes a new authority and a certificate it signed.
    ///
    /// # Errors
    ///
    /// When `openssl` is not installed or refuses.
    pub fn create() -> Result<Self> {
        let made = Self {
            directory: TempDir::new().context("make the directory")?,
        };
        fs::write(made.path("ext"), EXTENSIONS).context("write the extensions")?;
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out \
             ca.pem -days 2 -subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE",
        )?;
        made.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out \
             server.csr -subj /CN=localhost",
        )?;
        made.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile \
             ext -out server.pem",
        )?;
        Ok(made)
    }

    /// Returns the path of the authority's certificate (PEM).
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Returns the path of the server's certificate (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// Returns the path of the server's private key (PEM).
    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    /// Replaces the files by those of another, as a renewal does.
    ///
    /// # Errors
    ///
    /// When a file cannot be copied.
    pub fn become_copy_of(&self, other: &Self) -> Result<()> {
        for name in ["ca.pem", "server.pem", "server.key"] {
            fs::copy(other.path(name), self.path(name)).context("copy a file")?;
        }
        Ok(())
    }

    /// Returns the configuration of a TLS server in this process.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>> {
        let chain = CertificateDer::pem_file_iter(self.certificate())?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(self.key())?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, args: &str) -> Result<()> {
        let output = Command::new("openssl")
            .args(args.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .context("start openssl")?;
        let message = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl {args}: {message}");
        Ok(())
    }
}

/// Returns the server's side of a TLS connection on `stream`.
pub(crate) fn encrypted(
    config: &Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(Arc::clone(config))?;
    Ok(StreamOwned::new(connection, stream))
}
