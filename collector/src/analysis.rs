//! Offline evaluation of rules, without Redis: on recorded readings (`replay`) and on simulated failures (`drill`).

pub(crate) mod replay;
pub(crate) mod drill;
