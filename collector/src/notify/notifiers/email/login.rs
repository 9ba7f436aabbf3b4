//! The login at the mail server: a password, or an access token of OAuth 2.0.

use std::path::PathBuf;
use std::sync::Arc;

use lettre::transport::smtp::authentication::Credentials;
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::config::tagged::EntryError;
use reqwest::Url;
use tokio::sync::Mutex;

use super::oauth::{Endpoint, TokenSource, Tokens};
use crate::notify::error::{SetupErrorKind, read_secret};
use crate::notify::http;
use crate::notify::notifier::NotifierContext;

/// A login at the mail server.
#[derive(Clone)]
pub(super) enum Login {
    /// By user and password.
    Password(Credentials),
    /// By user and access token (XOAUTH2).
    Token {
        /// The mailbox.
        user: String,
        /// The source of the token.
        source: TokenSource,
    },
}

/// The keys of a login.
#[derive(Clone, Copy)]
pub(super) struct LoginKeys<'k> {
    pub(super) user: Option<&'k String>,
    pub(super) password_file: Option<&'k PathBuf>,
    pub(super) oauth_token_file: Option<&'k PathBuf>,
    pub(super) oauth_token_url: Option<&'k Secret>,
    pub(super) oauth_client_id: Option<&'k String>,
    pub(super) oauth_client_secret_file: Option<&'k PathBuf>,
    pub(super) oauth_refresh_token_file: Option<&'k PathBuf>,
    pub(super) oauth_scope: Option<&'k String>,
    pub(super) ca_file: Option<&'k PathBuf>,
}

/// Checks the keys of the login against one another.
///
/// # Errors
///
/// When a key is missing that another makes mandatory, or two exclude each other.
pub(super) fn check(keys: &LoginKeys<'_>) -> Result<(), EntryError> {
    let missing = |key, hint| Err(EntryError::Missing { key, hint });
    let methods = [
        ("password_file", keys.password_file.is_some()),
        ("oauth_token_file", keys.oauth_token_file.is_some()),
        ("oauth_token_url", keys.oauth_token_url.is_some()),
    ];
    let mut set = methods.into_iter().filter(|(_, is_set)| *is_set);
    let method = set.next();
    if let (Some((other, _)), Some((key, _))) = (method, set.next()) {
        return Err(EntryError::Conflict { key, other });
    }
    match (keys.user, method) {
        (None, Some(_)) => return missing("user", "needed for a login"),
        (Some(_), None) if !has_grant_keys(keys) => {
            let hint = "or oauth_token_file, or oauth_token_url";
            return missing("password_file", hint);
        }
        _ => {}
    }
    let Some(url) = keys.oauth_token_url else {
        if has_grant_keys(keys) {
            return missing("oauth_token_url", "needed for the other oauth keys");
        }
        return Ok(());
    };
    if keys.oauth_client_id.is_none() {
        return missing("oauth_client_id", "needed for oauth_token_url");
    }
    if keys.oauth_refresh_token_file.is_none() && keys.oauth_client_secret_file.is_none() {
        return missing("oauth_refresh_token_file", "or oauth_client_secret_file");
    }
    if !is_private(url.expose()) {
        return Err(EntryError::Wrong {
            key: "oauth_token_url".to_owned(),
            message: "expected an https:// address: secrets are never sent unencrypted".to_owned(),
        });
    }
    Ok(())
}

/// Returns whether a key is set that only a token endpoint needs.
fn has_grant_keys(keys: &LoginKeys<'_>) -> bool {
    keys.oauth_client_id.is_some()
        || keys.oauth_client_secret_file.is_some()
        || keys.oauth_refresh_token_file.is_some()
        || keys.oauth_scope.is_some()
}

/// Returns whether what is sent to this address cannot be read on the way: HTTPS, or this host.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
}

/// Returns the login, if one is configured. Reads each secret once, so that a missing file fails the start.
///
/// # Errors
///
/// When a file cannot be read, or the HTTP client cannot be created.
pub(super) fn read(
    keys: &LoginKeys<'_>,
    context: &NotifierContext<'_>,
) -> Result<Option<Login>, SetupErrorKind> {
    let Some(user) = keys.user.cloned() else {
        return Ok(None);
    };
    if let Some(path) = keys.password_file {
        let credentials = Credentials::new(user, read_secret(path)?);
        return Ok(Some(Login::Password(credentials)));
    }
    let source = match (keys.oauth_token_file, keys.oauth_token_url) {
        (Some(path), _) => {
            read_secret(path)?;
            TokenSource::File(path.clone())
        }
        (None, Some(url)) => TokenSource::Endpoint(Arc::new(endpoint(keys, url, context)?)),
        (None, None) => return Ok(None),
    };
    Ok(Some(Login::Token { user, source }))
}

fn endpoint(
    keys: &LoginKeys<'_>,
    url: &Secret,
    context: &NotifierContext<'_>,
) -> Result<Endpoint, SetupErrorKind> {
    let secrets = [keys.oauth_client_secret_file, keys.oauth_refresh_token_file];
    for path in secrets.into_iter().flatten() {
        read_secret(path)?;
    }
    Ok(Endpoint {
        client: http::client(context.timeout, keys.ca_file.map(PathBuf::as_path))?,
        url: http::parse_address(url.expose())?,
        client_id: keys.oauth_client_id.cloned().unwrap_or_default(),
        client_secret_file: keys.oauth_client_secret_file.cloned(),
        refresh_token_file: keys.oauth_refresh_token_file.cloned(),
        scope: keys.oauth_scope.cloned(),
        tokens: Mutex::new(Tokens::default()),
    })
}
