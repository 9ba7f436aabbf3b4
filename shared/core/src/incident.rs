//! Incidents: related alerts, grouped by their likely cause, and the notifications about them.
//!
//! # Theory of operation
//!
//! [`Incidents`] is a pure state machine over all partitions. Alert records, silences, acknowledgements and the
//! current time go in; [`Incidents::advance`] returns what to write, and which of it is a notification.
//!
//! - **Grouping.** The first alert opens an incident. A later alert joins it if both belong to one [`Family`]
//!   (heat, cold, no data, sensor faults) and are near each other: on the same device, or in a rack that the
//!   incident already covers. An alert behind the same cooler, in the same row or in the same room joins while
//!   the incident has grown within [`IncidentTiming::group_window`], or once it covers several racks. The nearest
//!   incident wins, then the oldest.
//! - **Info alerts** open no incident. They are remembered for the group window, and join one that opens.
//! - **Recovery.** Air that cools down fast where it was too hot (or the reverse) is the way back, and joins
//!   nothing.
//! - **Notifications** go out when an incident opens, when it gets worse, as a repeat while it is not
//!   acknowledged, and when it is resolved. Another alert alone is no reason to notify, unless the critical part
//!   has grown by much; a silenced alert never is.
//! - **Stale alerts** are open alerts of sensors that send no data. They keep the incident open with their last
//!   severity. An incident with nothing else repeats once a day.
//! - **Cause.** [`Cause`] is the smallest thing that all alerts share, such as one rack or one cooler.
//!
//! The [phases](phase) of an incident are drawn in the module that holds them.

mod cause;
mod extent;
mod id;
mod incidents;
mod lifecycle;
mod member;
pub mod phase;
mod reach;
mod record;
mod regroup;
pub mod silence;
mod timing;
mod title;

pub use crate::detect::Family;
pub use cause::Cause;
pub use id::IncidentId;
pub use incidents::Incidents;
pub use lifecycle::Incident;
pub use member::{AlertPlace, Member, Missing, StoredMember};
pub use phase::Ack;
pub use record::{Changes, Event, IncidentRecord};
pub use regroup::LostIncidents;
pub use timing::IncidentTiming;
