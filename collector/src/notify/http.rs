//! Common parts of notifiers over HTTP: the address, the client, and the meaning of an answer.
//!
//! Redirects are not followed. Of an answer only the status, `Retry-After` and the beginning of the body are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::tls;
use reqwest::header::RETRY_AFTER;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url, redirect};

use super::error::{SetupErrorKind, read_file, read_secret};
use super::notifier::SendOutcome;

/// Bytes of an answer that are read: confirmations are far shorter.
const ANSWER_LIMIT: usize = 4096;

/// Creates a client that trusts the authorities in `ca_file` instead of the system's, if it is set.
///
/// # Errors
///
/// When the authorities cannot be read.
pub(super) fn client(timeout: Duration, ca_file: Option<&Path>) -> Result<Client, SetupErrorKind> {
    tls::install_provider();
    let mut client = Client::builder()
        .user_agent(concat!("rackwatch/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(timeout);
    if let Some(path) = ca_file {
        let pem = read_file(path)?;
        let authorities = Certificate::from_pem_bundle(pem.as_bytes());
        client = client.tls_certs_only(authorities.map_err(SetupErrorKind::client)?);
    }
    client.build().map_err(SetupErrorKind::client)
}

/// Checks that one of `url` and `url_file` is set.
///
/// # Errors
///
/// When neither is, or both are.
pub(super) fn check_address(
    url: Option<&Secret>,
    url_file: Option<&PathBuf>,
) -> Result<(), EntryError> {
    if url.is_none() && url_file.is_none() {
        return Err(EntryError::Missing {
            key: "url",
            hint: "or url_file",
        });
    }
    check_optional_address(url, url_file)
}

/// Checks that at most one of `url` and `url_file` is set.
///
/// # Errors
///
/// When both are.
pub(super) fn check_optional_address(
    url: Option<&Secret>,
    url_file: Option<&PathBuf>,
) -> Result<(), EntryError> {
    if url.is_some() && url_file.is_some() {
        return Err(EntryError::Conflict {
            key: "url_file",
            other: "url",
        });
    }
    Ok(())
}

/// Returns the address to send to: `url`, else the first line of `url_file`.
///
/// # Errors
///
/// When the file cannot be read, or the address is not `http://` or `https://`.
pub(super) fn address(
    url: Option<&Secret>,
    url_file: Option<&PathBuf>,
) -> Result<Url, SetupErrorKind> {
    let text = match (url, url_file) {
        (Some(url), _) => url.expose().to_owned(),
        (None, Some(path)) => read_secret(path)?,
        (None, None) => return Err(SetupErrorKind::Url),
    };
    parse_address(&text)
}

/// Parses an `http://` or `https://` address with a host.
///
/// # Errors
///
/// When `text` is something else.
pub(super) fn parse_address(text: &str) -> Result<Url, SetupErrorKind> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(SetupErrorKind::Url)
}

/// The meaning of the body of an answer.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    /// Decides whether an answer of success confirms that the receiver will process the message.
    pub(super) confirms: fn(&str) -> bool,
    /// Decides whether a refusal is about the configuration and not about the message, and returns the fault.
    pub(super) fault_of_configuration: fn(&str) -> Option<&'static str>,
}

impl Meaning {
    /// The meaning for receivers whose refusals are all about the message.
    pub(super) fn confirmed_by(confirms: fn(&str) -> bool) -> Self {
        Self {
            confirms,
            fault_of_configuration: |_| None,
        }
    }
}

/// Sends a request. Any success status is a delivery.
pub(super) async fn send(request: RequestBuilder, meaning: Meaning) -> SendOutcome {
    match request.send().await {
        Ok(response) if response.status().is_success() => {
            let body = read_beginning(response).await;
            SendOutcome::Delivered {
                confirmed: (meaning.confirms)(&body),
            }
        }
        Ok(response) => failure(response, meaning).await,
        // The address may hold a token.
        Err(error) => SendOutcome::Retry {
            reason: chain(&error.without_url()),
            after: None,
        },
    }
}

async fn read_beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_LIMIT {
            break;
        }
    }
    body.truncate(ANSWER_LIMIT);
    String::from_utf8_lossy(&body).into_owned()
}

/// Returns the outcome that a reply without a success status stands for.
async fn failure(response: Response, meaning: Meaning) -> SendOutcome {
    let status = response.status();
    let reason = format!("receiver answered {status}");
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = after.map(Duration::from_secs);
    // An operator can correct a wrong address or token, and the waiting messages go out then.
    if !is_about_message(status) {
        return SendOutcome::Retry { reason, after };
    }
    let body = read_beginning(response).await;
    match (meaning.fault_of_configuration)(&body) {
        Some(fault) => SendOutcome::Retry {
            reason: format!("{reason}: {fault}"),
            after,
        },
        None => SendOutcome::Rejected { reason },
    }
}

/// Returns whether a status says that the message itself is at fault, and so stays the same at every attempt.
fn is_about_message(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}
