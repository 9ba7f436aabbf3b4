//! Authentication and authorisation of requests.
//!
//! On loopback every local user may read and act, unless there is an access file. On other addresses an access file is
//! required. Its users send their token as a bearer token or as the password of basic authentication. Pages of other
//! sites cannot act through a user's browser: actions must come from a page of this address, as JSON.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::names::{AccessLevel, Names, NamesError};
use crate::config::WebConfig;

/// The access settings are invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// Other hosts could read and act without a token.
    #[error(
        "web.listen is {0}, which other hosts can reach: set web.access_file (`rackwatch-collector access add` makes one), or \
         web.allow_unauthenticated = true"
    )]
    Open(SocketAddr),
    /// The access file is unusable.
    #[error(transparent)]
    Names(#[from] NamesError),
}

/// The access rules, with the rate limits for each address.
#[derive(Debug)]
pub(crate) struct Access {
    /// The users of the access file. Without one, everyone may read and act.
    names: Option<Names>,
    /// Only local host names are answered, so a page of another site cannot rebind its name to this host.
    loopback: bool,
    wrong_tokens: RateLimit,
    actions: RateLimit,
    requests: RateLimit,
}

/// An admitted request and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The name of the user, if there is an access file.
    pub(crate) name: Option<String>,
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

impl Access {
    /// Returns the access rules for these settings.
    ///
    /// # Errors
    ///
    /// If the access file is unusable, or missing for an address that other hosts can reach.
    pub(crate) fn new(config: &WebConfig) -> Result<Self, AccessError> {
        let loopback = config.listen.ip().is_loopback();
        let names = match &config.access_file {
            Some(path) => Some(Names::read(path)?),
            None if loopback || config.allow_unauthenticated => None,
            None => return Err(AccessError::Open(config.listen)),
        };
        Ok(Self {
            names,
            loopback,
            wrong_tokens: RateLimit::new(MAX_WRONG_TOKENS),
            actions: RateLimit::new(MAX_ACTIONS),
            requests: RateLimit::new(MAX_REQUESTS),
        })
    }

    /// Returns the users, if there is an access file.
    pub(crate) fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// Admits or denies a request, and counts it.
    pub(crate) fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Admitted, Denied> {
        if self.requests.is_exceeded(from) {
            return Err(TOO_MANY_REQUESTS);
        }
        self.requests.count(from);
        if self.names.is_none() && self.loopback && !is_local(headers) {
            return Err(FOREIGN_HOST);
        }
        let is_action = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let needed = if is_action {
            AccessLevel::Operator
        } else {
            AccessLevel::Viewer
        };
        let name = match &self.names {
            None => None,
            Some(names) => Some(self.authenticate(names, headers, from, needed)?),
        };
        if is_action {
            self.admit_action(headers, from)?;
        }
        Ok(Admitted { name })
    }

    /// Returns the name of the user whose token a request has.
    fn authenticate(
        &self,
        names: &Names,
        headers: &HeaderMap,
        from: IpAddr,
        needed: AccessLevel,
    ) -> Result<String, Denied> {
        let Some(token) = token(headers) else {
            return Err(NO_TOKEN);
        };
        // A valid token is accepted whatever other clients at its address send: they must not lock its user
        // out. Tokens have 256 bits, so no rate of guesses finds one.
        let Some(user) = names.user_of(&token) else {
            if self.wrong_tokens.is_exceeded(from) {
                return Err(TOO_MANY_WRONG_TOKENS);
            }
            self.wrong_tokens.count(from);
            return Err(UNKNOWN_TOKEN);
        };
        if user.level < needed {
            return Err(READ_ONLY);
        }
        Ok(user.name)
    }

    /// Checks that an action comes from a page of this address, within its rate limit.
    fn admit_action(&self, headers: &HeaderMap, from: IpAddr) -> Result<(), Denied> {
        if !is_from_here(headers) {
            return Err(CROSS_SITE);
        }
        if self.actions.is_exceeded(from) {
            return Err(TOO_MANY_ACTIONS);
        }
        self.actions.count(from);
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
    "unknown host name: use 127.0.0.1 or localhost",
);
const NO_TOKEN: Denied = Denied::new(StatusCode::UNAUTHORIZED, "authentication required");
const UNKNOWN_TOKEN: Denied = Denied::new(StatusCode::UNAUTHORIZED, "unknown token");
const READ_ONLY: Denied = Denied::new(StatusCode::FORBIDDEN, "read-only access");
const CROSS_SITE: Denied = Denied::new(
    StatusCode::FORBIDDEN,
    "cross-site request: operator actions must be JSON from a page of this address",
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

/// Returns whether the requested host is a name of this machine, on any port.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, "host") else {
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Returns whether an action cannot come from a page of another site.
///
/// Browsers mark requests of other sites, and forms cannot send JSON without a preflight request.
fn is_from_here(headers: &HeaderMap) -> bool {
    let site = text(headers, "sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    if let Some(origin) = text(headers, "origin") {
        let of_origin = origin.split_once("://").map(|(_, host)| host);
        if of_origin != text(headers, "host") {
            return false;
        }
    }
    let kind = text(headers, "content-type").unwrap_or_default();
    let has_body = text(headers, "content-length").is_some_and(|length| length != "0");
    !has_body || kind.split(';').next().unwrap_or_default().trim() == "application/json"
}

/// A limit on events from each address, or network of IPv6 (/64), in the current minute.
#[derive(Debug)]
struct RateLimit {
    limit: u32,
    counts: Mutex<(Instant, HashMap<IpAddr, u32>)>,
}

/// Addresses counted per minute at most. Beyond them, requests from new addresses are refused.
const MAX_ADDRESSES: usize = 10_000;

impl RateLimit {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            counts: Mutex::new((Instant::now(), HashMap::new())),
        }
    }

    /// Returns the address under which events are counted: one network of IPv6 belongs to one site, which
    /// could change its address with each request.
    fn network(from: IpAddr) -> IpAddr {
        match from.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            canonical @ IpAddr::V4(_) => canonical,
        }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut HashMap<IpAddr, u32>) -> T) -> T {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.0.elapsed() >= Duration::from_mins(1) {
            *counts = (Instant::now(), HashMap::new());
        }
        ask(&mut counts.1)
    }

    /// Returns whether an address has used up its limit.
    fn is_exceeded(&self, from: IpAddr) -> bool {
        self.with(|counts| {
            let is_full = counts.len() >= MAX_ADDRESSES;
            counts
                .get(&Self::network(from))
                .map_or(is_full, |count| *count >= self.limit)
        })
    }

    fn count(&self, from: IpAddr) {
        self.with(|counts| *counts.entry(Self::network(from)).or_default() += 1);
    }
}

#[cfg(test)]
mod tests;
