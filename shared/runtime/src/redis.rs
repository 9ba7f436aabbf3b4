//! Redis as both programs use it: connections, what an error asks for, and replies.
//!
//! In: the `[redis]` section; out: connections that answered a PING, and replies taken apart
//! without copying. What a command means is the caller's business.

mod cluster;
mod connect;
mod connection;
mod error;
mod layout;
mod outage;
pub mod probe;
mod remedy;
mod replication;
mod reply;

pub use connect::{Connector, Purpose};
pub use connection::Connection;
pub use error::ConnectError;
pub use layout::Layout;
pub use remedy::{Remedy, is_group_there, is_no_group, may_be_another, remedy};
pub use replication::replication_id;
pub use reply::{Fields, RawEntry, ReplyError, entries, per_item, request_per_item, streams};
