//! `/api/v1/events`: what is new, as server-sent events, for as long as somebody listens.
//!
//! A client says what it wants: `racks=true` for rows of racks, `rack=B07` for the devices of one rack (empty for those in
//! none). Incidents, silences, `layout` (read all again) and `away` (what is shown is old) come to everybody. Who reads too
//! slowly is told `missed`, and reads all again. Streams are bounded in number; each keeps the view wanted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use super::Web;
use super::api::{ApiError, Params};
use crate::web::view::{Update, View};

/// A line that means nothing comes so often, so that both sides notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a client wants to hear of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    racks: bool,
    rack: Option<String>,
}

/// One who listens.
struct Listener {
    view: Arc<View>,
    news: broadcast::Receiver<Arc<Update>>,
    /// Who may listen is another.
    renewed: watch::Receiver<()>,
    wanted: Wanted,
    /// What is to be said before there is more news.
    waiting: Vec<Event>,
    /// Its place among the streams.
    _place: OwnedSemaphorePermit,
}

/// The stream.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    wanted: Params<Query<Wanted>>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.into_inner()?;
    let Ok(place) = Arc::clone(&web.streams).try_acquire_owned() else {
        return Err(ApiError::busy(
            "too many streams are open: close other pages",
        ));
    };
    web.view.looked().await?;
    let listener = Listener {
        news: web.view.listen(),
        view: Arc::clone(&web.view),
        renewed: web.renewed.subscribe(),
        wanted,
        waiting: vec![Event::default().event("hello").data("{}")],
        _place: place,
    };
    let stream = Sse::new(listener.stream());
    Ok(stream
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

impl Listener {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut listener| async move {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            let heard = tokio::select! {
                heard = tokio::time::timeout(KEEP_ALIVE, self.news.recv()) => heard,
                // Whoever still may comes again by itself.
                _ = self.renewed.changed() => return None,
            };
            self.view.look();
            match heard {
                // Nothing new; axum says the line that means nothing.
                Err(_) => {}
                Ok(Ok(update)) => self.waiting = self.events(&update),
                Ok(Err(RecvError::Lagged(_))) => {
                    return Some(Event::default().event("missed").data("{}"));
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    /// What of an update this one wants; the last is said first.
    fn events(&self, update: &Update) -> Vec<Event> {
        let event = |name: &str, data: &str| Event::default().event(name).data(data);
        let mut events = Vec::new();
        if update.layout {
            events.push(event("layout", "{}"));
        }
        if update.away {
            events.push(event("away", "{}"));
        }
        if update.silences {
            events.push(event("silences", "{}"));
        }
        let rack = self.wanted.rack.as_ref();
        let devices = rack.and_then(|rack| update.devices.get(rack));
        events.extend(devices.map(|rows| event("devices", rows)));
        let racks = update.racks.as_ref().filter(|_| self.wanted.racks);
        events.extend(racks.map(|rows| event("racks", rows)));
        let incidents = update.incidents.as_ref();
        events.extend(incidents.map(|records| event("incidents", records)));
        events
    }
}
