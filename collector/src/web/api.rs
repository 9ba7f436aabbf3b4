//! `/api/v1`: everything that the page shows, and does, as JSON. `openapi.json` describes it; a test holds the two together.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::Ack;
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use super::access::Admitted;
use super::backend::BackendError;
use crate::acts::{self, ActError};
use crate::history::{Grain, Span};
use crate::view::NotReady;
use crate::view::picture::DeviceRow;
use crate::windows::{When, Window};

/// A request that cannot be answered: `{"error": …}` with a status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    why: String,
}

impl ApiError {
    fn new(status: StatusCode, why: impl std::fmt::Display) -> Self {
        Self {
            status,
            why: why.to_string(),
        }
    }

    fn bad(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    fn missing(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    pub(super) fn busy(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.why }))).into_response()
    }
}

impl From<NotReady> for ApiError {
    fn from(error: NotReady) -> Self {
        Self::busy(error)
    }
}

impl From<BackendError> for ApiError {
    fn from(error: BackendError) -> Self {
        let status = match &error {
            BackendError::Act(ActError::NoIncident(_)) => StatusCode::NOT_FOUND,
            BackendError::Act(ActError::Several { .. } | ActError::TooMany) => StatusCode::CONFLICT,
            BackendError::Act(ActError::Short(_) | ActError::Wrong(_)) => StatusCode::BAD_REQUEST,
            BackendError::Act(ActError::Redis(_)) | BackendError::Away(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error)
    }
}

impl From<ActError> for ApiError {
    fn from(error: ActError) -> Self {
        BackendError::Act(error).into()
    }
}

/// Parts of an address, or why they cannot be meant: as JSON, like every other error.
pub(super) struct Params<T>(Result<T, ApiError>);

impl<T> Params<T> {
    pub(super) fn into_inner(self) -> Result<T, ApiError> {
        self.0
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<Query<T>> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read = Query::from_request_parts(parts, state).await;
        Ok(Self(read.map_err(|error: QueryRejection| {
            ApiError::bad(error.body_text())
        })))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<Path<T>> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read = Path::from_request_parts(parts, state).await;
        Ok(Self(read.map_err(|error: PathRejection| {
            ApiError::missing(error.body_text())
        })))
    }
}

/// What was sent, or why it cannot be read.
pub(super) struct Sent(Result<Bytes, ApiError>);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let read = Bytes::from_request(request, state).await;
        Ok(Self(read.map_err(|error| {
            ApiError::new(error.status(), error.body_text())
        })))
    }
}

impl Sent {
    /// What it says.
    fn says<T: DeserializeOwned>(self) -> Answer<T> {
        let why = "the body cannot be understood";
        serde_json::from_slice(&self.0?).map_err(|error| ApiError::bad(format!("{why}: {error}")))
    }
}

type Answer<T = Json<Value>> = Result<T, ApiError>;

fn device_id(text: &str) -> Answer<DeviceId> {
    DeviceId::new(text)
        .map_err(|error| ApiError::missing(format!("no device is called so: {error}")))
}

/// Who does it: the name of the token, else what is said, else somebody at the page.
fn who(admitted: &Admitted, said: Option<String>) -> Answer<String> {
    let said = said.map(|name| acts::words(&name)).transpose()?;
    let said = said.filter(|name| !name.is_empty());
    let name = admitted.name.clone().or(said);
    Ok(name.unwrap_or_else(|| "somebody at the dashboard".to_owned()))
}

