//! The web side: `/healthz` says that the program runs, `/readyz` that it judges readings.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::stats::Stats;

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
    /// It failed while running.
    #[error("the web side failed")]
    Serve(#[source] std::io::Error),
}

/// Takes the address; nothing is answered yet.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, WebError> {
    TcpListener::bind(listen)
        .await
        .map_err(|source| WebError::Bind { listen, source })
}

/// Answers until `stop`.
pub async fn serve(
    listener: TcpListener,
    stats: Arc<Stats>,
    stop: CancellationToken,
) -> Result<(), WebError> {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(stats);
    // Open connections are dropped at the stop: these answers are not worth waiting for.
    let serving = axum::serve(listener, routes).into_future();
    stop.run_until_cancelled(serving)
        .await
        .unwrap_or(Ok(()))
        .map_err(WebError::Serve)
}

async fn readyz(State(stats): State<Arc<Stats>>) -> (StatusCode, &'static str) {
    if stats.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: waiting for Redis\n",
        )
    }
}
