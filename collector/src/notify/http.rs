//! What channels over HTTP have in common: a client, and what an answer means.
//!
//! Redirects are not followed. Of an answer no more is read than its status, `Retry-After` and the beginning of its body.

use std::path::Path;
use std::time::Duration;

use rackwatch_runtime::tls;
use reqwest::header::RETRY_AFTER;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url, redirect};

use super::NotifierError;
use super::outbox::Sent;
use crate::config::NotifierConfig;

/// Of a body so much is read.
const LONGEST_ANSWER: usize = 4096;

/// A client by the settings of a notifier.
///
/// # Errors
///
/// When its authorities cannot be read.
pub(super) fn client(config: &NotifierConfig) -> Result<Client, NotifierError> {
    let name = config.name.as_str();
    tls::choose_provider();
    let mut client = Client::builder()
        .user_agent(concat!("rackwatch/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(config.timeout);
    if let Some(path) = &config.ca_file {
        let pem = read(name, path)?;
        let authorities = Certificate::from_pem_bundle(pem.as_bytes());
        let authorities = authorities.map_err(|source| NotifierError::client(name, source))?;
        client = client.tls_certs_only(authorities);
    }
    client
        .build()
        .map_err(|source| NotifierError::client(name, source))
}

/// The text of a file.
pub(super) fn read(name: &str, path: &Path) -> Result<String, NotifierError> {
    std::fs::read_to_string(path).map_err(|source| NotifierError::File {
        name: name.to_owned(),
        path: path.to_owned(),
        source,
    })
}

/// The first line of a file that holds a secret.
pub(super) fn secret(name: &str, path: &Path) -> Result<String, NotifierError> {
    let text = read(name, path)?;
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() {
        return Err(NotifierError::Empty {
            name: name.to_owned(),
            path: path.to_owned(),
        });
    }
    Ok(line)
}

/// Where a notifier sends to: as its settings say, or `usual`.
pub(super) fn address(config: &NotifierConfig, usual: Option<&str>) -> Result<Url, NotifierError> {
    let name = config.name.as_str();
    let text = match (&config.url, &config.url_file, usual) {
        (Some(url), _, _) => url.expose().to_owned(),
        (None, Some(path), _) => secret(name, path)?,
        (None, None, Some(usual)) => usual.to_owned(),
        (None, None, None) => return Err(NotifierError::missing(name, "url")),
    };
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| NotifierError::Url {
        name: name.to_owned(),
    })
}

/// Sends a request. What comes back is arrival where its status says so; `confirms` looks whether the body says more.
pub(super) async fn send(request: RequestBuilder, confirms: fn(&str) -> bool) -> Sent {
    match request.send().await {
        Ok(response) if response.status().is_success() => {
            let body = beginning(response).await;
            Sent::Arrived {
                confirmed: confirms(&body),
            }
        }
        Ok(response) => refusal(&response),
        // The address may hold a token.
        Err(error) => Sent::Later {
            why: chain(&error.without_url()),
            after: None,
        },
    }
}

async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= LONGEST_ANSWER {
            break;
        }
    }
    body.truncate(LONGEST_ANSWER);
    String::from_utf8_lossy(&body).into_owned()
}

/// An error with what is behind it: "error sending request" alone helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn refusal(response: &Response) -> Sent {
    let status = response.status();
    let why = format!("the receiver answers {status}");
    match status {
        // What is wrong here is the message, and it will not become another.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Sent::Refused { why },
        // A wrong address or a wrong token is put right by people: what waits is sent then.
        _ => {
            let after = response.headers().get(RETRY_AFTER);
            let seconds = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Sent::Later {
                why,
                after: seconds.map(Duration::from_secs),
            }
        }
    }
}
