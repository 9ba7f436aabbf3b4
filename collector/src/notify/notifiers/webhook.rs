//! Webhooks: incidents as JSON by POST, signed as defined by Standard Webhooks
//! (<https://www.standardwebhooks.com>, version 1).
//!
//! `webhook-id` and `Idempotency-Key` carry the deduplication key, the same at every attempt. With a secret,
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`.

use std::path::PathBuf;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rackwatch_runtime::clock;
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::notify::error::{SetupErrorKind, read_file};
use crate::notify::http::{self, Meaning};
use crate::notify::line::{Style, incident_line};
use crate::notify::notifier::{
    Message, Notifier, NotifierContext, NotifierType, Recipient, SendOutcome,
};

/// Minimum length of the secret in bytes: anything shorter can be guessed.
const SECRET_MIN: usize = 16;
/// The version of the document. It rises when a member changes, not when one is added.
const VERSION: u32 = 1;

/// The keys of `type = "webhook"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The address of the receiver.
    pub url: Option<Secret>,
    /// A file with the address in its first line, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// A file with the secret to sign messages with. Without it, they are not signed.
    pub secret_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl NotifierType for WebhookConfig {
    const TYPE: &'static str = "webhook";

    fn check(&self) -> Result<(), EntryError> {
        http::check_address(self.url.as_ref(), self.url_file.as_ref())
    }

    fn build(&self, context: &NotifierContext<'_>) -> Result<Vec<Recipient>, SetupErrorKind> {
        let signing_key = match &self.secret_file {
            None => None,
            Some(path) => {
                let text = read_file(path)?;
                let secret = decode_secret(text.trim())
                    .ok_or_else(|| SetupErrorKind::Secret { path: path.clone() })?;
                Some(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            }
        };
        Ok(Recipient::only(Webhook {
            url: http::address(self.url.as_ref(), self.url_file.as_ref())?,
            signing_key,
            client: http::client(context.timeout, self.ca_file.as_deref())?,
        }))
    }
}

/// A notifier that posts to one address.
struct Webhook {
    url: Url,
    signing_key: Option<hmac::Key>,
    client: Client,
}

/// Returns the bytes of a secret: `whsec_` and base64, or any other text unchanged. `None` if it is
/// malformed or too short.
fn decode_secret(text: &str) -> Option<Vec<u8>> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => BASE64.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    (bytes.len() >= SECRET_MIN).then_some(bytes)
}

/// Returns the value of the `webhook-signature` header.
fn signature(key: &hmac::Key, id: &str, timestamp: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64.encode(context.sign()))
}

/// Returns the JSON document of a message.
fn document(message: &Message<'_>) -> Value {
    let key = message.key();
    match message {
        Message::Incident { record, .. } => json!({
            "version": VERSION,
            "id": key,
            "text": incident_line(record, &Style::plain()),
            "incident": record,
        }),
        Message::Digest { text, records, .. } => json!({
            "version": VERSION,
            "id": key,
            "text": text,
            "incidents": records,
        }),
        Message::Failure {
            notifier,
            text,
            has_recovered,
            ..
        } => json!({
            "version": VERSION,
            "id": key,
            "text": text,
            "notifier": notifier,
            "failing": !has_recovered,
        }),
        Message::Test { text, .. } => json!({
            "version": VERSION,
            "id": key,
            "text": text,
            "test": true,
        }),
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn send(&mut self, message: &Message<'_>) -> SendOutcome {
        let key = message.key();
        let body = document(message).to_string().into_bytes();
        let timestamp = clock::now().millis() / 1000;
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", key)
            .header("webhook-timestamp", timestamp)
            .header("Idempotency-Key", key);
        if let Some(signing_key) = &self.signing_key {
            let signature = signature(signing_key, key, timestamp, &body);
            request = request.header("webhook-signature", signature);
        }
        http::send(request.body(body), Meaning::confirmed_by(|_| false)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_example_of_the_specification() {
        let secret = decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn short_or_malformed_secrets_are_rejected() {
        assert_eq!(decode_secret("short"), None);
        assert_eq!(decode_secret("whsec_!!"), None);
        assert_eq!(decode_secret("sixteen bytes ok").unwrap().len(), 16);
    }
}
