//! Names that others choose: of racks, zones, agents, sensors.
//!
//! In: text from descriptions, entries and files. Out: the same text, or the reason why it is no name. A name is
//! printed into one line of a log or a file, so it must not end that line, or change how the rest of it looks.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The longest name, in bytes: names become parts of Redis keys and metric labels.
pub const MAX_LEN: usize = 128;

/// The reason why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but spaces.
    #[error("it is blank")]
    Blank,
    /// More than [`MAX_LEN`] bytes.
    #[error("it has {0} bytes, more than {MAX_LEN}")]
    TooLong(usize),
    /// A control character, or one that only changes how others look.
    #[error("it has the invisible character {0:?}")]
    Invisible(char),
}

/// Checks that `text` has 1 to [`MAX_LEN`] bytes, no invisible character, and not only spaces.
///
/// # Errors
///
/// Fails with the first reason against it.
pub fn check(text: &str) -> Result<(), InvalidName> {
    if text.len() > MAX_LEN {
        return Err(InvalidName::TooLong(text.len()));
    }
    if let Some(c) = text.chars().find(|c| is_invisible(*c)) {
        return Err(InvalidName::Invisible(c));
    }
    if text.trim().is_empty() {
        return Err(InvalidName::Blank);
    }
    Ok(())
}

/// Returns whether a character has no shape of its own: it controls the terminal, ends the line, reverses the
/// direction of the text, or makes two names look alike.
pub fn is_invisible(c: char) -> bool {
    // Control characters of ASCII are known without the table, and nearly all text is ASCII.
    match c {
        '\u{20}'..='\u{7e}' => false,
        _ => matches!(
            c.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        ),
    }
}

/// Returns the text with its invisible characters escaped, such as `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Makes a name of text from hardware: invisible characters become spaces, and the text is cut after [`MAX_LEN`] bytes.
pub fn cleaned(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_LEN && !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let visible = text.chars().map(|c| if is_invisible(c) { ' ' } else { c });
    let mut name = String::with_capacity(text.len().min(MAX_LEN));
    for c in visible {
        if name.len() + c.len_utf8() > MAX_LEN {
            break;
        }
        name.push(c);
    }
    Cow::Owned(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_and_short() {
        for name in [
            "B07",
            "Rack 7, left",
            "Halle Süd",
            "機房",
            "a\\b",
            "é\u{301}",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert_eq!(check(""), Err(InvalidName::Blank));
        assert_eq!(check(" \u{a0}"), Err(InvalidName::Blank));
        assert_eq!(check(&"é".repeat(65)), Err(InvalidName::TooLong(130)));
        for c in [
            '\n', '\r', '\t', '\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', // control
            '\u{200b}', '\u{200d}', '\u{feff}', '\u{ad}', // no width
            '\u{202e}', '\u{2066}', '\u{2069}', '\u{200f}', // direction
            '\u{2028}', '\u{2029}', // ends of lines
        ] {
            assert_eq!(check(&format!("B{c}7")), Err(InvalidName::Invisible(c)));
        }
    }

    #[test]
    fn printed_text_stays_on_its_line() {
        assert_eq!(
            printable("B07\nforged\u{1b}[31m\u{202e}"),
            "B07\\nforged\\u{1b}[31m\\u{202e}"
        );
        assert!(matches!(printable("Süd 7"), Cow::Borrowed("Süd 7")));
    }

    #[test]
    fn text_of_hardware_becomes_a_name() {
        assert_eq!(cleaned("Front\n\"upper\"\u{1b} "), "Front \"upper\"");
        assert_eq!(cleaned(&"é".repeat(80)), "é".repeat(64));
        assert_eq!(cleaned("Inlet Temp"), "Inlet Temp");
        assert_eq!(cleaned("\n"), "");
    }
}
