//! Placeholder.

pub mod series;
