//! The kinds of alerts, and the `OpenAPI` document, which lists them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use rackwatch_core::alert::AlertKind;
use serde_json::{Value, json};

use super::Answer;

/// The `OpenAPI` document without the kinds of alerts.
const OPENAPI: &str = include_str!("../openapi.json");

/// Lists the kinds of alerts with their titles and units.
pub(in crate::web) async fn kinds() -> Answer {
    let entry = |kind: AlertKind| {
        let info = kind.info();
        json!({
            "type": kind,
            "title": info.title,
            "unit": info.unit,
            "has_rules": AlertKind::RULES.contains(&kind),
        })
    };
    let kinds = AlertKind::ALL.map(entry);
    Ok(Json(json!({ "kinds": kinds })))
}

/// Returns the `OpenAPI` document with all kinds of alerts filled in.
pub(in crate::web) async fn openapi() -> Response {
    let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (headers, openapi_json()).into_response()
}

fn openapi_json() -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(OPENAPI) else {
        return OPENAPI.to_owned();
    };
    if let Some(kinds) = document.pointer_mut("/components/schemas/AlertKind/enum") {
        *kinds = json!(AlertKind::ALL);
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_lists_every_kind() {
        let document: Value = serde_json::from_str(&openapi_json()).unwrap();
        let listed = document.pointer("/components/schemas/AlertKind/enum");
        assert_eq!(listed, Some(&json!(AlertKind::ALL)));
    }
}
