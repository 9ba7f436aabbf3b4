//! The page: files that are part of the program. It loads nothing from other hosts.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

/// Expands to name, type and content of a file in `collector/page/`.
macro_rules! page_file {
    ($name:literal, $kind:ident) => {
        ($name, $kind, include_str!(concat!("../../page/", $name)))
    };
}

/// The files of the page, each with name, type and content.
const FILES: &[(&str, &str, &str)] = &[
    page_file!("index.html", HTML),
    page_file!("style.css", CSS),
    page_file!("icon.svg", SVG),
    page_file!("app.js", JS),
    page_file!("alerts.js", JS),
    page_file!("api.js", JS),
    page_file!("chart-layers.js", JS),
    page_file!("chart-scale.js", JS),
    page_file!("chart.js", JS),
    page_file!("colour.js", JS),
    page_file!("cooling-table.js", JS),
    page_file!("data-state.js", JS),
    page_file!("cooling.js", JS),
    page_file!("element.js", JS),
    page_file!("elevation.js", JS),
    page_file!("events.js", JS),
    page_file!("faults.js", JS),
    page_file!("format.js", JS),
    page_file!("incident-actions.js", JS),
    page_file!("incident.js", JS),
    page_file!("incidents.js", JS),
    page_file!("overview.js", JS),
    page_file!("newest.js", JS),
    page_file!("patch.js", JS),
    page_file!("pipeline.js", JS),
    page_file!("rack-map.js", JS),
    page_file!("rack.js", JS),
    page_file!("ranges.js", JS),
    page_file!("sensor.js", JS),
    page_file!("silence-forms.js", JS),
    page_file!("silences.js", JS),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

/// The content security policy: only files of this program run, and no site may frame the page.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves `index.html`, the page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

/// Serves a file of the page.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    // Another version of the program has other contents under the same names.
    let digest = digest(&SHA256, text.as_bytes());
    let prefix = digest.as_ref().first_chunk();
    let prefix = prefix.map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let etag = format!("\"{prefix:016x}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let head = [
        (CONTENT_TYPE, (*kind).to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (ETAG, etag.clone()),
    ];
    if known == Some(etag.as_str()) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, *text).into_response()
}
