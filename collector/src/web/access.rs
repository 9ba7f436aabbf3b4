//! Who may look, and who may act.
//!
//! On loopback everybody on this machine may do both, unless a file of names says otherwise; elsewhere nobody may do
//! anything without such a file. Whoever is in it shows a token, as a bearer token or as the password of basic authentication.
//! A page of another site cannot act through somebody's browser: an act has to come from a page of this address, and it has
//! to be JSON.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::names::{Names, NamesError, Right};
use crate::config::WebConfig;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Anybody could look and act.
    #[error(
        "web.listen is {0}, which others can reach: name a web.access_file (`rackwatch-collector access add` makes one), or \
         write web.allow_unauthenticated = true"
    )]
    Open(SocketAddr),
    /// The file of names.
    #[error(transparent)]
    Names(#[from] NamesError),
}

/// Who may do what.
#[derive(Debug)]
pub(crate) struct Access {
    /// None: everybody may do everything.
    names: Option<Names>,
    /// Names that lead elsewhere are not answered: a page of another site could have them lead here.
    loopback: bool,
    tries: Tries,
    acts: Tries,
    asked: Tries,
}

/// A request that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Who asks, where names are asked for.
    pub(crate) name: Option<String>,
}

/// One that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

/// Wrong tokens from one address in a minute.
const WRONG_A_MINUTE: u32 = 10;
/// Acts from one address in a minute.
const ACTS_A_MINUTE: u32 = 60;
/// Requests of any kind: a hundred pages behind one address ask for less.
const ASKED_A_MINUTE: u32 = 6_000;

impl Access {
    /// As the settings say.
    ///
    /// # Errors
    ///
    /// When everybody could act, or the file cannot be used.
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
            tries: Tries::new(WRONG_A_MINUTE),
            acts: Tries::new(ACTS_A_MINUTE),
            asked: Tries::new(ASKED_A_MINUTE),
        })
    }

    /// Who is let in by name, if it is by name.
    pub(crate) fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// Whether a request may be answered.
    pub(crate) fn admit(
        &self,
        method: &Method,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Admitted, Denied> {
        let acts = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let wanted = if acts { Right::Act } else { Right::Look };
        let denied = |status, why| Err(Denied { status, why });
        if self.asked.are_too_many(from) {
            return denied(
                StatusCode::TOO_MANY_REQUESTS,
                "too much is asked: wait a minute",
            );
        }
        self.asked.count(from);
        if self.names.is_none() && self.loopback && !is_local(headers) {
            return denied(
                StatusCode::FORBIDDEN,
                "ask for 127.0.0.1 or localhost: other names are not answered here",
            );
        }
        let admitted = match &self.names {
            None => Admitted { name: None },
            Some(names) => {
                if self.tries.are_too_many(from) {
                    return denied(
                        StatusCode::TOO_MANY_REQUESTS,
                        "too many wrong tokens: wait a minute",
                    );
                }
                let Some(token) = token(headers) else {
                    return denied(StatusCode::UNAUTHORIZED, "a token is wanted");
                };
                let Some(user) = names.who_has(&token) else {
                    self.tries.count(from);
                    return denied(StatusCode::UNAUTHORIZED, "nobody has this token");
                };
                if user.right < wanted {
                    return denied(StatusCode::FORBIDDEN, "you may look, and not act");
                }
                Admitted {
                    name: Some(user.name),
                }
            }
        };
        if acts {
            if !is_from_here(headers) {
                return denied(
                    StatusCode::FORBIDDEN,
                    "this comes from a page of another site",
                );
            }
            if self.acts.are_too_many(from) {
                return denied(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too much is done: wait a minute",
                );
            }
            self.acts.count(from);
        }
        Ok(admitted)
    }
}

/// The token that a request brings.
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

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The name that is asked for is one of this machine, whatever its port.
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

/// An act: as JSON, which a form of another site cannot send unasked, and from a page of this address where it is from
/// one.
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

/// How often something came from each address in this minute.
#[derive(Debug)]
struct Tries {
    most: u32,
    counts: Mutex<(Instant, HashMap<IpAddr, u32>)>,
}

/// More addresses are not remembered in a minute: then those that are new wait.
const MOST_ADDRESSES: usize = 10_000;

impl Tries {
    fn new(most: u32) -> Self {
        Self {
            most,
            counts: Mutex::new((Instant::now(), HashMap::new())),
        }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut HashMap<IpAddr, u32>) -> T) -> T {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.0.elapsed() >= Duration::from_mins(1) {
            *counts = (Instant::now(), HashMap::new());
        }
        ask(&mut counts.1)
    }

    fn are_too_many(&self, from: IpAddr) -> bool {
        self.with(|counts| {
            let is_full = counts.len() >= MOST_ADDRESSES;
            counts
                .get(&from)
                .map_or(is_full, |count| *count >= self.most)
        })
    }

    fn count(&self, from: IpAddr) {
        self.with(|counts| *counts.entry(from).or_default() += 1);
    }
}

#[cfg(test)]
mod tests;
