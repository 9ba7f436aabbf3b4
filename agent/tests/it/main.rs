//! Integration tests of the agent.

mod sources;
