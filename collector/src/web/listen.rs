//! Connections: a bounded number, with deadlines, and with TLS if there is a certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

/// Concurrent connections. Further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Deadline of a TLS handshake, and of the head of each request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// TLS cannot be configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Only one of certificate and key is set.
    #[error("web.tls_cert_file and web.tls_key_file belong together: only one is set")]
    Half,
    /// A PEM file cannot be read.
    #[error("cannot read the PEM file {} of web.tls_*_file", path.display())]
    Pem {
        /// The path of the file.
        path: PathBuf,
        /// The error of the parser or the operating system.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not match the certificate.
    #[error("web.tls_key_file does not match web.tls_cert_file")]
    Pair(#[source] rustls::Error),
}

/// The certificate and key from the last successful read of their files.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl Certificate {
    /// Reads the certificate and key, if both are set.
    ///
    /// # Errors
    ///
    /// If only one is set, a file cannot be read, or the key does not match.
    pub(crate) fn of(
        cert: Option<&PathBuf>,
        key: Option<&PathBuf>,
    ) -> Result<Option<Self>, TlsError> {
        let (cert, key) = match (cert, key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            _ => return Err(TlsError::Half),
        };
        let acceptor = RwLock::new(acceptor(&cert, &key)?);
        Ok(Some(Self {
            cert,
            key,
            acceptor,
        }))
    }

    /// Returns the paths of certificate and key.
    pub(crate) fn paths(&self) -> [&Path; 2] {
        [&self.cert, &self.key]
    }

    /// Reads the files again. After an error, the certificate before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = acceptor(&self.cert, &self.key)?;
        *self
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.acceptor.read();
        acceptor.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns an acceptor with the certificate and key of these files.
fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    rackwatch_runtime::tls::install_provider();
    let pem = |path: &Path, source| TlsError::Pem {
        path: path.to_owned(),
        source,
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|source| pem(cert, source))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| pem(key, source))?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(TlsError::Pair)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `routes` until `stop`. Open connections are dropped then, as no response is worth the wait.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Certificate>>,
    routes: Router,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stopped = stop.clone();
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let permit = Arc::clone(&permits).acquire_owned().await;
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Small events must not wait for more data.
            let _ok = stream.set_nodelay(true);
            let routes = routes.clone();
            let tls = tls.as_ref().map(|tls| tls.acceptor());
            let one = async move {
                match tls {
                    None => answer(stream, from, routes).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await
                        {
                            answer(stream, from, routes).await;
                        }
                    }
                }
                drop(permit);
            };
            tokio::spawn(stopped.clone().run_until_cancelled_owned(one));
        }
    };
    stop.run_until_cancelled(accepting).await;
}

/// Serves the requests of one connection.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    routes: Router,
) {
    let routes = axum::Extension(ConnectInfo(from)).layer(routes);
    let service = TowerToHyperService::new(routes);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT);
    // The client knows that it closed the connection.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}
