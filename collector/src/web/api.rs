//! `/api/v1`: all data and operator actions of the page, as JSON. `openapi.json` describes it, and a test compares the two.

mod incidents;
mod kinds;
mod pipeline;
mod silences;
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
use rackwatch_core::name;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) use incidents::{ack, incident, incidents, resolve};
pub(super) use kinds::{kinds, openapi};
pub(super) use pipeline::{deliveries, status};
pub(super) use series::{indices, series};
pub(super) use silences::{
    add_silence, add_window, delete_window, expire_silence, silences, windows,
};
pub(super) use site::{device, devices, faults, rack, site};

use super::access::Admitted;
use super::backend::BackendError;
use crate::incidents::operator_actions::{self, ActionError};
use crate::web::read_model::NotReady;

/// An error response: `{"error": …}` with a status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl std::fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    fn bad(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn missing(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn busy(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
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
            BackendError::Action(ActionError::NoIncident(_) | ActionError::NoAlert(_)) => {
                StatusCode::NOT_FOUND
            }
            BackendError::Action(
                ActionError::Ambiguous { .. }
                | ActionError::TooMany
                | ActionError::TooManyWaiting
                | ActionError::NothingOpen(_),
            ) => StatusCode::CONFLICT,
            BackendError::Action(ActionError::ShortPrefix(_) | ActionError::Invalid(_)) => {
                StatusCode::BAD_REQUEST
            }
            BackendError::Action(ActionError::Redis(_))
            | BackendError::BrokenKeys(_)
            | BackendError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        BackendError::Action(error).into()
    }
}

/// Path or query parameters, or a JSON error if they are invalid.
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

/// A request body of JSON, or the error of reading it.
pub(super) struct JsonBody(Result<Bytes, ApiError>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let read = Bytes::from_request(request, state).await;
        Ok(Self(read.map_err(|error| {
            ApiError::new(error.status(), error.body_text())
        })))
    }
}

impl JsonBody {
    /// Parses the body as JSON.
    fn parse<T: DeserializeOwned>(self) -> Answer<T> {
        serde_json::from_slice(&self.0?)
            .map_err(|error| ApiError::bad(format!("invalid request body: {error}")))
    }
}

type Answer<T = Json<Value>> = Result<T, ApiError>;

/// Parses a device id from a path.
fn device_id(text: &str) -> Answer<DeviceId> {
    DeviceId::new(text).map_err(|error| ApiError::missing(format!("no such sensor: {error}")))
}

/// Returns the name of the token's user, else the given name, else a default.
fn author(admitted: &Admitted, given: Option<String>) -> Answer<String> {
    let given = given
        .map(|name| operator_actions::clean_text(&name))
        .transpose()?;
    let given = given.filter(|name| !name.is_empty());
    let invisible = given.iter().flat_map(|name| name.chars());
    if let Some(c) = invisible.into_iter().find(|c| name::is_invisible(*c)) {
        let why = format!("by has the invisible character {c:?}: leave it out");
        return Err(ApiError::bad(why));
    }
    let name = admitted.name.clone().or(given);
    Ok(name.unwrap_or_else(|| "dashboard".to_owned()))
}

/// Answers requests for unknown paths.
pub(super) async fn not_found() -> ApiError {
    ApiError::missing("no such endpoint: openapi.json in this folder describes the API")
}
