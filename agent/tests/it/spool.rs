//! The spool: nothing of what was synced is lost, whatever happens to the disk or the program.

mod bad_disk;
mod disk;
mod log;
mod outage;
