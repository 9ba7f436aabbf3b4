//! Silences and maintenance windows.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use rackwatch_core::incident::silence::{Matcher, Silence, check_duration};
use rackwatch_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError, JsonBody, Params, author};
use crate::incidents::operator_actions;
use crate::incidents::windows::{Window, WindowTimes};
use crate::web::Web;
use crate::web::access::Admitted;

/// Returns silences that have not expired.
pub(in crate::web) async fn silences(State(web): State<Arc<Web>>) -> Answer {
    web.model.ready().await?;
    let now = web.backend.now().await;
    let silences: Vec<Silence> = web.model.query(|model| {
        let all = model.silences().iter();
        all.filter(|silence| silence.until > now).cloned().collect()
    });
    Ok(Json(json!({ "now": now, "silences": silences })))
}

/// Returns maintenance windows, each with the end of a current period and the start of the next.
pub(in crate::web) async fn windows(State(web): State<Arc<Web>>) -> Answer {
    let now = web.backend.now().await;
    let windows = web.backend.windows().await?;
    let windows: Vec<Value> = windows
        .iter()
        .map(|window| {
            json!({
                "window": window,
                "open_until": window.open(now).map(|(_, until)| until),
                "next": window.next(now),
            })
        })
        .collect();
    Ok(Json(json!({ "now": now, "windows": windows })))
}

/// The body of a request for a silence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    matcher: Matcher,
    minutes: u32,
    #[serde(default)]
    reason: String,
    by: Option<String>,
}

/// Adds a silence that begins now.
pub(in crate::web) async fn add_silence(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    body: JsonBody,
) -> Answer<(StatusCode, Json<Silence>)> {
    let new: NewSilence = body.parse()?;
    let duration = Duration::from_mins(new.minutes.into());
    check_duration(duration).map_err(ApiError::bad)?;
    new.matcher.compile().map_err(ApiError::bad)?;
    let now = web.backend.now().await;
    let silence = Silence {
        id: operator_actions::new_id(),
        matcher: new.matcher,
        from: now,
        until: now.plus(duration),
        reason: operator_actions::clean_text(&new.reason)?,
        by: author(&admitted, new.by)?,
    };
    web.backend.add_silence(silence.clone()).await?;
    tracing::info!(
        silence = silence.id,
        by = silence.by,
        "silence added in the dashboard"
    );
    Ok((StatusCode::CREATED, Json(silence)))
}

/// Expires a silence before its end.
pub(in crate::web) async fn expire_silence(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer<StatusCode> {
    let Path(id) = id.into_inner()?;
    if web.backend.expire_silence(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::missing("no such silence"))
    }
}

/// The body of a request for a maintenance window.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWindow {
    matcher: Matcher,
    cron: Option<String>,
    minutes: u32,
    zone: Option<String>,
    from: Option<u64>,
    #[serde(default)]
    reason: String,
    by: Option<String>,
}

impl NewWindow {
    /// Returns its times: on a schedule with `cron`, once with `from`.
    fn times(&self) -> Answer<WindowTimes> {
        let length = Duration::from_mins(self.minutes.into());
        match (&self.cron, self.from) {
            (Some(cron), None) => Ok(WindowTimes::Scheduled {
                cron: cron.clone(),
                length,
                zone: self.zone.clone().unwrap_or_else(|| "UTC".to_owned()),
            }),
            (None, Some(from)) => {
                let from = Timestamp::from_millis(from)
                    .ok_or_else(|| ApiError::bad("`from` must be in milliseconds since 1970"))?;
                let until = from.plus(length);
                Ok(WindowTimes::Once { from, until })
            }
            _ => Err(ApiError::bad(
                "set either `cron`, for a window on a schedule, or `from`, for a single window",
            )),
        }
    }
}

/// Adds a maintenance window.
pub(in crate::web) async fn add_window(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    body: JsonBody,
) -> Answer<(StatusCode, Json<Window>)> {
    let new: NewWindow = body.parse()?;
    let window = Window {
        id: operator_actions::new_id(),
        when: new.times()?,
        matcher: new.matcher,
        reason: operator_actions::clean_text(&new.reason)?,
        by: author(&admitted, new.by)?,
    };
    window
        .check(web.backend.now().await)
        .map_err(ApiError::bad)?;
    web.backend.add_window(window.clone()).await?;
    tracing::info!(
        window = window.id,
        by = window.by,
        "maintenance window added in the dashboard"
    );
    Ok((StatusCode::CREATED, Json(window)))
}

/// Deletes a maintenance window.
pub(in crate::web) async fn delete_window(
    State(web): State<Arc<Web>>,
    id: Params<Path<String>>,
) -> Answer<StatusCode> {
    let Path(id) = id.into_inner()?;
    if web.backend.delete_window(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::missing("no such maintenance window"))
    }
}
