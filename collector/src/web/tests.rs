//! Tests of every route: against the API description, and of access.

mod actions;
mod events;

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Method;
use rackwatch_core::device::DeviceId;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::{Profile, RuleSet};
use rackwatch_core::units::Celsius;
use rackwatch_runtime::clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::backend::memory::MemoryBackend;
use super::names::new_user;
use super::read_model::SharedReadModel;
use super::*;
use crate::config::WebConfig;
use crate::incidents::correlate::memory::OperatorAction;
use crate::ingest::raw_stream::ResolvedByHand;
use crate::series::{InMemory, SeriesConfig};
use crate::stats::Stats;
use crate::web::read_model::Change;

const OPENAPI: &str = include_str!("openapi.json");

/// The routes of a small site, and the operator actions they cause.
struct Site {
    routes: Router,
    model: Arc<SharedReadModel>,
    actions: mpsc::UnboundedReceiver<OperatorAction>,
    resolutions: mpsc::UnboundedReceiver<Vec<ResolvedByHand>>,
}

fn site(config: &WebConfig) -> Site {
    let rules = Arc::new(RuleSet::with_defaults(&[]).unwrap());
    let model = Arc::new(SharedReadModel::new(rules, Profile::default().envelope()));
    model.set_ready(true);
    model.apply([Change::Reading {
        reading: Reading {
            device: DeviceId::new("inlet-B07-1").unwrap(),
            at: clock::now(),
            value: Ok(Celsius::new(24.5).unwrap()),
        },
        by_agent: false,
    }]);
    let stats = Arc::new(Stats::default());
    let series = InMemory::new(&SeriesConfig::default());
    let (sender, actions) = mpsc::unbounded_channel();
    let (resolve, resolutions) = mpsc::unbounded_channel();
    let (shown, counted) = (Arc::clone(&model), Arc::clone(&stats));
    let backend = MemoryBackend::new(series, shown, counted, sender, resolve);
    let web = Web::new(config, stats, Arc::clone(&model), Box::new(backend), true).unwrap();
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
    let routes = routes(Arc::new(web)).layer(axum::Extension(ConnectInfo(from)));
    Site {
        routes,
        model,
        actions,
        resolutions,
    }
}

impl Site {
    async fn ask(&self, method: Method, path: &str, body: &str, token: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .header("content-length", body.len());
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.routes.clone().oneshot(request).await.unwrap()
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let response = self.ask(method, path, &body, None).await;
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

/// Returns every method and path of the API description.
fn documented() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            all.push((method, format!("/api/v1{path}")));
        }
    }
    assert!(all.len() > 15);
    all
}

fn filled(path: &str) -> String {
    path.replace("{scope}", "room")
        .replace("{name}", "hall-1")
        .replace("{rack}", "B07")
        .replace("{device}", "inlet-B07-1")
        .replace("{incident}", "0123456789abcdef")
        .replace("{silence}", "abc123")
        .replace("{window}", "abc123")
}

#[tokio::test]
async fn routes_match_the_api_description() {
    let site = site(&WebConfig::default());
    for (method, path) in documented() {
        let response = site.ask(method.clone(), &filled(&path), "", None).await;
        assert_ne!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        if response.status() == StatusCode::NOT_FOUND {
            let bytes = to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(!text.contains("no such endpoint"), "{method} {path}");
        }
    }
    // Every route must be described too: their names are in the parent of this file.
    let routes = include_str!("../web.rs").lines().filter_map(|line| {
        let (_, rest) = line.trim().split_once(".route(\"")?;
        let (path, rest) = rest.split_once("\", ")?;
        Some((path, rest.split('(').next()?))
    });
    let documented: Vec<String> = documented()
        .into_iter()
        .map(|(method, path)| format!("{method} {path}").to_lowercase())
        .collect();
    let mut count = 0;
    for (path, method) in routes {
        if ["/healthz", "/readyz", "/metrics", "/", "/assets/{file}"].contains(&path) {
            continue;
        }
        count += 1;
        assert!(
            documented.contains(&format!("{method} /api/v1{path}")),
            "{method} {path}"
        );
    }
    assert_eq!(count, documented.len());
}

