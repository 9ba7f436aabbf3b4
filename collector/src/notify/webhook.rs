//! A webhook: an incident as JSON by POST, signed as Standard Webhooks says
//! (<https://www.standardwebhooks.com>, version 1).
//!
//! `webhook-id` (and `Idempotency-Key`) name what people are told, the same however often it is sent;
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use ring::hmac;
use serde_json::json;

use super::line::{Style, incident_line};
use super::outbox::{Channel, Message, Sent};
use super::{NotifierError, http};
use crate::config::NotifierConfig;

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 16;

/// Sends incidents to one address.
pub struct Webhook {
    url: Url,
    key: Option<hmac::Key>,
    client: Client,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a token.
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

impl Webhook {
    /// As `config` says.
    ///
    /// # Errors
    ///
    /// When the address is none, or the secret cannot be read.
    pub fn new(config: &NotifierConfig) -> Result<Self, NotifierError> {
        let name = config.name.as_str();
        let url = http::address(config, None)?;
        let key = match &config.secret_file {
            None => None,
            Some(path) => {
                let text = http::read(name, path)?;
                let secret = secret(text.trim()).ok_or_else(|| NotifierError::Secret {
                    name: name.to_owned(),
                    path: path.clone(),
                })?;
                Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            }
        };
        let client = http::client(config)?;
        Ok(Self { url, key, client })
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
    async fn send(&mut self, message: &Message<'_>) -> Sent {
        let key = message.key();
        let style = Style::plain();
        let document = match message {
            Message::One { record, .. } => json!({
                "version": 1,
                "id": key,
                "text": incident_line(record, &style),
                "incident": record,
            }),
            Message::Digest { text, records, .. } => json!({
                "version": 1,
                "id": key,
                "text": text,
                "incidents": records,
            }),
            Message::Test { text, .. } => json!({
                "version": 1,
                "id": key,
                "text": text,
                "test": true,
            }),
        };
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
        http::send(request.body(body), |_| false).await
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
