//! The wire: fields of stream entries, and the types that they stand for.
//!
//! Fields arrive from anyone, in any order and of any size. What cannot be decoded is a [`Reject`] with its
//! reason, never an error or a panic: it goes to the dead letters.

pub mod alert;
mod decoded;
pub mod entry;
pub mod field;
mod fields;
pub mod frame;
pub mod incident;
mod list;
pub mod loss;
mod provenance;
mod reason;

use serde::{Deserialize, Serialize};

pub use crate::sequence::{Gap, Seq};
pub use decoded::{Decoded, Reject};
pub use fields::Fields;
pub use provenance::Provenance;
pub use reason::{MAX_FIELD, MAX_FIELDS, Reason};

pub(crate) use fields::Lookup;

/// Format of the entries that agents write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryFormat {
    /// One reading per entry: easy to read by hand.
    #[default]
    Reading,
    /// All readings of a tick in one entry: about twenty times cheaper for Redis.
    Frame,
}

/// Decodes the fields of one entry of `raw_sensor_data`, in either format.
pub fn decode(fields: &Fields) -> Decoded {
    let fields = match Lookup::new(fields) {
        Ok(fields) => fields,
        Err(reason) => return decoded::rejected(reason),
    };
    if fields.has(field::READINGS) {
        frame::decode(&fields)
    } else {
        entry::decode(&fields)
    }
}
