//! Analysis without Redis: rules over recorded readings (`replay`) and over simulated failures
//! (`drill`).

pub mod replay;
pub mod drill;
