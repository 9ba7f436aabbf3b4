//! Temperatures in saved state as one text of differences: as a list of numbers they would be most of the state of
//! a device.
//!
//! The text has one item for each value. An item is the difference from the value before, the first one from zero.
//! `A` stands for 0, `B` for +1, `C` for -1 and so on to `Y` for -12; any other difference is in decimal and ends
//! with `Z`. A dot stands for a missing value.

use std::fmt::Write;

/// The largest difference that a single letter stands for.
const LETTERS: i32 = 12;

/// A text that is not one of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the values of a detector")]
pub struct NotDifferences;

/// Returns the text of these values.
pub(super) fn text(values: impl IntoIterator<Item = Option<i16>>) -> String {
    let (mut text, mut before) = (String::new(), 0);
    for value in values {
        let Some(value) = value else {
            text.push('.');
            continue;
        };
        let difference = i32::from(value) - before;
        before = i32::from(value);
        let code = if difference > 0 {
            difference * 2 - 1
        } else {
            -difference * 2
        };
        match u8::try_from(code).ok().filter(|_| code <= LETTERS * 2) {
            Some(code) => text.push(char::from(b'A' + code)),
            // Writing to a String cannot fail.
            None => drop(write!(text, "{difference}Z")),
        }
    }
    text
}

/// Returns the values that a text stands for, at `most` so many.
///
/// # Errors
///
/// If the text is not one of [`text`], or has more values.
pub(super) fn values(text: &str, most: usize) -> Result<Vec<Option<i16>>, NotDifferences> {
    let (mut values, mut before) = (Vec::with_capacity(most), 0_i32);
    let mut decimal = String::new();
    for letter in text.bytes() {
        let difference = match letter {
            b'.' => None,
            b'Z' => {
                let number = decimal.parse::<i32>().map_err(|_| NotDifferences)?;
                decimal.clear();
                Some(number)
            }
            b'A'..=b'Y' => {
                let code = i32::from(letter - b'A');
                Some(if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -code / 2
                })
            }
            _ => {
                decimal.push(char::from(letter));
                continue;
            }
        };
        if !decimal.is_empty() || values.len() == most {
            return Err(NotDifferences);
        }
        values.push(match difference {
            None => None,
            Some(difference) => {
                before = before.checked_add(difference).ok_or(NotDifferences)?;
                Some(i16::try_from(before).map_err(|_| NotDifferences)?)
            }
        });
    }
    if decimal.is_empty() {
        Ok(values)
    } else {
        Err(NotDifferences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_is_a_letter_and_a_great_one_a_number() {
        let values = [2200, 2201, 2200, 2212, 2200, 2213, 2200].map(Some);
        assert_eq!(text(values), "2200ZBCXY13Z-13Z");
    }

    #[test]
    fn every_difference_reads_back_as_it_was_written() {
        for difference in -30..=30 {
            let written = [Some(-10), None, Some(difference - 10), Some(-10), None];
            let text = text(written);
            assert_eq!(values(&text, 5).unwrap(), written, "{difference}: {text}");
        }
    }

    #[test]
    fn a_text_that_no_state_has_is_refused() {
        let count = |text: &str| values(text, 50).map(|values| values.len());
        assert_eq!(count("2200ZA."), Ok(3));
        assert_eq!(count(&".".repeat(50)), Ok(50));
        for wrong in [
            "22", "22A", "22.", "Z", "A1", "--1Z", "a", "40000Z", "32767ZB",
        ] {
            assert_eq!(count(wrong), Err(NotDifferences), "{wrong}");
        }
        assert_eq!(count(&".".repeat(51)), Err(NotDifferences));
    }
}
