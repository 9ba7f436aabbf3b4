//! Keys of a `[[targets]]` entry with `type = "snmp"`.

use std::path::PathBuf;

use rackwatch_core::device::Role;
use serde::Deserialize;

use super::preset::{Preset, Scalar, Unit, parse_oid};
/// Keys of a target that is read by SNMP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnmpTarget {
    /// Known kind of device; default `custom`, which reads only `sensors`.
    pub preset: Preset,
    /// Sensors to read besides those of the preset.
    pub sensors: Vec<SensorConfig>,
    /// File with the community of SNMP v2c.
    pub community_file: Option<PathBuf>,
    /// Authentication of the SNMP v3 user; default `sha256`.
    pub authentication: Authentication,
    /// File with the privacy password of SNMP v3; without it nothing is encrypted.
    pub privacy_file: Option<PathBuf>,
    /// Encryption of SNMP v3; default `aes128`.
    pub privacy: Privacy,
}

/// One object that holds a temperature.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorConfig {
    /// Object identifier, in numbers.
    pub oid: String,
    /// Name in device ids.
    pub name: String,
    /// Role of the device; default `other`.
    #[serde(default)]
    pub role: Role,
    /// Multiplier from raw value to degrees; default 1.
    #[serde(default = "one")]
    pub scale: f64,
    /// `C` (default) or `F`.
    #[serde(default)]
    pub unit: Unit,
    /// Raw values that mean "no reading".
    #[serde(default)]
    pub invalid: Vec<i64>,
}

fn one() -> f64 {
    1.0
}

impl SensorConfig {
    /// Returns the object to read, or `None` if `oid` is not an object identifier.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        Some(Scalar {
            oid: parse_oid(&self.oid)?,
            name: self.name.clone(),
            role: self.role,
            scale: self.scale,
            unit: self.unit,
            invalid: self.invalid.clone(),
        })
    }
}

/// The authentication of an SNMP v3 user (RFC 3414, RFC 7860).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// HMAC-MD5 (RFC 3414), considered broken.
    Md5,
    /// HMAC-SHA-1 (RFC 3414), considered weak.
    Sha1,
    /// HMAC-SHA-224 with 128 bits (RFC 7860).
    Sha224,
    /// HMAC-SHA-256 with 192 bits (RFC 7860).
    #[default]
    Sha256,
    /// HMAC-SHA-384 with 256 bits (RFC 7860).
    Sha384,
    /// HMAC-SHA-512 with 384 bits (RFC 7860).
    Sha512,
}

/// The encryption of SNMP v3 (RFC 3414, RFC 3826).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// DES (RFC 3414), considered broken.
    Des,
    /// AES with a key of 128 bits.
    #[default]
    Aes128,
    /// AES with a key of 192 bits, which no standard describes.
    Aes192,
    /// AES with a key of 256 bits, which no standard describes.
    Aes256,
}
