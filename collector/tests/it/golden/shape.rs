//! Removes from a text or a document all that changes from run to run.

use std::fmt::Write as _;

use serde_json::Value;

/// Lists the paths of a document and the types of what is there: a line each, in the order of names.
pub fn of_json(value: &Value) -> String {
    let mut paths = std::collections::BTreeMap::new();
    walk(value, String::new(), &mut paths);
    let mut text = String::new();
    for (path, types) in paths {
        writeln!(text, "  {path}: {}", types.join(" or ")).unwrap();
    }
    text
}

type Paths = std::collections::BTreeMap<String, Vec<&'static str>>;

fn walk(value: &Value, path: String, paths: &mut Paths) {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            for item in items {
                walk(item, format!("{path}[]"), paths);
            }
            "array"
        }
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, format!("{path}.{name}"), paths);
            }
            "object"
        }
    };
    let types = paths.entry(path).or_default();
    if !types.contains(&name) {
        types.push(name);
        types.sort_unstable();
    }
}

/// Replaces points in time and ids.
///
/// Times are thirteen digits, or `2026-11-23 13:02:11` with what follows; ids are sixteen hexadecimal
/// digits, or six in brackets or at the start of a line.
pub fn of_text(text: &str) -> String {
    let mut masked = String::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').map(word).collect();
        let line = words.join(" ").replace("<date> <clock>", "<time>");
        writeln!(masked, "{}", line.trim_end()).unwrap();
    }
    masked
}

fn word(word: &str) -> String {
    let is_date = word.len() == 10 && fits(word, "dddd-dd-dd");
    if is_date {
        return "<date>".to_owned();
    }
    if word.get(..8).is_some_and(|clock| fits(clock, "dd:dd:dd")) {
        return "<clock>".to_owned();
    }
    let bare = word.trim_matches(['[', ']']);
    // A field such as `begun:<id>`.
    let bare = bare.strip_prefix("begun:").unwrap_or(bare);
    let is_hex = |count| bare.len() == count && bare.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex(16) || is_hex(6) {
        return word.replace(bare, "<id>");
    }
    if bare.len() == 13 && bare.bytes().all(|b| b.is_ascii_digit()) {
        return word.replace(bare, "<ms>");
    }
    word.to_owned()
}

/// Returns whether a text has digits where the pattern has `d`, and equals it elsewhere.
fn fits(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(b, p)| {
            if p == b'd' {
                b.is_ascii_digit()
            } else {
                b == p
            }
        })
}

/// Replaces every number.
pub fn without_numbers(text: &str) -> String {
    let mut masked = String::new();
    let mut digits = false;
    for c in text.chars() {
        let is_digit = c.is_ascii_digit() || (digits && c == '.');
        if is_digit && !digits {
            masked.push('N');
        }
        if !is_digit {
            masked.push(c);
        }
        digits = is_digit;
    }
    masked
}

/// Rounds all fractions to four places: mathematical functions differ in the last digits between systems.
pub fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap();
            ((number * 10_000.0).round() / 10_000.0).into()
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(name, v)| (name, rounded(v))).collect())
        }
        other => other,
    }
}
