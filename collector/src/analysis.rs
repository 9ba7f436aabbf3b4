//! Offline evaluation of rules: on recorded readings (`replay`) and on simulated failures (`drill`).

pub(crate) mod replay;
pub(crate) mod drill;
