//! Connections: a bounded number, in all and for each address, with deadlines, and with TLS if there is a certificate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::AddExtension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::proxies::TrustedProxies;
use super::rate_limit::PlaceLimit;

/// Deadline of a TLS handshake, and of the head of each request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Shortest time between two warnings about closed connections.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The bounds of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Concurrent connections. Further ones wait to be accepted.
    pub(super) connections: usize,
    /// Concurrent connections from one address. Further ones are closed. Trusted proxies are exempt: each carries the
    /// requests of many.
    pub(super) of_address: usize,
    /// Time in which a client must take some of what is sent to it.
    pub(super) write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            // Enough for forty pages in one browser, and a quarter of all.
            of_address: 256,
            write_timeout: Duration::from_secs(30),
        }
    }
}

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

/// The routes and settings of the connections.
pub(super) struct Service {
    pub(super) routes: Router,
    pub(super) tls: Option<Arc<Certificate>>,
    pub(super) proxies: TrustedProxies,
    pub(super) limits: Limits,
}

/// Serves requests until `stop`. Open connections are dropped then, as no response is worth the wait.
pub(super) async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(service.limits.connections));
    let places = PlaceLimit::new(service.limits.of_address);
    let stopped = stop.clone();
    let mut warned = None;
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
            let is_proxy = service.proxies.contains(from.ip());
            let place = places.take(from.ip());
            if place.is_none() && !is_proxy {
                if warned.is_none_or(|at: Instant| at.elapsed() >= WARN_EVERY) {
                    warned = Some(Instant::now());
                    let address = from.ip();
                    tracing::warn!(
                        %address,
                        "too many connections from one address, closing further ones: list a proxy in web.trusted_proxies"
                    );
                }
                continue;
            }
            // Small events must not wait for more data.
            let _ok = stream.set_nodelay(true);
            let answered = answer(stream, from, &service);
            let one = async move {
                answered.await;
                drop((permit, place));
            };
            tokio::spawn(stopped.clone().run_until_cancelled_owned(one));
        }
    };
    stop.run_until_cancelled(accepting).await;
}

/// Serves the requests of one connection.
fn answer(
    stream: TcpStream,
    from: SocketAddr,
    service: &Service,
) -> impl Future<Output = ()> + Send + use<> {
    let routes = axum::Extension(ConnectInfo(from)).layer(service.routes.clone());
    let tls = service.tls.as_ref().map(|tls| tls.acceptor());
    // A client that takes nothing must not keep its place.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(service.limits.write_timeout));
    let stream = Box::pin(stream);
    async move {
        match tls {
            None => answer_http(stream, routes).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                    answer_http(stream, routes).await;
                }
            }
        }
    }
}

async fn answer_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: AddExtension<Router, ConnectInfo<SocketAddr>>,
) {
    let service = TowerToHyperService::new(routes);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT);
    // The client knows that it closed the connection.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpSocket;

    use super::*;
    use crate::config::WebConfig;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Serves a large text with these limits, and returns the address.
    async fn serving(limits: Limits, config: &WebConfig) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = || async { "x".repeat(32 << 20) };
        let service = Service {
            routes: Router::new().fallback(text),
            tls: None,
            proxies: TrustedProxies::new(config),
            limits,
        };
        tokio::spawn(serve(listener, service, CancellationToken::new()));
        address
    }

    async fn connected(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Sends a request, and returns whether the server answers rather than closes the connection.
    async fn is_answered(stream: &mut TcpStream) -> bool {
        let ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // It may be closed already.
        let _sent = stream.try_write(ask);
        let read = timeout(DEADLINE, stream.read(&mut [0; 12])).await.unwrap();
        read.is_ok_and(|count| count > 0)
    }

    #[tokio::test]
    async fn an_address_has_a_share_of_the_connections() {
        let limits = Limits {
            of_address: 2,
            ..Limits::default()
        };
        let config = toml::from_str("trusted_proxies = ['127.0.0.3']").unwrap();
        let to = serving(limits, &config).await;
        let mut open = Vec::new();
        for expected in [true, true, false] {
            let mut stream = connected([127, 0, 0, 1], to).await;
            assert_eq!(is_answered(&mut stream).await, expected);
            open.push(stream);
        }
        for proxy in 0..4 {
            let mut stream = connected([127, 0, 0, 3], to).await;
            assert!(is_answered(&mut stream).await, "connection {proxy}");
            open.push(stream);
        }
        assert!(is_answered(&mut connected([127, 0, 0, 2], to).await).await);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_loses_its_place() {
        let limits = Limits {
            connections: 1,
            write_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let to = serving(limits, &WebConfig::default()).await;
        let mut stuck = connected([127, 0, 0, 1], to).await;
        assert!(is_answered(&mut stuck).await);
        let mut next = connected([127, 0, 0, 1], to).await;
        assert!(is_answered(&mut next).await, "it has the only place now");
    }
}
