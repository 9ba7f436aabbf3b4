//! Fingerprints: a hash of all parameters of a detector, the same in every build.
//!
//! Saved state fits only the parameters under which it grew. The encoding is explicit, so that a renamed
//! field or a new compiler changes nothing: a leading `VERSION`, then each value in the order in
//! which the detector writes it.
//!
//! | value | bytes |
//! | --- | --- |
//! | text | its length as a number, then UTF-8 |
//! | number | the eight bytes of an IEEE 754 double, most significant first |
//! | duration | milliseconds, as a number |
//! | absent | 0 |
//! | present | 1, then the value |

use std::time::Duration;

use crate::hash::fnv1a;

/// Counts up when the encoding changes: all saved detector state then starts cold.
const VERSION: u8 = 1;

/// The bytes of a fingerprint while they are written.
#[derive(Clone, Debug)]
pub struct SpecFingerprint {
    bytes: Vec<u8>,
}

impl SpecFingerprint {
    /// Starts the fingerprint of a detector of the kind `name`.
    pub fn of_kind(name: &str) -> Self {
        let mut begun = Self {
            bytes: vec![VERSION],
        };
        begun.text(name);
        begun
    }

    /// Adds a text, preceded by its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as f64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Adds a number.
    pub fn number(&mut self, number: f64) {
        // Adding zero turns -0.0 into 0.0: equal numbers have equal bytes.
        self.bytes.extend_from_slice(&(number + 0.0).to_be_bytes());
    }

    /// Adds a duration.
    pub fn duration(&mut self, duration: Duration) {
        self.number(duration.as_millis() as f64);
    }

    /// Adds each of `values` as present or absent.
    pub fn numbers(&mut self, values: impl IntoIterator<Item = Option<f64>>) {
        for value in values {
            self.bytes.push(u8::from(value.is_some()));
            if let Some(value) = value {
                self.number(value);
            }
        }
    }

    /// Returns the hash of all that was added.
    pub fn finish(&self) -> u64 {
        fnv1a([self.bytes.as_slice()])
    }
}
