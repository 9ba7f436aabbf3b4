//! Temperatures over time, for a chart.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, ApiError, Params, device_id};
use crate::indices::past;
use crate::series::history::{self, Grain, Span};
use crate::web::Web;

/// A stretch of time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Stretch {
    /// From, in milliseconds since 1970.
    from: u64,
    /// Until.
    to: u64,
    /// About so many points.
    #[serde(default = "usual_points")]
    points: u64,
}

fn usual_points() -> u64 {
    600
}

/// More points show no more.
const MOST_POINTS: u64 = 2_000;
/// Up to this range readings are shown as they came.
const SHORT: Duration = Duration::from_mins(20);
/// The longest range.
const LONGEST: Duration = Duration::from_hours(400 * 24);
/// Longer names of racks, rows and rooms there are not.
const LONGEST_NAME: usize = 300;

impl Stretch {
    /// From when to when, and the least width of a point.
    fn checked(&self) -> Answer<(Timestamp, Timestamp, Duration)> {
        let time = |ms| {
            Timestamp::from_millis(ms)
                .ok_or_else(|| ApiError::bad("a time is in milliseconds since 1970"))
        };
        let (from, to) = (time(self.from)?, time(self.to)?);
        let range = to.since(from);
        if range.is_zero() || range > LONGEST {
            return Err(ApiError::bad("from is before to, by at most 400 days"));
        }
        let points = self.points.clamp(10, MOST_POINTS);
        Ok((from, to, history::width(range, points)))
    }
}

/// An episode, for a chart.
#[derive(Debug, Serialize)]
struct Stripe {
    rule: String,
    #[serde(rename = "type")]
    kind: AlertKind,
    severity: Severity,
    from: Timestamp,
    to: Option<Timestamp>,
}

/// A device's temperatures over time, with its limits and episodes.
pub(in crate::web) async fn series(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
    stretch: Params<Query<Stretch>>,
) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    let Query(stretch) = stretch.into_inner()?;
    let (from, to, width) = stretch.checked()?;
    let grain = if to.since(from) <= SHORT {
        Grain::Raw
    } else {
        Grain::Every(width)
    };
    let span = Span { from, to, grain };
    web.view.looked().await?;
    let known = web
        .view
        .see(|picture| Some((picture.device(&id)?, picture.limits(&id))));
    let (_, limits) = known.ok_or_else(|| ApiError::missing("no device is called so"))?;
    let history = web.backend.history(&id, span).await?;
    let zone = web.view.see(|picture| picture.zone_of(&id));
    let alerts = match web.backend.alerts(&id, &zone, from).await? {
        Some(alerts) => alerts,
        None => web
            .view
            .see(|picture| picture.alerts(std::slice::from_ref(&id), from)),
    };
    let every = match history.span.grain {
        Grain::Raw => None,
        Grain::Every(width) => Some(width.as_secs() * 1000),
    };
    let rows = history.rows.iter();
    let rows: Vec<_> = rows
        .map(|row| {
            let [avg, min, max] = [row.avg, row.min, row.max].map(hundredths);
            json!([row.at, avg, min, max])
        })
        .collect();
    let mut stripes = stripes(&alerts);
    // One that began before the first record that is known still.
    if let Some(device) = web.view.see(|picture| picture.device(&id)) {
        for open in device.open {
            let known = stripes
                .iter()
                .any(|s| s.rule == open.rule && s.to.is_none());
            if !known {
                stripes.push(Stripe {
                    rule: open.rule,
                    kind: open.kind,
                    severity: open.severity,
                    from: open.since,
                    to: None,
                });
            }
        }
    }
    Ok(Json(json!({
        "from": history.span.from,
        "to": history.span.to,
        "every_ms": every,
        "rollups_until": history.rollups_until,
        "points": rows,
        "limits": limits,
        "episodes": stripes,
    })))
}

/// How well a rack, a row or a room was cooled over time.
pub(in crate::web) async fn indices(
    State(web): State<Arc<Web>>,
    of: Params<Path<(String, String)>>,
    stretch: Params<Query<Stretch>>,
) -> Answer {
    let Path((scope, name)) = of.into_inner()?;
    if !["rack", "row", "room"].contains(&scope.as_str()) || name.len() > LONGEST_NAME {
        return Err(ApiError::missing("indices are of a rack, a row or a room"));
    }
    let Query(stretch) = stretch.into_inner()?;
    let (from, to, width) = stretch.checked()?;
    // There is one point a minute.
    let width = width.max(Duration::from_secs(60));
    let from = from.floor(width);
    let of = past::SeriesRange {
        scope: &scope,
        name: &name,
        from,
        to,
        width,
    };
    let all = web.backend.indices(of).await?;
    let each = all.into_iter().map(|(index, points)| {
        let points = points.into_iter();
        let points: Vec<_> = points.map(|(at, value)| json!([at, value])).collect();
        (index.to_owned(), json!(points))
    });
    Ok(Json(json!({
        "from": from,
        "to": to,
        "every_ms": width.as_secs() * 1000,
        "indices": each.collect::<serde_json::Map<_, _>>(),
    })))
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Alert records as episodes.
fn stripes(alerts: &[AlertRecord]) -> Vec<Stripe> {
    let mut stripes: Vec<(&str, Stripe)> = Vec::new();
    for record in alerts {
        let id = record.id.as_str();
        let to = (record.state() == AlertState::Resolved).then_some(record.at);
        match stripes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, stripe)) => {
                stripe.severity = record.severity.max(stripe.severity);
                stripe.to = to;
            }
            None => stripes.push((
                id,
                Stripe {
                    rule: record.rule.clone(),
                    kind: record.kind(),
                    severity: record.severity,
                    from: record.started,
                    to,
                },
            )),
        }
    }
    stripes.into_iter().map(|(_, stripe)| stripe).collect()
}
