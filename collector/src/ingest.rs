//! Ingestion: the path of a reading from the raw stream to the commit that acknowledges it.
//!
//! `raw_stream` reads batches and commits them, `partition` is the loop over one partition, and
//! `recorder` stores each batch as series before the engine evaluates it. `relief` frees memory when Redis has none.

pub mod raw_stream;
pub mod recorder;
pub mod partition;
pub mod relief;
pub(crate) mod forward;
mod timer;
