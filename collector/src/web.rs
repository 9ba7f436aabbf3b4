//! The web side: the page, the API behind it, metrics, and whether the program runs (`/healthz`) and judges readings
//! (`/readyz`).
//!
//! In: requests. Out: what the [`View`] and the backend know, and what people do. Promise: it reads, and writes what people
//! do; no request, however slow or many, holds up readings or alerts. [`access`] says who may.

pub(crate) mod access;
mod api;
pub(crate) mod backend;
mod events;
pub(crate) mod listen;
mod metrics;
pub(crate) mod names;
mod pages;
mod renew;
pub mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use self::access::{Access, AccessError};
use self::backend::Backend;
use self::listen::{Certificate, TlsError};
use crate::config::WebConfig;
use crate::stats::Stats;
use crate::web::view::View;

/// What the API is.
const OPENAPI: &str = include_str!("web/openapi.json");
/// The largest body that is read.
const LARGEST_BODY: usize = 16 * 1024;

/// A request is answered within this, or not at all; an event stream begins within it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A scrape waits no longer for what there is to see.
const SCRAPED_WITHIN: Duration = Duration::from_secs(3);

/// The web side cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {listen}: name another address with --listen")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Who may look and act.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What answers requests.
#[derive(Debug)]
pub(crate) struct Web {
    stats: Arc<Stats>,
    view: Arc<View>,
    backend: Box<dyn Backend>,
    access: Access,
    /// Names were read again: whoever listens has to come again.
    renewed: watch::Sender<()>,
    streams: Arc<Semaphore>,
    most_streams: usize,
    tls: bool,
    demo: bool,
}

impl Web {
    /// By these settings.
    ///
    /// # Errors
    ///
    /// When others could act without a name.
    pub(crate) fn new(
        config: &WebConfig,
        stats: Arc<Stats>,
        view: Arc<View>,
        backend: Box<dyn Backend>,
        demo: bool,
    ) -> Result<Self, WebError> {
        Ok(Self {
            stats,
            view,
            backend,
            access: Access::new(config)?,
            renewed: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            most_streams: config.max_streams,
            tls: config.tls_cert_file.is_some(),
            demo,
        })
    }
}

/// Takes the address; nothing is answered yet.
pub(crate) async fn bind(listen: SocketAddr) -> Result<TcpListener, WebError> {
    TcpListener::bind(listen)
        .await
        .map_err(|source| WebError::Bind { listen, source })
}

/// Answers until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Certificate>,
    web: Web,
    stop: CancellationToken,
) {
    let (web, tls) = (Arc::new(web), tls.map(Arc::new));
    let served = listen::serve(
        listener,
        tls.clone(),
        routes(Arc::clone(&web)),
        stop.clone(),
    );
    tokio::join!(served, renew::run(&web, tls.as_deref(), stop));
}

fn routes(web: Arc<Web>) -> Router {
    let api = Router::new()
        .route("/site", get(api::site))
        .route("/racks/{rack}", get(api::rack))
        .route("/devices", get(api::devices))
        .route("/devices/{device}", get(api::device))
        .route("/devices/{device}/series", get(api::series))
        .route("/indices/{scope}/{name}", get(api::indices))
        .route("/incidents", get(api::incidents))
        .route("/incidents/{incident}", get(api::incident))
        .route("/incidents/{incident}/ack", post(api::ack))
        .route("/quiet", get(api::quiet))
        .route("/silences", post(api::silence))
        .route("/silences/{silence}", delete(api::unsilence))
        .route("/windows", post(api::plan))
        .route("/windows/{window}", delete(api::unplan))
        .route("/troubles", get(api::troubles))
        .route("/kinds", get(api::kinds))
        .route("/status", get(api::status))
        .route("/deliveries", get(api::deliveries))
        .route("/events", get(events::events))
        .route("/openapi.json", get(api::openapi))
        .fallback(api::nothing)
        .method_not_allowed_fallback(not_allowed);
    Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(scraped))
        .route("/", get(pages::index))
        .route("/assets/{file}", get(pages::asset))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(Arc::clone(&web), guard))
        // Whether the program runs is no secret.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        // A body that comes byte by byte is not waited for.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            PATIENCE,
        ))
        // Event streams are left as they are.
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(Arc::clone(&web), headers))
        .with_state(web)
}

/// Lets in who may come in.
async fn guard(
    State(web): State<Arc<Web>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    match web
        .access
        .admit(request.method(), request.headers(), from.ip())
    {
        Ok(admitted) => {
            request.extensions_mut().insert(admitted);
            next.run(request).await
        }
        Err(denied) => {
            let body = axum::Json(serde_json::json!({ "error": denied.why }));
            let mut response = (denied.status, body).into_response();
            if denied.status == StatusCode::UNAUTHORIZED {
                let basic =
                    HeaderValue::from_static("Basic realm=\"Rackwatch\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, basic);
            }
            response
        }
    }
}

/// What every answer says of itself.
async fn headers(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, pages::POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(CACHE_CONTROL, "no-store");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if web.tls {
        set(
            HeaderName::from_static("strict-transport-security"),
            "max-age=31536000",
        );
    }
    response
}

async fn readyz(State(web): State<Arc<Web>>) -> (StatusCode, &'static str) {
    if web.stats.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: waiting for Redis\n",
        )
    }
}

async fn scraped(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = metrics::Format::of(accept);
    let streams = web.most_streams - web.streams.available_permits();
    // Without Redis the pipeline's own numbers are worth more than ever.
    let looked = tokio::time::timeout(SCRAPED_WITHIN, web.view.looked()).await;
    let sees = matches!(looked, Ok(Ok(())));
    let text = web
        .view
        .see(|picture| metrics::text(format, &web.stats, streams, sees.then_some(picture)));
    ([(CONTENT_TYPE, format.kind())], text).into_response()
}

async fn not_allowed() -> Response {
    let body = axum::Json(serde_json::json!({ "error": "this cannot be done here" }));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}

async fn nowhere() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "there is nothing here: the page is at /\n",
    )
}

#[cfg(test)]
mod tests;
