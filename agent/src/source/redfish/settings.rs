//! Keys of a `[[targets]]` entry with `type = "redfish"`.

use std::path::PathBuf;

use rackwatch_runtime::tls::Fingerprint;
use serde::Deserialize;

/// Keys of a target that is read by Redfish.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedfishTarget {
    /// Login method; default `basic`.
    pub login: Login,
    /// PEM file with the authorities to trust; by default those of the system.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the only certificate to trust, regardless of its signer.
    pub fingerprint: Option<Fingerprint>,
    /// Whether to accept any certificate, which gives no protection; default false.
    pub insecure: bool,
}

/// The login method of a Redfish user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// User and password with each request.
    #[default]
    Basic,
    /// One login for a session: some boards log every login.
    Session,
}
