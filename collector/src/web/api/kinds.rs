//! The kinds of alerts, and the description of the API, which lists them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use rackwatch_core::alert::AlertKind;
use serde_json::{Value, json};

use super::Answer;

/// The description of the API, without the kinds of alerts.
const OPENAPI: &str = include_str!("../openapi.json");

/// Lists the kinds of alerts with the words for each.
pub(in crate::web) async fn kinds() -> Answer {
    let of = |kind: AlertKind| {
        let info = kind.info();
        json!({
            "type": kind,
            "title": info.title,
            "unit": info.unit,
            "has_rules": AlertKind::RULES.contains(&kind),
        })
    };
    let kinds = AlertKind::ALL.map(of);
    Ok(Json(json!({ "kinds": kinds })))
}

/// Describes the API, with all kinds of alerts filled in.
pub(in crate::web) async fn openapi() -> Response {
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, described()).into_response()
}

fn described() -> String {
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
    fn the_description_lists_every_kind() {
        let document: Value = serde_json::from_str(&described()).unwrap();
        let listed = document.pointer("/components/schemas/AlertKind/enum");
        assert_eq!(listed, Some(&json!(AlertKind::ALL)));
    }
}
