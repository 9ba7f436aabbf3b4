//! The spool: no synced reading is lost, whatever happens to the disk or the program.

mod bad_disk;
mod clock;
mod disk;
mod outage;
mod segment_log;
mod versions;
