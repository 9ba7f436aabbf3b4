//! The spool: readings that Redis does not accept, on disk, in order.
//!
//! In: entries that waited too long in memory, oldest first. Out: the same, until Redis has them.
//!
//! # Constraints
//!
//! - **Bounded.** `spool.max_bytes` and `spool.max_age` hold at all times. The oldest segment is
//!   dropped first, its readings are counted, and the next record reports the reason.
//! - **Never in the way.** A thread of its own owns the disk. A disk that hangs, is full or
//!   read-only stops neither the sampler nor the publisher: they go on in memory. A few commands
//!   wait for a disk that hangs, and further ones fail at once.
//! - **Late is not never.** A folder that cannot be opened at the start is retried with growing
//!   pauses. Readings wait in memory until then.
//! - **Full is not broken.** A full disk refuses writes and still returns what it holds.
//! - **Durable as configured.** A restart of the agent or the host loses what was not synced
//!   (`spool.sync`), and nothing else.
//! - **One agent.** A lock file keeps a second agent out of the folder.
//!
//! # Numbers
//!
//! Each agent run has a name, and numbers its readings from 1. A record carries the number of its
//! last reading ([`Seq`](rackwatch_core::wire::Seq)), so `k` readings take the numbers `n-k+1` to
//! `n`. The first record of a run also carries the last number of the previous run. Segments are
//! numbered too; a segment number is never used twice.
//!
//! # Files
//!
//! | file | content |
//! | --- | --- |
//! | `000000000001.segment`, … | the line `rackwatch spool 2`, then records as frames |
//! | `position` | one frame: how far segments are acknowledged |
//! | `lock` | empty, locked while an agent runs |
//!
//! All numbers are little-endian. A **frame** is
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | length of the payload, at most 1 MiB |
//! | 4 | CRC-32 of length and payload |
//! | length | payload; its first byte is the format version |
//!
//! **Text** is one byte of length and that many bytes of UTF-8. A **number** (`Seq`) is the run as
//! text and 8 bytes. An **optional number** is one byte, 0 or 1, and after a 1 the number. A **gap**
//! is one byte: 0 none, 1 `queue_full`, 2 `spool_full`, 3 `spool_age`, 4 `spool_corrupt`.
//!
//! The payload of a **record**, version 3:
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | version: 3 |
//! | 8 | time of the write by the spool's own clock, milliseconds; version 1 has no such number |
//! | 8 | milliseconds by which the host's clock had been set since the run began, signed; from version 3 on |
//! | … | one byte, 0 or 1, and after a 1 the 8 bytes of the milliseconds by which that clock was ahead of Redis', signed; from version 3 on |
//! | 1 | gap before this record |
//! | 8 | timestamp of the sample, milliseconds since 1970 UTC |
//! | … | number of the last reading |
//! | … | optional number: the last of the previous run |
//! | 4 | count of readings |
//! | … | each reading: device id as text, then 0 and a 64-bit float in °C, or 1 and a fault as text |
//!
//! The payload of the **position**, version 1: segment (8 bytes) and offset (8) up to which records
//! are acknowledged, the last assigned number (optional number), the gap that the next record
//! reports, and the newest segment (8) with its length (8) at the time of writing.
//!
//! The formats do not depend on what agents send to Redis. To change one, add a version with its
//! own reader: golden tests pin the bytes of every version. Segments from before the first line
//! said `2` held fields of stream entries without a version; no release wrote them, and there is
//! no reader for them.
//!
//! # Age
//!
//! `spool.max_age` counts on the spool's own clock: the time for which agents had the spool open. It
//! goes on from the newest record at each start. The host's clock does not count: one that is set to
//! 2038, or that jumps by a day after a start without a network, would drop all readings of an outage.
//! Time for which no agent runs does not count either, and `spool.max_bytes` bounds the spool anyway.
//!
//! # Recovery
//!
//! A segment is never added to after a restart or an error, so a torn record is always the last
//! one of its segment. At start the agent scans every segment:
//!
//! - A damaged record ends its segment: the rest is dropped and reported as the gap
//!   `spool_corrupt`.
//! - A segment that does not begin with `rackwatch spool` is renamed to `….segment.unreadable`, logged as an error, and
//!   reported as the gap `spool_corrupt`. The newest eight stay for a person.
//! - An empty or missing segment that the position knows of is logged, and reported as the gap `spool_corrupt`.
//! - A segment that cannot be read, of another format, or with a record of a newer version is
//!   skipped from there on. The log names the reason once, the next record reports the gap
//!   `spool_corrupt`, and the file stays on disk for a person, a repaired disk or a newer agent.
//! - The position is written at most once a second: after a crash some records are sent again with
//!   the same numbers. Without a readable position all records are.

mod codec;
mod error;
pub mod files;
mod handle;
mod opening;
mod position;
pub mod record;
mod segment;
pub mod segment_log;
mod worker;

pub use error::SpoolError;
pub use handle::{Opened, Spool};
pub use worker::SyncPolicy;
