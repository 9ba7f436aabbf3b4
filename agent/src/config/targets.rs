//! What an agent reads over the network: `[[targets]]`.
//!
//! In: one entry a target. Out: checked settings; the password stays in its file until the source is made.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_core::device::Role;
use rackwatch_runtime::tls::Fingerprint;
use serde::Deserialize;

use super::AgentName;
use crate::source::snmp::{Preset, Unit};

/// One `[[targets]]` entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// What it is called in device ids, alerts and logs: each name once.
    pub name: AgentName,
    /// How it is read.
    #[serde(rename = "type")]
    pub kind: TargetKind,
    /// Host name or address.
    pub address: String,
    /// The port, where it is not the usual one.
    #[serde(default)]
    pub port: Option<u16>,
    /// Who logs in.
    #[serde(default)]
    pub user: Option<String>,
    /// A file that holds the password and nothing else.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The cipher suite of IPMI 2.0; 17 is what today's BMCs want, 3 what old ones know.
    #[serde(default = "cipher_suite")]
    pub cipher_suite: u8,
    /// The privilege that is asked for; reading needs `user`.
    #[serde(default)]
    pub privilege: Privilege,
    /// How the user logs in by Redfish.
    #[serde(default)]
    pub login: Login,
    /// PEM file with the authorities to trust by Redfish; without it those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The one certificate to trust by Redfish, whoever signed it.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// Accept any certificate: it protects from nobody.
    #[serde(default)]
    pub insecure: bool,
    /// What kind of device it is by SNMP.
    #[serde(default)]
    pub preset: Preset,
    /// What else is read of it by SNMP.
    #[serde(default)]
    pub sensors: Vec<SensorConfig>,
    /// A file that holds the community of SNMP v2c.
    #[serde(default)]
    pub community_file: Option<PathBuf>,
    /// How the user of SNMP v3 proves who it is, with the password.
    #[serde(default)]
    pub authentication: Authentication,
    /// A file that holds the privacy password of SNMP v3; without it nothing is encrypted.
    #[serde(default)]
    pub privacy_file: Option<PathBuf>,
    /// How what SNMP v3 says is encrypted.
    #[serde(default)]
    pub privacy: Privacy,
    /// How often to read.
    #[serde(default = "interval", with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// How long a read may take.
    #[serde(default = "deadline", with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// The rack that it stands in.
    #[serde(default)]
    pub rack: Option<String>,
    /// Its height in the rack, in rack units from the floor.
    #[serde(default)]
    pub u: Option<u16>,
}

/// How a target is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A BMC by IPMI over the network.
    Ipmi,
    /// A BMC by Redfish.
    Redfish,
    /// A cooler, a PDU or a monitor by SNMP.
    Snmp,
}

/// How a user of SNMP v3 proves who it is (RFC 3414, RFC 7860).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// Old.
    Md5,
    /// Old.
    Sha1,
    /// HMAC-SHA-2.
    Sha224,
    /// HMAC-SHA-2.
    #[default]
    Sha256,
    /// HMAC-SHA-2.
    Sha384,
    /// HMAC-SHA-2.
    Sha512,
}

/// How what SNMP v3 says is kept from others (RFC 3414, RFC 3826).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Old.
    Des,
    /// AES.
    #[default]
    Aes128,
    /// AES with a longer key, which no standard describes.
    Aes192,
    /// The same.
    Aes256,
}

/// One number that is read by SNMP.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorConfig {
    /// Where it is.
    pub oid: String,
    /// What it is called in device ids.
    pub name: String,
    /// What it measures.
    #[serde(default)]
    pub role: Role,
    /// Degrees of one: 0.1 for tenths.
    #[serde(default = "one")]
    pub scale: f64,
    /// `C` or `F`.
    #[serde(default)]
    pub unit: Unit,
    /// Numbers that mean that there is none.
    #[serde(default)]
    pub invalid: Vec<i64>,
}

fn one() -> f64 {
    1.0
}

/// How a user logs in by Redfish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// With each request.
    #[default]
    Basic,
    /// Once, for a session: some boards log every login.
    Session,
}

/// What a user of a BMC may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// Less than reading.
    Callback,
    /// Reading.
    #[default]
    User,
    /// Switching.
    Operator,
    /// All.
    Administrator,
}

impl Privilege {
    /// The word that `ipmitool` knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

fn cipher_suite() -> u8 {
    17
}

fn interval() -> Duration {
    Duration::from_secs(30)
}

fn deadline() -> Duration {
    Duration::from_secs(20)
}
