//! A webhook: an incident as JSON by POST, signed as Standard Webhooks says
//! (<https://www.standardwebhooks.com>, version 1).
//!
//! `webhook-id` (and `Idempotency-Key`) name what people are told, the same however often it is sent;
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. Redirects are not
//! followed, and nothing of an answer is read but its status and `Retry-After`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_runtime::tls;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use ring::hmac;
use serde_json::json;

use super::line::{Style, incident_line};
use super::outbox::{Channel, Sent};
use crate::config::NotifierConfig;

/// A notifier that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// Not an address.
    #[error("notify {name:?}: url is no http:// or https:// address")]
    Url {
        /// Which.
        name: String,
    },
    /// The secret cannot be read.
    #[error("notify {name:?}: cannot read the secret in {}", path.display())]
    SecretFile {
        /// Which.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The secret cannot be one.
    #[error("notify {name:?}: {}: a secret is whsec_ and base64, or text, of at least 16 bytes", path.display())]
    Secret {
        /// Which.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// The client cannot be made.
    #[error("notify {name:?}: the HTTP client cannot be made")]
    Client {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 16;

/// Sends incidents to one address.
pub struct Webhook {
    name: String,
    url: Url,
    key: Option<hmac::Key>,
    client: Client,
    style: Style,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a token.
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// As `config` says.
    ///
    /// # Errors
    ///
    /// When the address is none, or the secret cannot be read.
    pub fn new(config: &NotifierConfig) -> Result<Self, NotifierError> {
        let name = config.name.as_str().to_owned();
        let url = Url::parse(config.url.expose())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(NotifierError::Url { name });
        };
        let key = match &config.secret_file {
            None => None,
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| NotifierError::SecretFile {
                        name: name.clone(),
                        path: path.clone(),
                        source,
                    })?;
                let secret = secret(text.trim()).ok_or_else(|| NotifierError::Secret {
                    name: name.clone(),
                    path: path.clone(),
                })?;
                Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            }
        };
        tls::choose_provider();
        let client = Client::builder()
            .user_agent(concat!("rackwatch/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(config.timeout)
            .build();
        match client {
            Ok(client) => Ok(Self {
                name,
                url,
                key,
                client,
                style: Style::plain(),
            }),
            Err(source) => Err(NotifierError::Client { name, source }),
        }
    }
}

/// The bytes of a secret: `whsec_` and base64, or any other text as it is.
fn secret(text: &str) -> Option<Vec<u8>> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    (bytes.len() >= SHORTEST_SECRET).then_some(bytes)
}

/// What is signed, as the header has it.
fn signature(key: &hmac::Key, id: &str, timestamp: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64.encode(context.sign()))
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&mut self, record: &IncidentRecord, key: &str) -> Sent {
        let document = json!({
            "version": 1,
            "id": key,
            "text": incident_line(record, &self.style),
            "incident": record,
        });
        let body = document.to_string().into_bytes();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since_1970.unwrap_or_default().as_secs();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", key)
            .header("webhook-timestamp", timestamp)
            .header("Idempotency-Key", key);
        if let Some(secret) = &self.key {
            let signature = signature(secret, key, timestamp, &body);
            request = request.header("webhook-signature", signature);
        }
        match request.body(body).send().await {
            Ok(response) => answer(&response),
            // The address may hold a token.
            Err(error) => Sent::Later {
                why: chain(&error.without_url()),
                after: None,
            },
        }
    }
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

fn answer(response: &Response) -> Sent {
    let status = response.status();
    if status.is_success() {
        return Sent::Arrived;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the specification.
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn secrets_have_some_length() {
        assert_eq!(secret("short"), None);
        assert_eq!(secret("whsec_!!"), None);
        assert_eq!(secret("sixteen bytes ok").unwrap().len(), 16);
    }
}
