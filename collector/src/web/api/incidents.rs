//! Incidents, their acknowledgement, and their end by hand.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::Ack;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, JsonBody, Params, author};
use crate::incidents::operator_actions;
use crate::incidents::resolve::Resolver;
use crate::web::Web;
use crate::web::access::Admitted;
use crate::web::read_model::{DeviceRow, IncidentRow};

/// The filter of a list of incidents.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct IncidentFilter {
    /// Whether resolved incidents are included.
    past: bool,
}

/// Maximum number of resolved incidents in a response.
const MAX_PAST: usize = 200;

/// Returns open incidents, and resolved ones on request.
pub(in crate::web) async fn incidents(
    State(web): State<Arc<Web>>,
    filter: Params<Query<IncidentFilter>>,
) -> Answer {
    let Query(filter) = filter.into_inner()?;
    web.model.ready().await?;
    Ok(Json(web.model.query(|model| {
        let past = filter.past.then(|| model.past_incidents(MAX_PAST));
        json!({ "open": model.incidents(), "past": past.unwrap_or_default() })
    })))
}

/// Returns an incident with its timeline, sensors, alerts and notifications.
pub(in crate::web) async fn incident(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer {
    let Path(id) = id.into_inner()?;
    web.model.ready().await?;
    let timeline = web.model.query(|model| model.timeline(&id));
    let Some(newest) = timeline.last().cloned() else {
        return Err(ApiError::missing(
            "no such incident, or its records have expired",
        ));
    };
    let (now, sensors, alerts) = web.model.query(|model| {
        let ids = newest.devices.iter().map(|subject| subject.as_id().clone());
        let ids: Vec<DeviceId> = ids.collect();
        let rows = ids.iter().filter_map(|id| model.device(id));
        let sensors: Vec<DeviceRow> = rows.collect();
        let alerts = model.alerts(&ids, newest.since);
        (model.peak_now(&newest), sensors, alerts)
    });
    let deliveries = web.backend.deliveries(Some(&id)).await?;
    Ok(Json(json!({
        "incident": IncidentRow { record: newest, now },
        "timeline": timeline,
        "sensors": sensors,
        "alerts": alerts,
        "deliveries": deliveries,
    })))
}

/// The body of an acknowledgement or a resolution.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Remark {
    by: Option<String>,
    note: String,
}

/// Parses a remark, which may be left out.
fn remark(body: JsonBody) -> Answer<Remark> {
    match body.0? {
        bytes if bytes.is_empty() => Ok(Remark::default()),
        bytes => JsonBody(Ok(bytes)).parse(),
    }
}

/// Acknowledges an incident in the name of the user.
pub(in crate::web) async fn ack(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    id: Params<Path<String>>,
    body: JsonBody,
) -> Answer {
    let Path(id) = id.into_inner()?;
    let new = remark(body)?;
    let ack = Ack {
        by: author(&admitted, new.by)?,
        at: web.backend.now().await,
        note: operator_actions::clean_text(&new.note)?,
    };
    let by = ack.by.clone();
    let incident = web.backend.ack(&id, ack).await?;
    tracing::info!(incident, by, "incident acknowledged in the dashboard");
    Ok(Json(json!({ "incident_id": incident, "by": by })))
}

/// Requests the end of all open alerts of an incident, in the name of the user. Their collectors carry it out within seconds.
pub(in crate::web) async fn resolve(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    id: Params<Path<String>>,
    body: JsonBody,
) -> Answer {
    let Path(id) = id.into_inner()?;
    let new = remark(body)?;
    let resolver = Resolver {
        by: author(&admitted, new.by)?,
        at: web.backend.now().await,
        note: operator_actions::clean_text(&new.note)?,
    };
    let by = resolver.by.clone();
    let requested = web.backend.resolve(&id, resolver).await?;
    let (alerts, left) = (requested.alerts(), requested.left);
    let incident = requested.incident.unwrap_or(id);
    tracing::info!(incident, by, alerts, "incident resolved in the dashboard");
    Ok(Json(
        json!({ "incident_id": incident, "by": by, "alerts": alerts, "left": left }),
    ))
}