#[tokio::test]
async fn every_route_checks_access() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access");
    let [(viewer, one), (operator, other)] = [("eve", false), ("ann", true)]
        .map(|(name, is_operator)| new_user(name, is_operator).unwrap());
    std::fs::write(&file, one + &other).unwrap();
    let config = WebConfig {
        access_file: Some(file),
        ..WebConfig::default()
    };
    let site = site(&config);
    let mut all = documented();
    all.extend(["/metrics", "/", "/assets/app.js"].map(|path| (Method::GET, path.to_owned())));
    for (method, path) in all {
        let path = filled(&path);
        let is_action = method != Method::GET;
        let status = async |token| site.ask(method.clone(), &path, "", token).await.status();
        assert_eq!(
            status(None).await,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        if is_action {
            assert_eq!(
                status(Some(&viewer)).await,
                StatusCode::FORBIDDEN,
                "{method} {path}"
            );
        } else {
            let viewed = status(Some(&viewer)).await;
            assert!(
                ![401, 403].contains(&viewed.as_u16()),
                "{method} {path}: {viewed}"
            );
        }
        let operated = status(Some(&operator)).await;
        assert!(
            ![401, 403].contains(&operated.as_u16()),
            "{method} {path}: {operated}"
        );
    }
    for path in ["/healthz", "/readyz"] {
        let status = site.ask(Method::GET, path, "", None).await.status();
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn queries_are_answered() {
    let site = site(&WebConfig::default());
    let (status, all) = site.json(Method::GET, "/api/v1/site", &Value::Null).await;
    assert_eq!((status, &all["racks"][0]["inlet_max"]), (200, &json!(24.5)));
    let (_, rack) = site
        .json(Method::GET, "/api/v1/racks/B07", &Value::Null)
        .await;
    assert_eq!(rack["sensors"][0]["id"], "inlet-B07-1");
    let (_, device) = site
        .json(Method::GET, "/api/v1/devices/inlet-B07-1", &Value::Null)
        .await;
    assert_eq!(device["limits"][0]["at"], 28.0);
    for (path, status) in [
        ("/api/v1/racks/none", 404),
        ("/api/v1/devices/none", 404),
        ("/api/v1/devices/a%20b", 404),
        ("/api/v1/devices?limit=x", 400),
        ("/api/v1/devices?colour=red", 400),
        ("/api/v1/devices/inlet-B07-1/series?from=5&to=1", 400),
        ("/api/v1/devices/inlet-B07-1/series?from=1", 400),
        ("/api/v1/incidents/none", 404),
        ("/api/v1/none", 404),
        ("/api/v1/%ff", 404),
    ] {
        let (answered, body) = site.json(Method::GET, path, &Value::Null).await;
        assert_eq!(answered, status, "{path}");
        assert!(body["error"].is_string(), "{path}: {body}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_other_hosts() {
    let site = site(&WebConfig::default());
    let page = site.ask(Method::GET, "/", "", None).await;
    let policy = page.headers()[CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let bytes = to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let html = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "{html}"
    );
    for file in html
        .split('"')
        .filter_map(|text| text.strip_prefix("assets/"))
    {
        let asset = site
            .ask(Method::GET, &format!("/assets/{file}"), "", None)
            .await;
        assert_eq!(asset.status(), StatusCode::OK, "{file}");
    }
    let missing = site.ask(Method::GET, "/assets/../web.rs", "", None).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_follow_the_accept_header() {
    let site = site(&WebConfig::default());
    for (accept, kind, counter, ends) in [
        (
            "",
            "text/plain; version=0.0.4",
            "# TYPE rackwatch_readings_total counter",
            false,
        ),
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text",
            "# TYPE rackwatch_readings counter",
            true,
        ),
    ] {
        let request = Request::builder().uri("/metrics").header(ACCEPT, accept);
        let request = request.body(Body::empty()).unwrap();
        let response = site.routes.clone().oneshot(request).await.unwrap();
        let media_type = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(media_type.starts_with(kind), "{media_type}");
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let sensor = "rackwatch_temperature_celsius{device=\"inlet-B07-1\",rack=\"B07\",row=\"\",room=\"default\",role=\"inlet\"} 24.5\n";
        assert!(text.contains(sensor), "{text}");
        assert!(text.lines().any(|line| line == counter), "{text}");
        assert_eq!(text.ends_with("# EOF\n"), ends);
    }
}
