//! The address of a client, as a trusted proxy reports it.
//!
//! Each proxy appends the address that it was asked from, so only the right end of the list is worth anything: the
//! first address from there that is no trusted proxy is the client. Any client may send the header, so it is read
//! only from trusted proxies. Only the one configured header is read: a proxy passes on the other as it came.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::{ForwardedHeader, Network, WebConfig};

/// The proxies whose headers are believed.
#[derive(Clone, Debug)]
pub(super) struct TrustedProxies {
    networks: Vec<Network>,
    header: ForwardedHeader,
}

impl TrustedProxies {
    pub(super) fn new(config: &WebConfig) -> Self {
        Self {
            networks: config.trusted_proxies.clone(),
            header: config.forwarded_header,
        }
    }

    /// Returns whether an address is one of a trusted proxy.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// Returns the address of the client whose request came from `peer`.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut reported = self.reported(headers).into_iter().rev();
        while self.contains(client) {
            // An unreadable address hides all to its left: the proxy that reported it stands for them.
            let Some(Some(next)) = reported.next() else {
                break;
            };
            client = next.to_canonical();
        }
        client
    }

    /// Returns the addresses in the header, from left to right; `None` for one that is unreadable.
    fn reported(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut all = Vec::new();
        for value in headers.get_all(name) {
            let Ok(text) = value.to_str() else {
                all.push(None);
                continue;
            };
            all.extend(text.split(',').map(|element| match self.header {
                ForwardedHeader::XForwardedFor => address(element.trim()),
                ForwardedHeader::Forwarded => forwarded_for(element),
            }));
        }
        all
    }
}

/// Returns the address in an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    address(value.trim().trim_matches('"'))
}

/// Parses an address with or without a port. One of IPv6 may stand in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let plain = plain.unwrap_or(text).parse().ok();
    plain.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: &str) -> TrustedProxies {
        let text = format!(
            "trusted_proxies = ['10.0.0.0/24', '2001:db8::1']\nforwarded_header = '{header}'"
        );
        TrustedProxies::new(&toml::from_str(&text).unwrap())
    }

    fn client(header: &'static str, peer: &str, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header, value.parse().unwrap());
        }
        let peer = peer.parse().unwrap();
        proxies(header).client(peer, &headers).to_string()
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let of = |peer, values: &[&str]| client("x-forwarded-for", peer, values);
        for (peer, values, expected) in [
            // Only a trusted proxy is believed.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            // What stands to its left is the client's own invention.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["1.2.3.4", "198.51.100.7,10.0.0.2"],
                "198.51.100.7",
            ),
            ("2001:db8::1", &["[2001:db8:7::9]:4711"], "2001:db8:7::9"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(of(peer, values), expected, "{peer} {values:?}");
        }
    }

    #[test]
    fn the_forwarded_header_is_read_as_rfc_7239_defines_it() {
        let of = |peer, values: &[&str]| client("forwarded", peer, values);
        for (values, expected) in [
            (&["for=198.51.100.7;proto=https"][..], "198.51.100.7"),
            (&["proto=https; For=\"198.51.100.7:4711\""], "198.51.100.7"),
            (&["for=1.2.3.4, for=\"[2001:db8:7::9]\""], "2001:db8:7::9"),
            (&["for=_hidden"], "10.0.0.1"),
            (&["for=198.51.100.7, for=unknown"], "10.0.0.1"),
        ] {
            assert_eq!(of("10.0.0.1", values), expected, "{values:?}");
        }
    }
}
