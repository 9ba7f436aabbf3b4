//! Access tokens of OAuth 2.0 (RFC 6749): from a file that another program keeps fresh, or from a token endpoint.
//!
//! A token of the endpoint is used until shortly before it expires, or until the mail server refuses it. A new refresh
//! token that the endpoint sends is kept in memory; the file holds the first one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rackwatch_runtime::error::chain;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::notify::error::read_secret;

/// Time before its end at which a token is replaced: a session must not outlive it.
const MARGIN: Duration = Duration::from_mins(1);
/// Validity of a token whose endpoint does not name one (RFC 6749 leaves it open).
const DEFAULT_VALIDITY_S: u64 = 300;
/// Bytes of an answer that are read. Tokens of Microsoft have some 3 KiB.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Most characters of an error code: those of RFC 6749 have up to 25.
const ERROR_LIMIT: usize = 64;

/// A source of access tokens. Clones share it.
#[derive(Clone)]
pub(super) enum TokenSource {
    /// A file with the token in its first line.
    File(PathBuf),
    /// A token endpoint.
    Endpoint(Arc<Endpoint>),
}

/// A token endpoint, and what it knows this client by.
pub(super) struct Endpoint {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) client_id: String,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) refresh_token_file: Option<PathBuf>,
    pub(super) scope: Option<String>,
    pub(super) tokens: Mutex<Tokens>,
}

/// The tokens that the endpoint sent.
#[derive(Default)]
pub(super) struct Tokens {
    /// The access token and its end.
    access: Option<(Secret, Instant)>,
    /// A refresh token that replaces the one in the file.
    refresh: Option<Secret>,
}

/// The answer of a token endpoint (RFC 6749, sections 5.1 and 5.2).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<Secret>,
    expires_in: Option<u64>,
    refresh_token: Option<Secret>,
    error: Option<String>,
}

impl TokenSource {
    /// Returns an access token.
    ///
    /// # Errors
    ///
    /// Returns the cause when a file cannot be read, or the endpoint sends no token.
    pub(super) async fn token(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => read(path).await,
            Self::Endpoint(endpoint) => endpoint.token().await,
        }
    }

    /// Forgets `token`, which the mail server refused.
    pub(super) async fn refused(&self, token: &Secret) {
        if let Self::Endpoint(endpoint) = self {
            let access = &mut endpoint.tokens.lock().await.access;
            if access.as_ref().is_some_and(|(known, _)| known == token) {
                *access = None;
            }
        }
    }
}

impl Endpoint {
    /// Returns the token that is valid, or a new one. Several recipients ask one after the other.
    async fn token(&self) -> Result<Secret, String> {
        let mut tokens = self.tokens.lock().await;
        if let Some((token, end)) = &tokens.access
            && Instant::now() + MARGIN < *end
        {
            return Ok(token.clone());
        }
        tokens.access = None;
        let asked_at = Instant::now();
        let answer = self.ask(tokens.refresh.as_ref()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(reason) => {
                // An operator may have put another one into the file.
                tokens.refresh = None;
                return Err(format!("cannot get an access token: {reason}"));
            }
        };
        let Some(token) = answer.access_token else {
            return Err("cannot get an access token: the answer has none".to_owned());
        };
        if answer.refresh_token.is_some() {
            tokens.refresh = answer.refresh_token;
        }
        let validity = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_VALIDITY_S));
        let end = asked_at.checked_add(validity).unwrap_or(asked_at);
        tokens.access = Some((token.clone(), end));
        Ok(token)
    }

    async fn ask(&self, refresh: Option<&Secret>) -> Result<Answer, String> {
        let body = self.form(refresh).await?;
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        // The address may hold a token.
        let response = request.body(body).send().await;
        let response = response.map_err(|error| chain(&error.without_url()))?;
        let status = response.status();
        let answer = read_answer(response).await;
        if status.is_success() {
            return answer.ok_or_else(|| "the answer is no JSON of RFC 6749".to_owned());
        }
        // The description of an error may repeat what was sent.
        let code = answer.and_then(|answer| answer.error).unwrap_or_default();
        let code: String = code
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(ERROR_LIMIT)
            .collect();
        Err(format!("token endpoint answered {status}, {code:?}"))
    }

    /// Returns the body of a request. Secrets are read from their files each time, as they may be replaced.
    async fn form(&self, refresh: Option<&Secret>) -> Result<String, String> {
        let mut form = self.url.clone();
        {
            let mut pairs = form.query_pairs_mut();
            pairs.clear();
            pairs.append_pair(
                "grant_type",
                match self.refresh_token_file {
                    Some(_) => "refresh_token",
                    None => "client_credentials",
                },
            );
            pairs.append_pair("client_id", &self.client_id);
        }
        if let Some(path) = &self.client_secret_file {
            let secret = read(path).await?;
            form.query_pairs_mut()
                .append_pair("client_secret", secret.expose());
        }
        if let Some(path) = &self.refresh_token_file {
            let token = match refresh {
                Some(token) => token.clone(),
                None => read(path).await?,
            };
            form.query_pairs_mut()
                .append_pair("refresh_token", token.expose());
        }
        if let Some(scope) = &self.scope {
            form.query_pairs_mut().append_pair("scope", scope);
        }
        Ok(form.query().unwrap_or_default().to_owned())
    }
}

async fn read_answer(mut response: Response) -> Option<Answer> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}

/// Reads the first line of a file without blocking the other tasks.
async fn read(path: &Path) -> Result<Secret, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_secret(&path)).await;
    match read {
        Ok(Ok(text)) => Ok(Secret::from(text)),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("reading a secret was cancelled".to_owned()),
    }
}
