//! Incidents and their acknowledgement.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::Ack;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Params, Sent, who};
use crate::incidents::operator_actions;
use crate::web::Web;
use crate::web::access::Admitted;
use crate::web::view::picture::{DeviceRow, IncidentRow};

/// Which incidents.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct Incidents {
    /// Those that are over too.
    past: bool,
}

/// The most incidents that are over.
const PAST: usize = 200;

/// Incidents.
pub(in crate::web) async fn incidents(
    State(web): State<Arc<Web>>,
    which: Params<Query<Incidents>>,
) -> Answer {
    let Query(which) = which.into_inner()?;
    web.view.looked().await?;
    Ok(Json(web.view.see(|picture| {
        let past = which.past.then(|| picture.past_incidents(PAST));
        json!({ "open": picture.incidents(), "past": past.unwrap_or_default() })
    })))
}

/// An incident: what became of it, its devices, who was told.
pub(in crate::web) async fn incident(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer {
    let Path(id) = id.into_inner()?;
    web.view.looked().await?;
    let story = web.view.see(|picture| picture.story(&id));
    let Some(newest) = story.last().cloned() else {
        return Err(ApiError::missing(
            "no incident is called so, or it was long ago",
        ));
    };
    let (now, members, alerts) = web.view.see(|picture| {
        let ids = newest.devices.iter().map(|subject| subject.as_id().clone());
        let ids: Vec<DeviceId> = ids.collect();
        let rows = ids.iter().filter_map(|id| picture.device(id));
        let members: Vec<DeviceRow> = rows.collect();
        let alerts = picture.alerts(&ids, newest.since);
        (picture.extreme(&newest), members, alerts)
    });
    let deliveries = web.backend.deliveries(Some(&id)).await?;
    Ok(Json(json!({
        "incident": IncidentRow { record: newest, now },
        "story": story,
        "members": members,
        "alerts": alerts,
        "deliveries": deliveries,
    })))
}

/// Acknowledges an incident.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SaidAck {
    by: Option<String>,
    note: String,
}

/// Takes an incident on.
pub(in crate::web) async fn ack(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    id: Params<Path<String>>,
    body: Sent,
) -> Answer {
    let Path(id) = id.into_inner()?;
    let said = match body.0? {
        bytes if bytes.is_empty() => SaidAck::default(),
        bytes => Sent(Ok(bytes)).says()?,
    };
    let ack = Ack {
        by: who(&admitted, said.by)?,
        at: web.backend.now().await,
        note: operator_actions::clean_text(&said.note)?,
    };
    let by = ack.by.clone();
    let incident = web.backend.ack(&id, ack).await?;
    tracing::info!(incident, by, "incident acknowledged at the dashboard");
    Ok(Json(json!({ "incident_id": incident, "by": by })))
}
