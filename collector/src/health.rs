//! The health of the pipeline: facts from Redis, and their evaluation.

mod attendance;
mod broken_keys;
mod evaluate;
mod facts;
mod failed_deliveries;
mod foreign_consumers;
mod gather;
mod notifiers;
mod refused;
mod refused_agents;
mod redis_streams;
mod room;
pub(crate) mod undescribed;
mod watch;
mod wrong_series;

pub(crate) use attendance::unattended;
pub(crate) use broken_keys::broken_keys;
pub(crate) use evaluate::{HealthVerdict, SERIES_MEMORY_LIMIT, evaluate};
pub(crate) use facts::{Facts, Group, Incidents, Losses, NotEvaluated, Owned, Streams};
pub(crate) use gather::gather;
pub(crate) use notifiers::KnownNotifiers;
pub(crate) use refused::without_effect;
pub(crate) use room::{RoomState, RoomVerdict, room};
pub(crate) use watch::run as watch;
pub(crate) use wrong_series::wrong_series;
