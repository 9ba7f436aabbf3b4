//! Offline evaluation of rules, without Redis: on recorded readings (`replay`) and on simulated failures (`drill`).

pub mod replay;
pub mod drill;
