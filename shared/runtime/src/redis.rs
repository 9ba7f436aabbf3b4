//! Redis as both programs use it: connections, what an error asks for, and replies.
//!
//! In: the `[redis]` section; out: connections that answered a PING, and replies taken apart
//! without copying. What a command means is the caller's business.

mod cluster;
mod connect;
mod connection;
mod error;
mod partitioning;
mod outage;
pub mod probe;
mod remedy;
mod replication;
mod reply;
mod scan;
mod server;
mod session;

pub use connect::{Connector, Purpose};
pub use connection::Connection;
pub use error::ConnectError;
pub use partitioning::Partitioning;
pub use remedy::{
    Remedy, is_group_there, is_no_group, is_out_of_memory, is_wrong_type, may_be_another, remedy,
};
pub use replication::replication_id;
pub use reply::{Fields, RawEntry, ReplyError, entries, streams};
pub use scan::{HashPages, scan_hash};
pub use server::{ServerInfo, format_bytes, reply_field, server_time, unless_refused};
pub use session::{RequestError, Session, recover};
