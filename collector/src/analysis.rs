//! Offline evaluation of rules: on recorded readings (`replay`) and on simulated failures (`drill`).

pub mod replay;
pub mod drill;
