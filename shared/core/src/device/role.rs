//! Roles of devices: the kinds of measurement.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of measurement. It selects the default rules: 28 °C is hot for the inlet of a rack, and cold for a CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Air that enters IT equipment at the front of a rack, which ASHRAE's limits apply to.
    Inlet,
    /// Air that leaves IT equipment at the back.
    Exhaust,
    /// Air of the room.
    Ambient,
    /// Air that a cooler blows out.
    Supply,
    /// Air that a cooler takes in.
    Return,
    /// A processor, or one of its cores.
    Cpu,
    /// A graphics or other accelerator.
    Gpu,
    /// A memory module, such as a DIMM.
    Memory,
    /// A drive, spinning or solid state.
    Disk,
    /// Anything else. Only the hardware's own limits apply.
    #[default]
    Other,
}

impl Role {
    /// Every role, in order.
    pub const ALL: [Self; 10] = [
        Self::Inlet,
        Self::Exhaust,
        Self::Ambient,
        Self::Supply,
        Self::Return,
        Self::Cpu,
        Self::Gpu,
        Self::Memory,
        Self::Disk,
        Self::Other,
    ];

    /// Returns the word on the wire and in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inlet => "inlet",
            Self::Exhaust => "exhaust",
            Self::Ambient => "ambient",
            Self::Supply => "supply",
            Self::Return => "return",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
