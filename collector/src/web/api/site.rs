//! The site: its racks, devices, and sensors in trouble.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ApiError, Params, device_id};
use crate::web::Web;
use crate::web::view::picture::DeviceRow;

/// The site: what colours go by, racks, numbers of rooms and rows.
pub(in crate::web) async fn site(State(web): State<Arc<Web>>) -> Answer {
    web.view.looked().await?;
    let now = web.backend.now().await;
    Ok(Json(web.view.see(|picture| {
        let envelope = picture.envelope();
        let racks = picture.racks();
        let loose = picture.devices(|_, spot| spot.rack.is_empty()).len();
        json!({
            "now": now,
            "version": env!("CARGO_PKG_VERSION"),
            "demo": web.demo,
            "envelope": {
                "class": envelope.class,
                "recommended": envelope.recommended,
                "allowable": envelope.allowable,
            },
            "sensors": picture.len(),
            "unplaced": loose,
            "racks": racks,
            "scopes": picture.scopes(),
            "incidents": picture.incidents().len(),
            "troubles": picture.troubles(now).len(),
        })
    })))
}

/// A rack with its sensors, the highest first.
pub(in crate::web) async fn rack(
    State(web): State<Arc<Web>>,
    name: Params<Path<String>>,
) -> Answer {
    let Path(name) = name.into_inner()?;
    web.view.looked().await?;
    let found = web.view.see(|picture| {
        let mut sensors = picture.devices(|_, spot| spot.rack == name);
        sensors.sort_by(|a, b| (b.u, &a.id).cmp(&(a.u, &b.id)));
        let racks = picture.some_racks(&std::iter::once(name.clone()).collect());
        racks.into_iter().next().map(|rack| (rack, sensors))
    });
    let (rack, sensors) = found.ok_or_else(|| ApiError::missing("no rack is called so"))?;
    Ok(Json(json!({ "rack": rack, "sensors": sensors })))
}

/// Which devices.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::web) struct Which {
    /// Of this rack; empty for those in none.
    rack: Option<String>,
    /// With this in their id or name.
    find: Option<String>,
    /// At most so many.
    most: Option<usize>,
}

/// The most devices of one answer.
const MOST_DEVICES: usize = 20_000;

/// Devices.
pub(in crate::web) async fn devices(
    State(web): State<Arc<Web>>,
    which: Params<Query<Which>>,
) -> Answer<Json<Vec<DeviceRow>>> {
    let Query(which) = which.into_inner()?;
    web.view.looked().await?;
    let find = which.find.map(|text| text.to_lowercase());
    let mut rows = web.view.see(|picture| {
        picture.devices(|id, spot| {
            which.rack.as_ref().is_none_or(|rack| spot.rack == *rack)
                && find
                    .as_ref()
                    .is_none_or(|text| id.as_str().to_lowercase().contains(text))
        })
    });
    rows.truncate(which.most.unwrap_or(MOST_DEVICES).min(MOST_DEVICES));
    Ok(Json(rows))
}

/// A device, with the limits that hold for it.
pub(in crate::web) async fn device(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    web.view.looked().await?;
    let found = web
        .view
        .see(|picture| Some((picture.device(&id)?, picture.limits(&id))));
    let (device, limits) = found.ok_or_else(|| ApiError::missing("no device is called so"))?;
    Ok(Json(json!({ "device": device, "limits": limits })))
}

/// Sensors that say nothing, or nothing that can be meant.
pub(in crate::web) async fn troubles(State(web): State<Arc<Web>>) -> Answer {
    web.view.looked().await?;
    let now = web.backend.now().await;
    let troubles = web.view.see(|picture| picture.troubles(now));
    Ok(Json(json!({ "now": now, "troubles": troubles })))
}
