//! Authentication and authorisation of requests.
//!
//! On loopback every local user may read and act, unless there is an access file or a proxy that names users. On
//! other addresses one of these is required. Users of the access file send their token as a bearer token or as the
//! password of basic authentication; a trusted proxy names its users in a header. Pages of other sites cannot act
//! through a user's browser: actions must come from a page of this address, as JSON. Nor can they read: requests for
//! foreign host names are refused. Rate limits count the client, not the proxy that it came through.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::hosts::AllowedHosts;
use super::names::{Names, NamesError};
use super::proxies::TrustedProxies;
use super::rate_limit::RateLimit;
use crate::config::{AccessLevel, PublicUrl, UserHeader, WebConfig};

/// The access settings are invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// Other hosts could read and act without a token.
    #[error(
        "web.listen is {0}, which other hosts can reach: set web.access_file (`rackwatch-collector access add` makes one), \
         web.user_header, or web.allow_unauthenticated = true"
    )]
    Open(SocketAddr),
    /// The access file is unusable.
    #[error(transparent)]
    Names(#[from] NamesError),
}

/// The access rules, with the rate limits for each address.
#[derive(Debug)]
pub(crate) struct Access {
    /// The users of the access file.
    names: Option<Names>,
    /// The users whom a trusted proxy names. Without these and an access file, everyone may read and act.
    proxy_users: Option<ProxyUsers>,
    proxies: TrustedProxies,
    hosts: AllowedHosts,
    /// The origin of the public address.
    public_origin: Option<String>,
    wrong_tokens: RateLimit,
    actions: RateLimit,
    requests: RateLimit,
}

/// The header in which a trusted proxy names a user, and the access of such users.
#[derive(Debug)]
struct ProxyUsers {
    header: UserHeader,
    level: AccessLevel,
}

/// An admitted request and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The name of the user, if there is an access file or the proxy named one.
    pub(crate) name: Option<String>,
    /// The address of the client.
    pub(crate) client: IpAddr,
}

/// A denied request: the status and the reason of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
}

/// Wrong tokens from one address per minute.
const MAX_WRONG_TOKENS: u32 = 10;
/// Operator actions from one address per minute.
const MAX_ACTIONS: u32 = 60;
/// Requests from one address per minute; enough for a hundred pages behind one address.
const MAX_REQUESTS: u32 = 6_000;
/// Longest name of a user that a proxy sends, in bytes.
const MAX_USER: usize = 100;

impl Access {
    /// Returns the access rules for these settings.
    ///
    /// # Errors
    ///
    /// If the access file is unusable, or an address that other hosts can reach would be open.
    pub(crate) fn new(config: &WebConfig) -> Result<Self, AccessError> {
        let users = config.user_header.clone().zip(config.user_access);
        let proxy_users = users.map(|(header, level)| ProxyUsers { header, level });
        let is_open = config.listen.ip().is_loopback() || config.allow_unauthenticated;
        let names = match &config.access_file {
            Some(path) => Some(Names::read(path)?),
            None if is_open || proxy_users.is_some() => None,
            None => return Err(AccessError::Open(config.listen)),
        };
        Ok(Self {
            names,
            proxy_users,
            proxies: TrustedProxies::new(config),
            hosts: AllowedHosts::new(config),
            public_origin: config.public_url.as_ref().map(PublicUrl::origin),
            wrong_tokens: RateLimit::new(MAX_WRONG_TOKENS),
            actions: RateLimit::new(MAX_ACTIONS),
            requests: RateLimit::new(MAX_REQUESTS),
        })
    }

    /// Returns the users, if there is an access file.
    pub(crate) fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// Returns the trusted proxies.
    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Admits or denies a request that came from `peer`, and counts it for its client.
    pub(crate) fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Admitted, Denied> {
        let client = self.proxies.client(peer, headers);
        if self.requests.is_exceeded(client) {
            return Err(TOO_MANY_REQUESTS);
        }
        self.requests.count(client);
        if !self.hosts.allow(text(headers, "host")) {
            return Err(FOREIGN_HOST);
        }
        let is_action = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let (name, level) = match self.proxy_user(headers, peer)? {
            Some((name, level)) => (Some(name), level),
            None => self.token_user(headers, client)?,
        };
        if is_action {
            if level < AccessLevel::Operator {
                return Err(READ_ONLY);
            }
            self.admit_action(headers, client)?;
        }
        Ok(Admitted { name, client })
    }

