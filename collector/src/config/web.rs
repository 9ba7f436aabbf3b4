//! The keys of `[web]`, with the types of their values.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;

use axum::http::HeaderName;
use ipnet::IpNet;
use rackwatch_runtime::config::{KeyError, KeyFault};
use reqwest::Url;
use serde::Deserialize;

/// The keys of `[web]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// The address of the dashboard, the API, the metrics and the health checks. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The public address of the dashboard, with its path behind a proxy: `https://example.org/rackwatch`.
    pub public_url: Option<PublicUrl>,
    /// Further host names by which clients may reach the dashboard.
    pub hosts: Vec<HostName>,
    /// The file with tokens and users that `access add` writes. Mandatory unless `listen` is a loopback address.
    pub access_file: Option<PathBuf>,
    /// Whether requests need no authentication at all. Default false.
    pub allow_unauthenticated: bool,
    /// The proxies whose headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the addresses of clients. Default `x-forwarded-for`.
    pub forwarded_header: ForwardedHeader,
    /// The header in which they name the user whom they authenticated.
    pub user_header: Option<UserHeader>,
    /// The access of these users.
    pub user_access: Option<AccessLevel>,
    /// A PEM file with the certificate and its chain. It switches HTTPS on.
    pub tls_cert_file: Option<PathBuf>,
    /// A PEM file with the key of the certificate.
    pub tls_key_file: Option<PathBuf>,
    /// The number of open dashboards that receive live updates. Default 256.
    pub max_streams: usize,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            hosts: Vec::new(),
            access_file: None,
            allow_unauthenticated: false,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            user_header: None,
            user_access: None,
            tls_cert_file: None,
            tls_key_file: None,
            max_streams: 256,
        }
    }
}

impl WebConfig {
    /// Checks the keys about users of a proxy against one another.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        let missing = |key: &str, why: &str| {
            Err(KeyError {
                path: format!("web.{key}"),
                fault: KeyFault::Missing(why.to_owned()),
            })
        };
        match (&self.user_header, &self.user_access) {
            (None, None) => return Ok(()),
            (Some(_), None) => {
                return missing("user_access", "set it to \"viewer\" or \"operator\"");
            }
            (None, Some(_)) => {
                return missing(
                    "user_header",
                    "name the header of the proxy, or remove user_access",
                );
            }
            (Some(_), Some(_)) => {}
        }
        if self.trusted_proxies.is_empty() {
            return missing(
                "trusted_proxies",
                "user_header is believed only from them: list their addresses",
            );
        }
        if self.allow_unauthenticated {
            return Err(KeyError {
                path: "web.allow_unauthenticated".to_owned(),
                fault: KeyFault::Key("user_header is set too: remove one of them".to_owned()),
            });
        }
        Ok(())
    }
}

/// The access level of a user, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLevel {
    /// May read everything.
    Viewer,
    /// May also acknowledge, silence, and add maintenance windows.
    Operator,
}

/// The header in which a proxy names the addresses of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.7, 10.0.0.1`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.7;proto=https`, as RFC 7239 defines it.
    Forwarded,
}

/// The public address of the dashboard, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl {
    text: String,
    url: Url,
}

impl PublicUrl {
    /// Returns the host name or address.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns scheme, host and port as browsers send them in `Origin`.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the path without a slash at its end: empty, or such as `/rackwatch`.
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

impl Deref for PublicUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let expected = "expected an address such as https://rackwatch.example.org/path, without a user, a query or a #";
        let url = Url::parse(&text).map_err(|_| expected)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain || !url.has_host() || !matches!(url.scheme(), "http" | "https") {
            return Err(expected);
        }
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { text, url })
    }
}

/// A host name in lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if text.is_empty() || !text.chars().all(is_allowed) {
            return Err("expected a host name without a port, such as \"rackwatch.example.org\"");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The addresses of proxies: one address, or a network such as `10.0.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Returns whether an address, in its canonical form, belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        let network =
            network.map_err(|_| "expected an IP address or a network such as \"10.0.0.0/24\"")?;
        if network.prefix_len() == 0 {
            return Err("expected a network of proxies, not all addresses");
        }
        Ok(Self(network))
    }
}

/// The name of the header in which a proxy names its user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UserHeader(HeaderName);

impl UserHeader {
    /// Returns the name.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl TryFrom<String> for UserHeader {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.parse::<HeaderName>();
        name.map(Self)
            .map_err(|_| "expected the name of a header, such as \"X-Remote-User\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_have_an_origin_and_a_path() {
        let url = |text: &str| PublicUrl::try_from(text.to_owned());
        let with_path = url("https://Racks.example.org:443/rackwatch/").unwrap();
        assert_eq!(&*with_path, "https://Racks.example.org:443/rackwatch");
        assert_eq!(with_path.origin(), "https://racks.example.org");
        assert_eq!(with_path.path(), "/rackwatch");
        assert_eq!(with_path.host(), "racks.example.org");
        let plain = url("http://10.0.0.5:8080").unwrap();
        assert_eq!(
            (plain.origin().as_str(), plain.path()),
            ("http://10.0.0.5:8080", "")
        );
        for wrong in [
            "rackwatch",
            "ftp://a",
            "https://u:p@a",
            "https://a/?b",
            "https://a/#b",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn users_of_a_proxy_need_its_address_and_an_access_level() {
        let read = |text: &str| toml::from_str::<WebConfig>(text).unwrap().check();
        let path = |text: &str| read(text).unwrap_err().path;
        let header = "user_header = 'X-Remote-User'\n";
        let level = "user_access = 'viewer'\n";
        let proxies = "trusted_proxies = ['10.0.0.0/24', '::1']\n";
        let open = "allow_unauthenticated = true\n";
        assert_eq!(path(header), "web.user_access");
        assert_eq!(path(level), "web.user_header");
        assert_eq!(path(&[header, level].concat()), "web.trusted_proxies");
        let all = [header, level, proxies].concat();
        assert_eq!(read(&all), Ok(()));
        assert_eq!(path(&(all + open)), "web.allow_unauthenticated");
        assert!(toml::from_str::<WebConfig>("trusted_proxies = ['0.0.0.0/0']").is_err());
        assert!(toml::from_str::<WebConfig>("hosts = ['a:8080']").is_err());
    }
}
