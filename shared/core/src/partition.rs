//! Partitions: how a large site's readings are spread over several streams.
//!
//! An agent publishes all it has to one partition, told by its zone (a room or a row). So a device
//! stays in its partition however it is placed later, and what is compared with each other lies
//! within one. A small site has no partitions: plain names, which any client can write to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many partitions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Partitions(u16);

/// More partitions than this serve nobody: each is a loop of its own.
const MOST: u16 = 1024;

/// Not a number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} partitions: give a number from 1 to {MOST}, or 0 for the plain names")]
pub struct NotPartitions(u16);

/// One partition: all of a small site, or one of several by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(Option<u16>);

impl Partitions {
    /// No partitions: one stream under the plain names.
    pub const PLAIN: Self = Self(0);
    /// What there are on Redis Cluster unless said otherwise: enough to spread over a few masters.
    pub const CLUSTER: Self = Self(64);

    /// So many partitions; 0 is [`Partitions::PLAIN`].
    ///
    /// # Errors
    ///
    /// When there are too many.
    pub fn new(count: u16) -> Result<Self, NotPartitions> {
        if count > MOST {
            return Err(NotPartitions(count));
        }
        Ok(Self(count))
    }

    /// Which partition an agent of `zone` publishes to: CRC-32 (IEEE 802.3) of its name, modulo
    /// their number.
    pub fn of_zone(self, zone: &str) -> PartitionId {
        let count = u32::from(self.0);
        let number = crc32fast::hash(zone.as_bytes()).checked_rem(count);
        PartitionId(number.and_then(|number| u16::try_from(number).ok()))
    }

    /// All of them, in order.
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
    /// All of a site without partitions.
    pub const PLAIN: Self = Self(None);

    /// Its number; none on a site without partitions.
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
    fn a_zone_has_one_partition() {
        let sixteen = Partitions::new(16).unwrap();
        // CRC-32 of "ABC" is 0xA3830348.
        assert_eq!(sixteen.of_zone("ABC").number(), Some(8));
        assert_eq!(Partitions::PLAIN.of_zone("ABC"), PartitionId::PLAIN);
        assert_eq!(Partitions::new(1).unwrap().of_zone("ABC").number(), Some(0));
    }

    #[test]
    fn all_are_listed() {
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
