//! The place of a key whose value is well-formed but invalid for the program.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::Place;
use super::locate::line_and_column;

/// A key in an array of tables, such as `rules[2].score`.
#[derive(Clone, Copy, Debug)]
pub struct TableKey<'a> {
    /// The name of the array.
    pub tables: &'a str,
    /// The number of the table, from 0.
    pub index: usize,
    /// The key in it.
    pub key: &'a str,
}

/// Returns the place of a key in `file`, or that of its table where the key is left out.
pub fn place_of(file: Option<&Path>, key: &TableKey<'_>) -> Place {
    let Some(file) = file else {
        return Place::Defaults;
    };
    let text = fs::read_to_string(file).unwrap_or_default();
    Place::File {
        file: file.to_path_buf(),
        at: offset(&text, key).map(|offset| line_and_column(&text, offset)),
    }
}

fn offset(text: &str, wanted: &TableKey<'_>) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut keys = root.get_ref().iter();
    let (_, tables) = keys.find(|(name, _)| name.get_ref() == wanted.tables)?;
    let DeValue::Array(tables) = tables.get_ref() else {
        return None;
    };
    let table = tables.get(wanted.index)?;
    let start = table.span().start;
    let DeValue::Table(table) = table.get_ref() else {
        return Some(start);
    };
    let mut keys = table.iter();
    let key = keys.find(|(name, _)| name.get_ref() == wanted.key);
    Some(key.map_or(start, |(name, _)| name.span().start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_table() {
        let text = "[[rules]]\ntype = 'a'\n\n[[rules]]\ntype = 'b'\n  score = 3\n";
        let place = |index, key| {
            let tables = "rules";
            let offset = offset(text, &TableKey { tables, index, key })?;
            Some(line_and_column(text, offset))
        };
        assert_eq!(place(0, "type"), Some((2, 1)));
        assert_eq!(place(1, "score"), Some((6, 3)));
        assert_eq!(place(1, "rate"), Some((4, 1)), "the table itself");
        assert_eq!(place(2, "rate"), None);
    }
}
