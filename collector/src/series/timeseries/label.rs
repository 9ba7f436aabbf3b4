//! The values of labels.

use std::fmt::Write as _;

/// Characters that the module refuses in the value of a label: they have a meaning in its filters. `%`
/// stands for them, and so for itself.
const RESERVED: [char; 4] = ['(', ')', ',', '%'];

/// Encodes a label's value: reserved and control characters as `%` and two hexadecimal digits, so that
/// `B07 (rear)` becomes `B07 %28rear%29`.
pub(super) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for c in value.chars() {
        if RESERVED.contains(&c) || c.is_ascii_control() {
            // Writing to a String cannot fail.
            let _ok = write!(encoded, "%{:02X}", u32::from(c));
        } else {
            encoded.push(c);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reserved_characters_are_encoded() {
        for (value, encoded) in [
            ("B07", "B07"),
            ("Reihe 3, Rack Ä", "Reihe 3%2C Rack Ä"),
            ("B07 (rear)", "B07 %28rear%29"),
            ("50%\n", "50%25%0A"),
        ] {
            assert_eq!(encode(value), encoded);
        }
    }
}