    /// Returns the user whom a trusted proxy names, with its access level.
    fn proxy_user(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Option<(String, AccessLevel)>, Denied> {
        let Some(users) = &self.proxy_users else {
            return Ok(None);
        };
        let mut named = headers.get_all(users.header.name()).iter();
        let Some(first) = named.next().filter(|_| self.proxies.contains(peer)) else {
            return Ok(None);
        };
        let is_name = |name: &&str| {
            (1..=MAX_USER).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        let name = std::str::from_utf8(first.as_bytes()).ok().map(str::trim);
        match (name.filter(is_name), named.next()) {
            (Some(name), None) => Ok(Some((name.to_owned(), users.level))),
            // With two of them, one may be the client's own.
            _ => Err(INVALID_USER),
        }
    }

    /// Returns the user whose token a request has, with its access level. Everyone may act where no one has to log in.
    fn token_user(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<(Option<String>, AccessLevel), Denied> {
        let Some(names) = &self.names else {
            return match self.proxy_users {
                Some(_) => Err(NO_PROXY_USER),
                None => Ok((None, AccessLevel::Operator)),
            };
        };
        let Some(token) = token(headers) else {
            return Err(NO_TOKEN);
        };
        // A valid token is accepted whatever other clients at its address send: they must not lock its user
        // out. Tokens have 256 bits, so no rate of guesses finds one.
        let Some(user) = names.user_of(&token) else {
            if self.wrong_tokens.is_exceeded(client) {
                return Err(TOO_MANY_WRONG_TOKENS);
            }
            self.wrong_tokens.count(client);
            return Err(UNKNOWN_TOKEN);
        };
        Ok((Some(user.name), user.level))
    }

    /// Checks that an action comes from a page of this address, within its rate limit.
    fn admit_action(&self, headers: &HeaderMap, client: IpAddr) -> Result<(), Denied> {
        if !is_from_here(headers, self.public_origin.as_deref()) {
            return Err(CROSS_SITE);
        }
        if self.actions.is_exceeded(client) {
            return Err(TOO_MANY_ACTIONS);
        }
        self.actions.count(client);
        Ok(())
    }
}

const TOO_MANY_REQUESTS: Denied = Denied::new(
    StatusCode::TOO_MANY_REQUESTS,
    "rate limit exceeded: wait a minute",
);
const TOO_MANY_WRONG_TOKENS: Denied = Denied::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too many wrong tokens: wait a minute",
);
const TOO_MANY_ACTIONS: Denied = Denied::new(
    StatusCode::TOO_MANY_REQUESTS,
    "rate limit of operator actions exceeded: wait a minute",
);
const FOREIGN_HOST: Denied = Denied::new(
    StatusCode::FORBIDDEN,
    "unknown host name: use an IP address, or set web.public_url or web.hosts to the names of this dashboard",
);
const INVALID_USER: Denied = Denied::new(
    StatusCode::BAD_REQUEST,
    "invalid user: the proxy must send web.user_header once, with a name of at most 100 bytes",
);
const NO_PROXY_USER: Denied = Denied::new(
    StatusCode::FORBIDDEN,
    "no user: requests must come through a proxy of web.trusted_proxies that sends web.user_header",
);
const NO_TOKEN: Denied = Denied::new(StatusCode::UNAUTHORIZED, "authentication required");
const UNKNOWN_TOKEN: Denied = Denied::new(StatusCode::UNAUTHORIZED, "unknown token");
const READ_ONLY: Denied = Denied::new(StatusCode::FORBIDDEN, "read-only access");
const CROSS_SITE: Denied = Denied::new(
    StatusCode::FORBIDDEN,
    "cross-site request: operator actions must be JSON from a page of this address; behind a proxy, set web.public_url",
);

impl Denied {
    const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }
}

/// Returns the token of a request.
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

/// Returns a header as text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether an action cannot come from a page of another site.
///
/// Browsers mark requests of other sites, and forms cannot send JSON without a preflight request. A proxy may change
/// the host, but not the origin, which is then that of the public address.
fn is_from_here(headers: &HeaderMap, public_origin: Option<&str>) -> bool {
    let site = text(headers, "sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    if let Some(origin) = text(headers, "origin") {
        let of_origin = origin.split_once("://").map(|(_, host)| host);
        if of_origin != text(headers, "host") && Some(origin) != public_origin {
            return false;
        }
    }
    let kind = text(headers, "content-type").unwrap_or_default();
    let has_body = text(headers, "content-length").is_some_and(|length| length != "0");
    !has_body || kind.split(';').next().unwrap_or_default().trim() == "application/json"
}

#[cfg(test)]
mod tests;
