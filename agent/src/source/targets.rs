//! `[[targets]]`: devices that an agent reads over the network.
//!
//! In: one entry for each target. Out: a source for each. Secrets stay in their files until the
//! source is opened. A kind of target is a line in `target_kinds!` below.

use rackwatch_runtime::config::tagged::Kinds;
use serde::{Deserialize, Deserializer};

use super::Source;
#[cfg(unix)]
use super::ipmi::IpmiTarget;
use super::redfish::RedfishTarget;
use super::snmp::SnmpTarget;
use super::target::{TargetCommon, TargetContext, TargetError, TargetSettings};

/// One `[[targets]]` entry of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetConfig {
    /// Keys of every target.
    pub common: TargetCommon,
    /// Keys of its kind.
    pub kind: TargetKind,
}

/// Declares [`TargetKind`]: the value of `type`, the variant with its settings, and its doc comment.
macro_rules! target_kinds {
    ($($(#[cfg($on:meta)])? $name:literal => $kind:ident($settings:ty): $doc:literal,)+) => {
        /// The kinds of targets, which the key `type` tells apart.
        #[derive(Clone, Debug, PartialEq)]
        pub enum TargetKind {
            $(
                $(#[cfg($on)])?
                #[doc = $doc]
                $kind($settings),
            )+
        }

        impl TargetKind {
            /// Returns all kinds with their keys.
            pub fn kinds() -> Kinds<TargetCommon, Self> {
                let kinds = Kinds::new("type");
                $(
                    $(#[cfg($on)])?
                    let kinds = kinds.with($name, |common, settings: $settings| {
                        settings.check(common).map(|()| Self::$kind(settings))
                    });
                )+
                kinds
            }

            fn settings(&self) -> &dyn Open {
                match self {
                    $(
                        $(#[cfg($on)])?
                        Self::$kind(settings) => settings,
                    )+
                }
            }
        }
    };
}

target_kinds! {
    #[cfg(unix)]
    "ipmi" => Ipmi(IpmiTarget): "A BMC, by IPMI over the network.",
    "redfish" => Redfish(RedfishTarget): "A BMC, by Redfish.",
    "snmp" => Snmp(SnmpTarget): "A cooler, a PDU or an environmental monitor, by SNMP.",
}

/// [`TargetSettings`] of any kind.
trait Open {
    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError>;
}

impl<T: TargetSettings> Open for T {
    fn open(
        &self,
        common: &TargetCommon,
        context: &TargetContext,
    ) -> Result<Box<dyn Source>, TargetError> {
        TargetSettings::open(self, common, context)
    }
}

impl<'de> Deserialize<'de> for TargetConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (common, kind) = TargetKind::kinds().deserialize(from)?;
        Ok(Self { common, kind })
    }
}

/// Opens the sources of all targets.
///
/// # Errors
///
/// When one of them is unusable.
pub fn open(
    targets: &[TargetConfig],
    context: &TargetContext,
) -> Result<Vec<Box<dyn Source>>, TargetError> {
    let sources = targets
        .iter()
        .map(|target| target.kind.settings().open(&target.common, context));
    sources.collect()
}
