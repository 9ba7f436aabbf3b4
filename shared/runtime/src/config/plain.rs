//! Messages of deserializers in plain English.
//!
//! In: `invalid type: string "a", expected u16`. Out: `expected a whole number from 0 to 65535`. The value is left
//! out: the error shows it apart, or hides it.

/// Returns a message without words of Rust and without the value.
pub(super) fn plain(message: &str) -> String {
    let begins = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ];
    if begins.iter().any(|begin| message.starts_with(begin))
        && let Some((_, expected)) = message.rsplit_once(", expected ")
    {
        return format!("expected {}", requirement(expected));
    }
    match message {
        "invalid socket address syntax" => format!("expected {ADDRESS}"),
        "wanted string or table" => format!("expected {TEXT}"),
        _ => message.to_owned(),
    }
}

const ADDRESS: &str = "an address with a port, such as \"127.0.0.1:8080\"";
const TEXT: &str = "text in quotes";

/// Returns the words for a type that serde expects.
fn requirement(expected: &str) -> String {
    let (from, number) = match expected.strip_prefix("a nonzero ") {
        Some(number) => (1, number),
        None => (0, expected),
    };
    let up_to = |most: u32| format!("a whole number from {from} to {most}");
    match number {
        "u8" => up_to(u8::MAX.into()),
        "u16" => up_to(u16::MAX.into()),
        "u32" => up_to(u32::MAX),
        "u64" | "usize" => format!("a whole number of at least {from}"),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "a borrowed string" | "path string" | "string only" | "string or table" => {
            TEXT.to_owned()
        }
        "a sequence" => "a list in brackets".to_owned(),
        "a map" => "a table".to_owned(),
        "socket address" => ADDRESS.to_owned(),
        name if name.starts_with("struct ") => "a table".to_owned(),
        name if name.starts_with("enum ") => TEXT.to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_words_of_rust() {
        for (message, expected) in [
            (
                "invalid type: string \"a\", expected u16",
                "expected a whole number from 0 to 65535",
            ),
            (
                "invalid value: integer `0`, expected a nonzero usize",
                "expected a whole number of at least 1",
            ),
            (
                "invalid value: integer `300`, expected u8",
                "expected a whole number from 0 to 255",
            ),
            (
                "invalid type: integer `5`, expected a string",
                "expected text in quotes",
            ),
            (
                "invalid type: map, expected a sequence",
                "expected a list in brackets",
            ),
            (
                "invalid type: string \"a\", expected struct RedisConfig",
                "expected a table",
            ),
            (
                "invalid type: integer `1`, expected a boolean",
                "expected true or false",
            ),
            (
                "unknown variant `x`, expected `text` or `json`",
                "expected `text` or `json`",
            ),
            ("expected at least 500ms", "expected at least 500ms"),
        ] {
            assert_eq!(plain(message), expected);
        }
    }
}
