//! `/api/v1/events`: changes as server-sent events.
//!
//! A client chooses `racks=true` for rows of racks, and `rack=B07` for the devices of one rack (empty for those without
//! one). Every client gets `incidents`, `silences`, `reload` (read everything again) and `stale` (Redis is unreachable).
//! A client that reads too slowly gets `missed`, and reads everything again. A `heartbeat` comes every few seconds: where
//! it does not, the connection is lost or a proxy holds the events back. The number of streams is bounded, in all and
//! for each client. An open stream counts as a viewer of the read model.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::Web;
use super::access::Admitted;
use super::api::{ApiError, Params};
use super::rate_limit::Place;
use crate::web::read_model::{SharedReadModel, Update};

/// Interval of heartbeats, by which both sides notice a lost connection. `events.js` expects it.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Keeps nginx from buffering events.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// The changes that a client subscribes to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Filter {
    racks: bool,
    rack: Option<String>,
}

/// The subscription of one client.
struct Subscription {
    model: Arc<SharedReadModel>,
    updates: broadcast::Receiver<Arc<Update>>,
    /// Signals a change of the access file.
    access_changed: watch::Receiver<()>,
    filter: Filter,
    /// Events to send before the next update, in reverse order.
    pending: Vec<Event>,
    heartbeats: Interval,
    /// its places within the limits on streams.
    _permits: (Place, OwnedSemaphorePermit),
}

/// Opens an event stream.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    Extension(admitted): Extension<Admitted>,
    filter: Params<Query<Filter>>,
) -> Result<Response, ApiError> {
    let Query(filter) = filter.into_inner()?;
    let Some(place) = web.streams_of_client.take(admitted.client) else {
        return Err(ApiError::busy(
            "too many open event streams from your address: close other pages, or raise web.max_streams",
        ));
    };
    let Ok(permit) = Arc::clone(&web.streams).try_acquire_owned() else {
        return Err(ApiError::busy(
            "too many open event streams: close other pages, or raise web.max_streams",
        ));
    };
    web.model.ready().await?;
    let mut heartbeats = tokio::time::interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let subscription = Subscription {
        updates: web.model.subscribe(),
        model: Arc::clone(&web.model),
        access_changed: web.access_changed.subscribe(),
        filter,
        pending: vec![Event::default().event("hello").data("{}")],
        heartbeats,
        _permits: (place, permit),
    };
    Ok(([UNBUFFERED], Sse::new(subscription.stream())).into_response())
}

impl Subscription {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut subscription| async move {
            let event = subscription.next().await?;
            Some((Ok(event), subscription))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Some(event);
            }
            let received = tokio::select! {
                // Updates that the client did not subscribe to must not delay them.
                biased;
                _ = self.heartbeats.tick() => {
                    self.model.note_viewer();
                    return Some(Event::default().event("heartbeat").data("{}"));
                }
                received = self.updates.recv() => received,
                // Browsers reconnect, if they still have access.
                _ = self.access_changed.changed() => return None,
            };
            self.model.note_viewer();
            match received {
                Ok(update) => self.pending = self.events(&update),
                Err(RecvError::Lagged(_)) => {
                    return Some(Event::default().event("missed").data("{}"));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Returns the events of an update that the client subscribed to, the last to send first.
    fn events(&self, update: &Update) -> Vec<Event> {
        let event = |name: &str, data: &str| Event::default().event(name).data(data);
        let mut events = Vec::new();
        if update.reload {
            events.push(event("reload", "{}"));
        }
        if update.stale {
            events.push(event("stale", "{}"));
        }
        if update.silences {
            events.push(event("silences", "{}"));
        }
        let rack = self.filter.rack.as_ref();
        let devices = rack.and_then(|rack| update.devices.get(rack));
        events.extend(devices.map(|rows| event("devices", rows)));
        let racks = update.racks.as_ref().filter(|_| self.filter.racks);
        events.extend(racks.map(|rows| event("racks", rows)));
        let incidents = update.incidents.as_ref();
        events.extend(incidents.map(|records| event("incidents", records)));
        events
    }
}
