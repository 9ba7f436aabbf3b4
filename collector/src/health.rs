//! How the pipeline is doing: the facts, and what is wrong with them.

mod gather;
mod judge;

pub(crate) use gather::{Facts, Group, Incidents, Losses, Owned, Streams, gather};
pub(crate) use judge::{MUCH, Verdict, judge};