/// The site: what colours go by, racks, numbers of rooms and rows.
pub(super) async fn site(State(web): State<Arc<Web>>) -> Answer {
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
pub(super) async fn rack(State(web): State<Arc<Web>>, name: Params<Path<String>>) -> Answer {
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
pub(super) struct Which {
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
pub(super) async fn devices(
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
pub(super) async fn device(State(web): State<Arc<Web>>, id: Params<Path<String>>) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    web.view.looked().await?;
    let found = web
        .view
        .see(|picture| Some((picture.device(&id)?, picture.limits(&id))));
    let (device, limits) = found.ok_or_else(|| ApiError::missing("no device is called so"))?;
    Ok(Json(json!({ "device": device, "limits": limits })))
}

/// A stretch of time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
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
/// Widths that points are put together in, in seconds.
const WIDTHS: [u64; 13] = [
    1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400,
];

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
pub(super) async fn series(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
    stretch: Params<Query<Stretch>>,
) -> Answer {
    let id = device_id(&id.into_inner()?.0)?;
    let Query(Stretch { from, to, points }) = stretch.into_inner()?;
    let time = |ms| {
        Timestamp::from_millis(ms)
            .ok_or_else(|| ApiError::bad("a time is in milliseconds since 1970"))
    };
    let (from, to) = (time(from)?, time(to)?);
    let range = to.since(from);
    if range.is_zero() || range > LONGEST {
        return Err(ApiError::bad("from is before to, by at most 400 days"));
    }
    let points = points.clamp(10, MOST_POINTS);
    let wide = |width: &u64| range.as_secs() / width <= points;
    let grain = if range <= SHORT {
        Grain::Raw
    } else {
        Grain::Every(Duration::from_secs(
            WIDTHS.into_iter().find(wide).unwrap_or(86_400),
        ))
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

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Alert records as episodes.
fn stripes(alerts: &[AlertRecord]) -> Vec<Stripe> {
    let mut stripes: Vec<(&str, Stripe)> = Vec::new();
    for record in alerts {
        let id = record.id.as_str();
        let to = (record.state == AlertState::Resolved).then_some(record.at);
        match stripes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, stripe)) => {
                stripe.severity = record.severity.max(stripe.severity);
                stripe.to = to;
            }
            None => stripes.push((
                id,
                Stripe {
                    rule: record.rule.clone(),
                    kind: record.kind,
                    severity: record.severity,
                    from: record.started,
                    to,
                },
            )),
        }
    }
    stripes.into_iter().map(|(_, stripe)| stripe).collect()
}

/// Which incidents.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Incidents {
    /// Those that are over too.
    past: bool,
}

/// The most incidents that are over.
const PAST: usize = 200;

/// Incidents.
pub(super) async fn incidents(
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
pub(super) async fn incident(State(web): State<Arc<Web>>, id: Params<Path<String>>) -> Answer {
    let Path(id) = id.into_inner()?;
    web.view.looked().await?;
    let story = web.view.see(|picture| picture.story(&id));
    let Some(newest) = story.last().cloned() else {
        return Err(ApiError::missing(
            "no incident is called so, or it was long ago",
        ));
    };
    let (members, alerts) = web.view.see(|picture| {
        let rows = newest.devices.iter().filter_map(|id| picture.device(id));
        let members: Vec<DeviceRow> = rows.collect();
        (members, picture.alerts(&newest.devices, newest.since))
    });
    let deliveries = web.backend.deliveries(Some(&id)).await?;
    Ok(Json(json!({
        "incident": newest,
        "story": story,
        "members": members,
        "alerts": alerts,
        "deliveries": deliveries,
    })))
}

/// Somebody takes an incident on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SaidAck {
    by: Option<String>,
    note: String,
}

/// Takes an incident on.
pub(super) async fn ack(
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
        note: acts::words(&said.note)?,
    };
    let by = ack.by.clone();
    let incident = web.backend.ack(&id, ack).await?;
    tracing::info!(incident, by, "taken on at the dashboard");
    Ok(Json(json!({ "incident_id": incident, "by": by })))
}

/// Silences and windows.
pub(super) async fn quiet(State(web): State<Arc<Web>>) -> Answer {
    web.view.looked().await?;
    let now = web.backend.now().await;
    let windows = web.backend.windows().await?;
    let planned: Vec<Value> = windows
        .iter()
        .map(|window| {
            json!({
                "window": window,
                "open_until": window.open(now).map(|(_, until)| until),
                "next": window.next(now),
            })
        })
        .collect();
    let silences: Vec<Silence> = web.view.see(|picture| {
        let lasting = picture
            .silences()
            .iter()
            .filter(|silence| silence.until > now);
        lasting.cloned().collect()
    });
    Ok(Json(
        json!({ "now": now, "silences": silences, "windows": planned }),
    ))
}

/// A silence, as somebody wants it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidSilence {
    matcher: Matcher,
    minutes: u32,
    #[serde(default)]
    reason: String,
    by: Option<String>,
}

/// The longest silence that the page begins: a year.
const LONGEST_SILENCE: u32 = 366 * 24 * 60;

