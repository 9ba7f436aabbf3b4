//! `/api/v1`: everything that the page shows, and does, as JSON. `openapi.json` describes it; a test holds the two together.

mod incidents;
mod kinds;
mod pipeline;
mod quiet;
mod series;
mod site;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rackwatch_core::device::DeviceId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) use incidents::{ack, incident, incidents};
pub(super) use kinds::{kinds, openapi};
pub(super) use pipeline::{deliveries, status};
pub(super) use quiet::{plan, quiet, silence, unplan, unsilence};
pub(super) use series::{indices, series};
pub(super) use site::{device, devices, rack, site, troubles};

use super::access::Admitted;
use super::backend::BackendError;
use crate::incidents::operator_actions::{self, ActionError};
use crate::web::view::NotReady;

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
            BackendError::Act(ActionError::NoIncident(_)) => StatusCode::NOT_FOUND,
            BackendError::Act(ActionError::Ambiguous { .. } | ActionError::TooMany) => {
                StatusCode::CONFLICT
            }
            BackendError::Act(ActionError::ShortPrefix(_) | ActionError::Invalid(_)) => {
                StatusCode::BAD_REQUEST
            }
            BackendError::Act(ActionError::Redis(_)) | BackendError::Away(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error)
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
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
    let said = said
        .map(|name| operator_actions::clean_text(&name))
        .transpose()?;
    let said = said.filter(|name| !name.is_empty());
    let name = admitted.name.clone().or(said);
    Ok(name.unwrap_or_else(|| "somebody at the dashboard".to_owned()))
}

/// Nothing is here.
pub(super) async fn nothing() -> ApiError {
    ApiError::missing("there is nothing of this name: see /api/v1/openapi.json")
}
