//! The page: files that are part of the program. Nothing is loaded from elsewhere.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

/// Name, type and content of each.
const FILES: &[(&str, &str, &str)] = &[
    ("index.html", HTML, include_str!("../../page/index.html")),
    ("style.css", CSS, include_str!("../../page/style.css")),
    ("icon.svg", SVG, include_str!("../../page/icon.svg")),
    ("app.js", JS, include_str!("../../page/app.js")),
    ("alerts.js", JS, include_str!("../../page/alerts.js")),
    ("api.js", JS, include_str!("../../page/api.js")),
    (
        "chart-layers.js",
        JS,
        include_str!("../../page/chart-layers.js"),
    ),
    (
        "chart-scale.js",
        JS,
        include_str!("../../page/chart-scale.js"),
    ),
    ("chart.js", JS, include_str!("../../page/chart.js")),
    ("colour.js", JS, include_str!("../../page/colour.js")),
    (
        "cooling-table.js",
        JS,
        include_str!("../../page/cooling-table.js"),
    ),
    ("cooling.js", JS, include_str!("../../page/cooling.js")),
    ("element.js", JS, include_str!("../../page/element.js")),
    ("elevation.js", JS, include_str!("../../page/elevation.js")),
    ("events.js", JS, include_str!("../../page/events.js")),
    ("faults.js", JS, include_str!("../../page/faults.js")),
    ("format.js", JS, include_str!("../../page/format.js")),
    (
        "incident-actions.js",
        JS,
        include_str!("../../page/incident-actions.js"),
    ),
    ("incident.js", JS, include_str!("../../page/incident.js")),
    ("incidents.js", JS, include_str!("../../page/incidents.js")),
    ("overview.js", JS, include_str!("../../page/overview.js")),
    ("patch.js", JS, include_str!("../../page/patch.js")),
    ("pipeline.js", JS, include_str!("../../page/pipeline.js")),
    ("rack-map.js", JS, include_str!("../../page/rack-map.js")),
    ("rack.js", JS, include_str!("../../page/rack.js")),
    ("ranges.js", JS, include_str!("../../page/ranges.js")),
    ("sensor.js", JS, include_str!("../../page/sensor.js")),
    (
        "silence-forms.js",
        JS,
        include_str!("../../page/silence-forms.js"),
    ),
    ("silences.js", JS, include_str!("../../page/silences.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

/// Nothing but what is part of the program runs, and nobody frames it.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is there before anything is clicked.
pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

/// One of the files.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    // Another version of the program has other files under the same names.
    let digest = digest(&SHA256, text.as_bytes());
    let begins = digest.as_ref().first_chunk();
    let begins = begins.map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let etag = format!("\"{begins:016x}\"");
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
