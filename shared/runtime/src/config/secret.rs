//! Values that must not reach a log: passwords, and addresses that may hold one.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A password or token: readable by code, shown by nothing.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The address of Redis. User and password in it are not shown.
///
/// Not checked here, so that a configuration with a wrong address can still be printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Returns the whole address, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for RedisUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for RedisUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for RedisUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redact(&self.0))
    }
}

/// Replaces what may be a password in an address: all between `://` and the last `@`, and the
/// `pass` parameter of unix sockets with all that follows.
///
/// Up to the *last* `@`, as a password with an unescaped `@` or `/` is a common mistake.
pub(super) fn redact(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        shown = format!("{scheme}://***@{host}");
    }
    match shown.split_once("pass=") {
        Some((before, _)) => format!("{before}pass=***"),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        assert_eq!(
            format!("{:?}", Secret::from("hunter2".to_owned())),
            "Secret(***)"
        );
        for (url, shown) in [
            (
                "redis://user:hunter2@host:6379/1",
                "redis://***@host:6379/1",
            ),
            ("redis://:hunter2@/x@host", "redis://***@host"),
            (
                "redis+unix:///run/redis.sock?user=a&pass=hunter2",
                "redis+unix:///run/redis.sock?user=a&pass=***",
            ),
            ("redis://host", "redis://host"),
        ] {
            assert_eq!(RedisUrl::from(url).to_string(), shown);
            assert_eq!(format!("{:?}", RedisUrl::from(url)), format!("{shown:?}"));
        }
    }
}
