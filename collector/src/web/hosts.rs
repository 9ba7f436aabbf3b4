//! The host names of the dashboard.
//!
//! A page of another site can rebind its own name to the address of this dashboard, and would then read it in a
//! user's browser. So requests for foreign names are refused. Addresses cannot be rebound.

use std::net::IpAddr;

use rackwatch_runtime::host::host_name;

use crate::config::{HostName, WebConfig};

/// The host names by which clients may reach the dashboard, in lower case.
#[derive(Clone, Debug)]
pub(super) struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Returns the names of this machine and those that are configured.
    pub(super) fn new(config: &WebConfig) -> Self {
        let mut names = vec!["localhost".to_owned()];
        if let Some(name) = host_name() {
            let name = name.to_ascii_lowercase();
            names.extend(name.split_once('.').map(|(short, _)| short.to_owned()));
            names.push(name);
        }
        let public = config.public_url.as_ref().map(|url| url.host().to_owned());
        names.extend(public);
        names.extend(config.hosts.iter().map(HostName::as_str).map(str::to_owned));
        Self(names)
    }

    /// Returns whether the host of a request is allowed. Browsers always name one.
    pub(super) fn allow(&self, host: Option<&str>) -> bool {
        let Some(host) = host else {
            return true;
        };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        name.parse::<IpAddr>().is_ok()
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}
