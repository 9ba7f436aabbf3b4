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
use crate::web::read_model::Open;

/// The time range of a chart, and its resolution.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct TimeRange {
    /// The start, in milliseconds since 1970.
    from: u64,
    /// The end, in milliseconds since 1970.
    to: u64,
    /// The approximate number of points.
    #[serde(default = "default_points")]
    points: u64,
}

fn default_points() -> u64 {
    600
}

/// Points of one response at most; screens show no more.
const MAX_POINTS: u64 = 2_000;
/// Longest range that is shown as raw readings.
const MAX_RAW_RANGE: Duration = Duration::from_mins(20);
/// Longest range of a chart.
const MAX_RANGE: Duration = Duration::from_hours(400 * 24);
/// Length of the longest name of a rack, row or room, in bytes.
const MAX_NAME: usize = 300;

impl TimeRange {
    /// Returns start, end, and the smallest width of a point.
    fn checked(&self) -> Answer<(Timestamp, Timestamp, Duration)> {
        let time = |ms| {
            Timestamp::from_millis(ms)
                .ok_or_else(|| ApiError::bad("times must be in milliseconds since 1970"))
        };
        let (from, to) = (time(self.from)?, time(self.to)?);
        let range = to.since(from);
        if range.is_zero() || range > MAX_RANGE {
            return Err(ApiError::bad(
                "`from` must be before `to`, by at most 400 days",
            ));
        }
        let points = self.points.clamp(10, MAX_POINTS);
        Ok((from, to, history::width(range, points)))
    }
}

/// An episode on a chart.
#[derive(Debug, Serialize)]
struct ChartEpisode {
    rule: String,
    #[serde(rename = "type")]
    kind: AlertKind,
    severity: Severity,
    from: Timestamp,
    to: Option<Timestamp>,
}

/// Returns a device's temperatures over time, with its limits and episodes.
pub(in crate::web) async fn series(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
    range: Params<Query<TimeRange>>,
) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    let Query(range) = range.into_inner()?;
    let (from, to, width) = range.checked()?;
    let grain = if to.since(from) <= MAX_RAW_RANGE {
        Grain::Raw
    } else {
        Grain::Every(width)
    };
    let span = Span { from, to, grain };
    web.model.ready().await?;
    let known = web
        .model
        .query(|model| Some((model.device(&id)?, model.limits(&id))));
    let (_, limits) = known.ok_or_else(|| ApiError::missing("no such sensor"))?;
    let history = web.backend.history(&id, span).await?;
    let zone = web.model.query(|model| model.zone_of(&id));
    let alerts = match web.backend.alerts(&id, &zone, from).await? {
        Some(alerts) => alerts,
        None => web
            .model
            .query(|model| model.alerts(std::slice::from_ref(&id), from)),
    };
    let every = match history.span.grain {
        Grain::Raw => None,
        Grain::Every(width) => Some(width.as_secs() * 1000),
    };
    let points = history.rows.iter().map(|row| {
        let [avg, min, max] = [row.avg, row.min, row.max].map(hundredths);
        json!([row.at, avg, min, max])
    });
    let points: Vec<_> = points.collect();
    let mut episodes = episodes(&alerts);
    if let Some(device) = web.model.query(|model| model.device(&id)) {
        add_open(&mut episodes, device.open);
    }
    Ok(Json(json!({
        "from": history.span.from,
        "to": history.span.to,
        "every_ms": every,
        "rollups_until": history.rollups_until,
        "points": points,
        "limits": limits,
        "episodes": episodes,
    })))
}

/// Returns the cooling indices of a rack, a row or a room over time.
pub(in crate::web) async fn indices(
    State(web): State<Arc<Web>>,
    of: Params<Path<(String, String)>>,
    range: Params<Query<TimeRange>>,
) -> Answer {
    let Path((scope, name)) = of.into_inner()?;
    if !["rack", "row", "room"].contains(&scope.as_str()) || name.len() > MAX_NAME {
        return Err(ApiError::missing(
            "no such scope: indices exist for a rack, a row or a room",
        ));
    }
    let Query(range) = range.into_inner()?;
    let (from, to, width) = range.checked()?;
    // Indices are computed once a minute.
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

/// Adds open episodes that began before the first known record.
fn add_open(episodes: &mut Vec<ChartEpisode>, open: Vec<Open>) {
    for open in open {
        let is_known = episodes
            .iter()
            .any(|episode| episode.rule == open.rule && episode.to.is_none());
        if !is_known {
            episodes.push(ChartEpisode {
                rule: open.rule,
                kind: open.kind,
                severity: open.severity,
                from: open.since,
                to: None,
            });
        }
    }
}

/// Returns the episodes that alert records describe.
fn episodes(alerts: &[AlertRecord]) -> Vec<ChartEpisode> {
    let mut episodes: Vec<(&str, ChartEpisode)> = Vec::new();
    for record in alerts {
        let id = record.id.as_str();
        let to = (record.state() == AlertState::Resolved).then_some(record.at);
        match episodes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, episode)) => {
                episode.severity = record.severity.max(episode.severity);
                episode.to = to;
            }
            None => episodes.push((
                id,
                ChartEpisode {
                    rule: record.rule.clone(),
                    kind: record.kind(),
                    severity: record.severity,
                    from: record.started,
                    to,
                },
            )),
        }
    }
    episodes.into_iter().map(|(_, episode)| episode).collect()
}
