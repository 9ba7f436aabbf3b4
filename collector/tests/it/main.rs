//! Integration tests.

mod series;
