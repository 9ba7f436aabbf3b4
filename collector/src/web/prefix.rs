//! The path of `web.public_url`, for proxies that pass it on. A proxy may also strip it: the page uses relative
//! addresses only, and works either way.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Removes the path of the public address from the path of a request.
pub(super) async fn strip(
    State(prefix): State<Arc<str>>,
    mut request: Request,
    next: Next,
) -> Response {
    let stripped = match request.uri().path().strip_prefix(&*prefix) {
        Some("") if !prefix.is_empty() => return with_slash(&prefix),
        Some(rest) if rest.starts_with('/') => stripped(request.uri(), rest),
        _ => None,
    };
    if let Some(uri) = stripped {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// Returns the address with another path.
fn stripped(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

/// Redirects to the same path with a slash at its end, to which the page's addresses are relative.
fn with_slash(prefix: &str) -> Response {
    let last = prefix.rsplit('/').next().unwrap_or_default();
    match HeaderValue::try_from(format!("{last}/")) {
        Ok(to) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, to)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
