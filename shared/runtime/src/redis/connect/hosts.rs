//! Parses addresses of several hosts: `redis+<kind>://user:password@host:port,host:port/path`,
//! `rediss+` for TLS.

/// The parts of such an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) all: Vec<(String, u16)>,
    /// Part after the hosts, without the slash; empty if there is none.
    pub(super) path: String,
}

/// An address of the right kind that is malformed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHosts;

impl Hosts {
    /// Parses an address; none if it is of another kind. Hosts without a port get `port`.
    pub(super) fn parse(url: &str, kind: &str, port: u16) -> Option<Result<Self, NotHosts>> {
        let (scheme, rest) = url.split_once("://")?;
        let (protocol, found) = scheme.split_once('+')?;
        let tls = match protocol {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        (found == kind).then(|| Self::parse_rest(tls, rest, port).ok_or(NotHosts))
    }

    fn parse_rest(tls: bool, rest: &str, port: u16) -> Option<Self> {
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (login, rest),
            None => ("", rest),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = |text: &str| match text.rsplit_once(':') {
            Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
            None => Some((text.to_owned(), port)),
        };
        let all: Vec<_> = hosts.split(',').map(host).collect::<Option<_>>()?;
        if all.iter().any(|(host, _)| host.is_empty()) {
            return None;
        }
        Some(Self {
            tls,
            user: given(user),
            password: given(password),
            all,
            path: path.to_owned(),
        })
    }

    /// Returns the address without user and password.
    pub(super) fn endpoint(&self, kind: &str) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let hosts = self.all.iter().map(|(host, port)| format!("{host}:{port}"));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let path = match self.path.as_str() {
            "" => String::new(),
            path => format!("/{path}"),
        };
        format!("{scheme}+{kind}://{hosts}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_parts() {
        let parse = |url| Hosts::parse(url, "cluster", 6379);
        let expected = Hosts {
            tls: false,
            user: Some("ada".to_owned()),
            password: Some("s3".to_owned()),
            all: vec![("a".to_owned(), 1), ("b".to_owned(), 6379)],
            path: String::new(),
        };
        let parsed = parse("redis+cluster://ada:s3@a:1,b").unwrap().unwrap();
        assert_eq!(parsed, expected);
        assert_eq!(parsed.endpoint("cluster"), "redis+cluster://a:1,b:6379");
        let tls = parse("rediss+cluster://a/x").unwrap().unwrap();
        assert!(tls.tls && tls.user.is_none() && tls.password.is_none());
        assert_eq!(tls.path, "x");
        for other in ["redis://a:1", "redis+sentinel://a/x", "http+cluster://a"] {
            assert!(parse(other).is_none(), "{other}");
        }
        for wrong in [
            "redis+cluster://",
            "redis+cluster://a:x",
            "redis+cluster://a,,b",
        ] {
            assert_eq!(parse(wrong), Some(Err(NotHosts)), "{wrong}");
        }
    }
}
