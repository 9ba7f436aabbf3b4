//! Connections: so many at a time, each with a deadline for what it asks, with TLS where there is a certificate.

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

/// So many connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 1024;
/// Who connects has so long for its certificates, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an error of accepting, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One without the other.
    #[error("web.tls_cert_file and web.tls_key_file belong together: only one is named")]
    Half,
    /// A file cannot be read.
    #[error("cannot use the PEM file {} of web.tls_*_file", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// They do not fit.
    #[error("web.tls_cert_file and web.tls_key_file cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// What is shown to whoever connects, as its files were read last.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl Certificate {
    /// That of these files, where both are named.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or do not fit.
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

    /// Its files.
    pub(crate) fn paths(&self) -> [&Path; 2] {
        [&self.cert, &self.key]
    }

    /// Reads them again; what was there stays where they cannot be used.
    pub(crate) fn renew(&self) -> Result<(), TlsError> {
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

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    rackwatch_runtime::tls::choose_provider();
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

/// Answers with `routes` until `stop`. Open connections are dropped then: nothing of an answer is worth waiting for.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Certificate>>,
    routes: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let stopped = stop.clone();
    let accepting = async {
        loop {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // Numbers go out at once.
            let _ok = stream.set_nodelay(true);
            let routes = routes.clone();
            let tls = tls.as_ref().map(|tls| tls.acceptor());
            let one = async move {
                match tls {
                    None => answer(stream, from, routes).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                            answer(stream, from, routes).await;
                        }
                    }
                }
                drop(place);
            };
            tokio::spawn(stopped.clone().run_until_cancelled_owned(one));
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    routes: Router,
) {
    let routes = axum::Extension(ConnectInfo(from)).layer(routes);
    let service = TowerToHyperService::new(routes);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // Whoever breaks a connection off knows.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}
