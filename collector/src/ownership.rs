//! Ownership: which collector reads which partition, and which one is the leader.
//!
//! `assignment` says how many partitions each collector owns, `lease` holds the keys in Redis that
//! expire, `zones` finds the partition of a device, `owner` takes, keeps and hands over partitions, `leader` holds the lease for incidents
//! and notifications, and `repartition` changes the number of partitions.

pub(crate) mod assignment;
pub(crate) mod lease;
pub(crate) mod zones;
pub(crate) mod owner;
pub(crate) mod leader;
pub(crate) mod repartition;
