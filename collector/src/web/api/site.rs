//! The site with its racks, devices and sensor faults.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Params, device_id};
use crate::web::Web;
use crate::web::read_model::DeviceRow;

/// Returns the envelope, racks, and the indices of rooms and rows.
pub(in crate::web) async fn site(State(web): State<Arc<Web>>) -> Answer {
    web.model.ready().await?;
    let now = web.backend.now().await;
    Ok(Json(web.model.query(|model| {
        let envelope = model.envelope();
        let racks = model.racks();
        let loose = model.devices(|_, spot| spot.rack.is_empty()).len();
        json!({
            "now": now,
            "version": env!("CARGO_PKG_VERSION"),
            "demo": web.demo,
            "envelope": {
                "class": envelope.class,
                "recommended": envelope.recommended,
                "allowable": envelope.allowable,
            },
            "sensors": model.len(),
            "unplaced": loose,
            "racks": racks,
            "scopes": model.scopes(),
            "incidents": model.incidents().len(),
            "faults": model.faults().len(),
            "states": model.states(),
        })
    })))
}

/// Returns a rack with its sensors, the highest first.
pub(in crate::web) async fn rack(
    State(web): State<Arc<Web>>,
    name: Params<Path<String>>,
) -> Answer {
    let Path(name) = name.into_inner()?;
    web.model.ready().await?;
    let found = web.model.query(|model| {
        let mut sensors = model.devices(|_, spot| spot.rack == name);
        sensors.sort_by(|a, b| (b.u, &a.id).cmp(&(a.u, &b.id)));
        let racks = model.some_racks(&std::iter::once(name.clone()).collect());
        racks.into_iter().next().map(|rack| (rack, sensors))
    });
    let (rack, sensors) = found.ok_or_else(|| ApiError::missing("no such rack"))?;
    Ok(Json(json!({ "rack": rack, "sensors": sensors })))
}

/// The filter of a list of devices.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct DeviceFilter {
    /// Devices of this rack, or without a rack if empty.
    rack: Option<String>,
    /// Devices with this text in their id.
    find: Option<String>,
    /// At most this many.
    limit: Option<usize>,
}

/// Maximum number of devices in a response.
const MAX_DEVICES: usize = 20_000;

/// Returns devices in the order of their ids.
pub(in crate::web) async fn devices(
    State(web): State<Arc<Web>>,
    filter: Params<Query<DeviceFilter>>,
) -> Answer<Json<Vec<DeviceRow>>> {
    let Query(filter) = filter.into_inner()?;
    web.model.ready().await?;
    let find = filter.find.map(|text| text.to_lowercase());
    let mut rows = web.model.query(|model| {
        model.devices(|id, spot| {
            filter.rack.as_ref().is_none_or(|rack| spot.rack == *rack)
                && find
                    .as_ref()
                    .is_none_or(|text| id.as_str().to_lowercase().contains(text))
        })
    });
    rows.truncate(filter.limit.unwrap_or(MAX_DEVICES).min(MAX_DEVICES));
    Ok(Json(rows))
}

/// Returns a device with the limits that apply to it.
pub(in crate::web) async fn device(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    web.model.ready().await?;
    let found = web
        .model
        .query(|model| Some((model.device(&id)?, model.limits(&id))));
    let (device, limits) = found.ok_or_else(|| ApiError::missing("no such sensor"))?;
    Ok(Json(json!({ "device": device, "limits": limits })))
}

/// Returns sensors that cannot be read, or whose readings cannot be trusted.
pub(in crate::web) async fn faults(State(web): State<Arc<Web>>) -> Answer {
    web.model.ready().await?;
    let now = web.backend.now().await;
    let (faults, states) = web.model.query(|model| (model.faults(), model.states()));
    Ok(Json(
        json!({ "now": now, "faults": faults, "states": states }),
    ))
}
