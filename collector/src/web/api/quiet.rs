//! What people do not want to hear of: silences and maintenance windows.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError, Params, Sent, who};
use crate::incidents::operator_actions;
use crate::incidents::windows::{Window, WindowTimes};
use crate::web::Web;
use crate::web::access::Admitted;

/// Silences and windows.
pub(in crate::web) async fn quiet(State(web): State<Arc<Web>>) -> Answer {
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
pub(in crate::web) async fn silence(
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
        id: operator_actions::new_id(),
        matcher: bounded(said.matcher)?,
        from: now,
        until: now.plus(Duration::from_mins(said.minutes.into())),
        reason: operator_actions::clean_text(&said.reason)?,
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
    matcher.compile().map_err(ApiError::bad)?;
    Ok(matcher)
}

/// Ends a silence.
pub(in crate::web) async fn unsilence(
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
pub(in crate::web) async fn plan(
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
        (Some(cron), None) => WindowTimes::Again {
            cron,
            length,
            zone: said.zone.unwrap_or_else(|| "UTC".to_owned()),
        },
        (None, Some(from)) => {
            let from = Timestamp::from_millis(from)
                .ok_or_else(|| ApiError::bad("from is in milliseconds since 1970"))?;
            WindowTimes::Once {
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
        id: operator_actions::new_id(),
        matcher: bounded(said.matcher)?,
        when,
        reason: operator_actions::clean_text(&said.reason)?,
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
pub(in crate::web) async fn unplan(
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
