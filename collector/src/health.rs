//! The health of the pipeline: facts from Redis, and their evaluation.

mod evaluate;
mod facts;
mod gather;
mod notifiers;
mod refused;
mod redis_streams;

pub(crate) use evaluate::{HealthVerdict, SERIES_MEMORY_LIMIT, evaluate};
pub(crate) use facts::{Facts, Group, Incidents, Losses, Owned, Streams};
pub(crate) use gather::gather;
