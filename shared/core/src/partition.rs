//! Partitions: the streams over which a large site spreads its readings.
//!
//! An agent publishes everything to the partition of its zone (a room or a row). A device stays in its partition
//! wherever it is placed later, and devices that are compared share one. A small site has no partitions: plain
//! names, which any client can write to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Partitions(u16);

/// The greatest number of partitions. Each is a loop of its own, so that more would cost without use.
const MAX: u16 = 1024;

/// An invalid number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} partitions: give a number from 1 to {MAX}, or 0 for the plain names")]
pub struct NotPartitions(u16);

/// One partition: all of a small site, or one of several, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(Option<u16>);

impl Partitions {
    /// One stream under the plain names.
    pub const PLAIN: Self = Self(0);
    /// The greatest number.
    pub const MAX: u16 = MAX;
    /// The default on Redis Cluster: enough to spread over a few masters.
    pub const CLUSTER: Self = Self(64);

    /// Checks a number of partitions; 0 is [`Partitions::PLAIN`].
    ///
    /// # Errors
    ///
    /// Fails if the number is too large.
    pub fn new(count: u16) -> Result<Self, NotPartitions> {
        if count > MAX {
            return Err(NotPartitions(count));
        }
        Ok(Self(count))
    }

    /// Returns the partition of a zone: CRC-32 (IEEE 802.3) of its name, modulo the number of partitions.
    pub fn of_zone(self, zone: &str) -> PartitionId {
        let count = u32::from(self.0);
        let number = crc32fast::hash(zone.as_bytes()).checked_rem(count);
        PartitionId(number.and_then(|number| u16::try_from(number).ok()))
    }

    /// Returns all partitions, in order.
    pub fn all(self) -> impl Iterator<Item = PartitionId> {
        let plain = (self == Self::PLAIN).then_some(PartitionId::PLAIN);
        let numbered = (0..self.0).map(|number| PartitionId(Some(number)));
        plain.into_iter().chain(numbered)
    }
}

impl TryFrom<u16> for Partitions {
    type Error = NotPartitions;

    fn try_from(count: u16) -> Result<Self, NotPartitions> {
        Self::new(count)
    }
}

impl From<Partitions> for u16 {
    fn from(partitions: Partitions) -> Self {
        partitions.0
    }
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no partitions"),
            1 => f.write_str("1 partition"),
            count => write!(f, "{count} partitions"),
        }
    }
}

impl PartitionId {
    /// The only partition of a small site.
    pub const PLAIN: Self = Self(None);

    /// Returns the number; none on a site without partitions.
    pub fn number(self) -> Option<u16> {
        self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("all"),
            Some(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_decides_the_partition() {
        let sixteen = Partitions::new(16).unwrap();
        // CRC-32 of "ABC" is 0xA3830348.
        assert_eq!(sixteen.of_zone("ABC").number(), Some(8));
        assert_eq!(Partitions::PLAIN.of_zone("ABC"), PartitionId::PLAIN);
        assert_eq!(Partitions::new(1).unwrap().of_zone("ABC").number(), Some(0));
    }

    #[test]
    fn all_partitions_are_listed() {
        let names = |count| {
            let all = Partitions::new(count).unwrap().all();
            all.map(|partition| partition.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["all"]);
        assert_eq!(names(3), ["0", "1", "2"]);
        assert!(Partitions::new(1025).is_err());
    }
}
