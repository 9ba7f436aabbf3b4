//! Lists in one field: their items joined by commas.
//!
//! A comma or a backslash in an item has a backslash before it. Items without either look as they are.

/// Joins `items`.
pub(super) fn join(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for c in item.as_ref().chars() {
            if matches!(c, ',' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// Returns the items of a list, without empty ones.
pub(super) fn split(text: &str) -> Vec<String> {
    let (mut items, mut item) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => items.push(std::mem::take(&mut item)),
            '\\' => item.extend(chars.next()),
            c => item.push(c),
        }
    }
    items.push(item);
    items.retain(|item| !item.is_empty());
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_commas_and_backslashes_are_escaped() {
        assert_eq!(join(["B07", "B08"]), "B07,B08");
        assert_eq!(join(["B07, left", r"a\b"]), r"B07\, left,a\\b");
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(split(r"a,,b\"), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn a_list_reads_back(items in prop::collection::vec("[a-c,\\\\ ]{1,5}", 0..5)) {
            prop_assert_eq!(split(&join(&items)), items);
        }
    }
}
