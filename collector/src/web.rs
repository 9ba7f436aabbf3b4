//! The web server: the page, its API, metrics, and the probes `/healthz` (alive) and `/readyz` (nothing waits for this collector).
//!
//! Requests are answered from the `read_model` and the `backend`; operator actions are written through the
//! backend. Requests never delay readings or alerts, however slow or many they are. `access` decides who may read
//! and who may act.

pub(crate) mod access;
mod api;
pub(crate) mod backend;
mod events;
mod hosts;
pub(crate) mod listen;
mod metrics;
pub(crate) mod names;
mod pages;
mod prefix;
mod proxies;
mod rate_limit;
mod reload;
mod state;
pub(crate) mod read_model;

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
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use self::listen::Certificate;

pub(crate) use state::Web;
pub(crate) use state::WebError;

/// Largest request body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// Longest time until a response, or until an event stream begins.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait of a scrape for the read model.
const SCRAPE_WAIT: Duration = Duration::from_secs(3);

/// Binds the address. Requests wait until [`serve`].
pub(crate) async fn bind(listen: SocketAddr) -> Result<TcpListener, WebError> {
    TcpListener::bind(listen)
        .await
        .map_err(|source| WebError::Bind { listen, source })
}

/// Serves requests until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Certificate>,
    web: Web,
    stop: CancellationToken,
) {
    let (web, tls) = (Arc::new(web), tls.map(Arc::new));
    let service = listen::Service {
        routes: routes(Arc::clone(&web)),
        tls: tls.clone(),
        proxies: web.access.proxies().clone(),
        limits: listen::Limits::default(),
    };
    let serving = listen::serve(listener, service, stop.clone());
    tokio::join!(serving, reload::run(&web, tls.as_deref(), stop));
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
        .route("/incidents/{incident}/resolve", post(api::resolve))
        .route("/silences", get(api::silences))
        .route("/silences", post(api::add_silence))
        .route("/silences/{silence}", delete(api::expire_silence))
        .route("/windows", get(api::windows))
        .route("/windows", post(api::add_window))
        .route("/windows/{window}", delete(api::delete_window))
        .route("/faults", get(api::faults))
        .route("/kinds", get(api::kinds))
        .route("/status", get(api::status))
        .route("/deliveries", get(api::deliveries))
        .route("/events", get(events::events))
        .route("/openapi.json", get(api::openapi))
        .fallback(api::not_found)
        .method_not_allowed_fallback(not_allowed);
    let prefix: Arc<str> = Arc::clone(&web.prefix);
    let routes = Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(scrape))
        .route("/", get(pages::index))
        .route("/assets/{file}", get(pages::asset))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&web), guard))
        // Probes need no token.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Bounds the time for a slow request body.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            RESPONSE_TIMEOUT,
        ))
        // Event streams stay uncompressed.
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(Arc::clone(&web), headers))
        .with_state(web);
    // Routes are chosen once the path of the public address is gone.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn_with_state(prefix, prefix::strip))
}

/// Rejects requests without access.
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
            let body = axum::Json(serde_json::json!({ "error": denied.reason }));
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

/// Sets the security headers of every response.
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

/// Reports whether readings and alerts go through this collector, and if not, why. Needs no answer from Redis.
async fn readyz(State(web): State<Arc<Web>>) -> (StatusCode, String) {
    let problems = web.stats.progress().problems();
    if problems.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let body = format!("not ready\n{}\n", problems.join("\n"));
    (StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn scrape(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = metrics::Format::of(accept);
    let streams = web.max_streams - web.streams.available_permits();
    // Without Redis, the metrics of the pipeline matter most.
    let loaded = tokio::time::timeout(SCRAPE_WAIT, web.model.ready()).await;
    let is_loaded = matches!(loaded, Ok(Ok(())));
    let scrape = web
        .model
        .query(|model| metrics::Scrape::new(&web.stats, streams, is_loaded.then_some(model)));
    match scrape.text(format) {
        Ok(text) => ([(CONTENT_TYPE, format.media_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn not_allowed() -> Response {
    let body = axum::Json(serde_json::json!({ "error": "method not allowed" }));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found: the dashboard is at the root of this address\n",
    )
}

#[cfg(test)]
mod tests;
