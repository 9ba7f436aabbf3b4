//! Numbers and lists in sentences.

use std::fmt::Display;

/// Returns a number with its noun: `1 reading`, `2 readings`. `noun` is the singular; its plural is regular.
pub fn count(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    match (number.as_str(), noun.strip_suffix('y')) {
        ("1", _) => format!("1 {noun}"),
        (_, Some(stem)) if !noun.ends_with("ay") => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns a list with `word` before its last item: `a, b or c`.
pub fn list(items: &[impl AsRef<str>], word: &str) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} {word} {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "reading"), "1 reading");
        assert_eq!(count(0, "reading"), "0 readings");
        assert_eq!(count(2, "loss ledger entry"), "2 loss ledger entries");
        assert_eq!(count(2, "day"), "2 days");
    }

    #[test]
    fn lists_have_commas_and_a_word() {
        assert_eq!(list(&["a"], "or"), "a");
        assert_eq!(list(&["a", "b"], "or"), "a or b");
        assert_eq!(list(&["a", "b", "c"], "and"), "a, b and c");
    }
}
