//! The health of the pipeline, and deliveries of notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::Answer;
use crate::web::Web;

/// Returns the health of the pipeline, with the counts of this collector.
pub(in crate::web) async fn status(State(web): State<Arc<Web>>) -> Answer {
    web.model.note_viewer();
    let mut status = web.backend.status().await?;
    status["collector"] = json!(web.stats.counts());
    let problems = web.stats.progress().problems();
    status["ready"] = json!(problems.is_empty());
    status["not_ready"] = json!(problems);
    Ok(Json(status))
}

/// Returns deliveries of notifications, newest first.
pub(in crate::web) async fn deliveries(State(web): State<Arc<Web>>) -> Answer {
    let deliveries = web.backend.deliveries(None).await?;
    Ok(Json(json!({ "deliveries": deliveries })))
}
