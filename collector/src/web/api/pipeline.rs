//! The state of the pipeline and of deliveries.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::Answer;
use crate::web::Web;

/// How the pipeline is doing.
pub(in crate::web) async fn status(State(web): State<Arc<Web>>) -> Answer {
    web.view.look();
    let mut status = web.backend.status().await?;
    status["collector"] = json!(web.stats.counts());
    status["ready"] = json!(web.stats.is_ready());
    Ok(Json(status))
}

/// What became of what people were to be told.
pub(in crate::web) async fn deliveries(State(web): State<Arc<Web>>) -> Answer {
    let deliveries = web.backend.deliveries(None).await?;
    Ok(Json(json!({ "deliveries": deliveries })))
}