/// Begins a silence.
pub(super) async fn silence(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    body: Sent,
) -> Answer<(StatusCode, Json<Silence>)> {
    let said: SaidSilence = body.says()?;
    if !(1..=LONGEST_SILENCE).contains(&said.minutes) {
        return Err(ApiError::bad("a silence lasts between a minute and a year"));
    }
    let now = web.backend.now().await;
    let silence = Silence {
        id: acts::new_id(),
        matcher: bounded(said.matcher)?,
        from: now,
        until: now.plus(Duration::from_mins(said.minutes.into())),
        reason: acts::words(&said.reason)?,
        by: who(&admitted, said.by)?,
    };
    web.backend.silence(silence.clone()).await?;
    tracing::info!(
        silence = silence.id,
        by = silence.by,
        "begun at the dashboard"
    );
    Ok((StatusCode::CREATED, Json(silence)))
}

/// A glob of bounded length.
fn bounded(matcher: Matcher) -> Answer<Matcher> {
    let Matcher {
        device,
        rack,
        row,
        room,
        rule,
        ..
    } = &matcher;
    for text in [device, rack, row, room, rule].into_iter().flatten() {
        if text.is_empty() || text.len() > 200 {
            return Err(ApiError::bad("a glob has 1 to 200 bytes"));
        }
    }
    matcher.check().map_err(ApiError::bad)?;
    Ok(matcher)
}

/// Ends a silence.
pub(super) async fn unsilence(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer<StatusCode> {
    let Path(id) = id.into_inner()?;
    if web.backend.unsilence(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::missing("no silence is called so"))
    }
}

/// A window, as somebody wants it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidWindow {
    matcher: Matcher,
    cron: Option<String>,
    minutes: u32,
    zone: Option<String>,
    from: Option<u64>,
    #[serde(default)]
    reason: String,
    by: Option<String>,
}

/// Plans a window.
pub(super) async fn plan(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    body: Sent,
) -> Answer<(StatusCode, Json<Window>)> {
    let said: SaidWindow = body.says()?;
    if !(1..=LONGEST_SILENCE).contains(&said.minutes) {
        return Err(ApiError::bad("a window lasts between a minute and a year"));
    }
    let length = Duration::from_mins(said.minutes.into());
    let when = match (said.cron, said.from) {
        (Some(cron), None) => When::Again {
            cron,
            length,
            zone: said.zone.unwrap_or_else(|| "UTC".to_owned()),
        },
        (None, Some(from)) => {
            let from = Timestamp::from_millis(from)
                .ok_or_else(|| ApiError::bad("from is in milliseconds since 1970"))?;
            When::Once {
                from,
                until: from.plus(length),
            }
        }
        _ => {
            return Err(ApiError::bad(
                "say either cron, for a window that comes again, or from, for one that comes once",
            ));
        }
    };
    let window = Window {
        id: acts::new_id(),
        matcher: bounded(said.matcher)?,
        when,
        reason: acts::words(&said.reason)?,
        by: who(&admitted, said.by)?,
    };
    window.check().map_err(ApiError::bad)?;
    web.backend.plan(window.clone()).await?;
    tracing::info!(
        window = window.id,
        by = window.by,
        "planned at the dashboard"
    );
    Ok((StatusCode::CREATED, Json(window)))
}

/// Takes a window back.
pub(super) async fn unplan(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer<StatusCode> {
    let Path(id) = id.into_inner()?;
    if web.backend.unplan(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::missing("no window is called so"))
    }
}

/// Sensors that say nothing, or nothing that can be meant.
pub(super) async fn troubles(State(web): State<Arc<Web>>) -> Answer {
    web.view.looked().await?;
    let now = web.backend.now().await;
    let troubles = web.view.see(|picture| picture.troubles(now));
    Ok(Json(json!({ "now": now, "troubles": troubles })))
}

/// How the pipeline is doing.
pub(super) async fn status(State(web): State<Arc<Web>>) -> Answer {
    web.view.look();
    let mut status = web.backend.status().await?;
    status["collector"] = json!(web.stats.counts());
    status["ready"] = json!(web.stats.is_ready());
    Ok(Json(status))
}

/// What became of what people were to be told.
pub(super) async fn deliveries(State(web): State<Arc<Web>>) -> Answer {
    let deliveries = web.backend.deliveries(None).await?;
    Ok(Json(json!({ "deliveries": deliveries })))
}

/// What there is to ask.
pub(super) async fn openapi() -> Response {
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, super::OPENAPI).into_response()
}

/// Nothing is here.
pub(super) async fn nothing() -> ApiError {
    ApiError::missing("there is nothing of this name: see /api/v1/openapi.json")
}
