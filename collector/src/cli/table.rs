//! Tables of aligned columns.

use std::borrow::Cow;

use rackwatch_core::name::printable;

/// A heading and rows, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Number of the first right-aligned column.
    right_from: usize,
}

impl Table {
    /// Creates an empty table whose columns from `right_from` on are right-aligned, for numbers.
    pub(super) fn new(headings: &[&str], right_from: usize) -> Self {
        let headings = headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect();
        Self {
            headings,
            rows: Vec::new(),
            right_from,
        }
    }

    /// Appends a row, which may have fewer cells than headings. Invisible characters are escaped, so that a name
    /// cannot command the terminal.
    pub(super) fn push(&mut self, mut row: Vec<String>) {
        for cell in &mut row {
            if let Cow::Owned(escaped) = printable(cell) {
                *cell = escaped;
            }
        }
        self.rows.push(row);
    }

    /// Returns the text, each line with a line break.
    pub(super) fn text(&self) -> String {
        let all = || std::iter::once(&self.headings).chain(&self.rows);
        let mut widths = vec![0; self.headings.len()];
        for row in all() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in all() {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if column < self.right_from {
                        format!("{cell:<width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_spaces() {
        let mut table = Table::new(&["device", "rack", "°C"], 2);
        table.push(vec!["a".into(), "B07".into(), "21.5".into()]);
        table.push(vec!["inlet-1".into(), String::new(), "7.0".into()]);
        assert_eq!(
            table.text(),
            "device   rack    °C\n\
             a        B07   21.5\n\
             inlet-1         7.0\n"
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut table = Table::new(&["device"], 1);
        table.push(vec!["a\u{1b}[31m".into()]);
        assert_eq!(table.text(), "device\na\\u{1b}[31m\n");
    }
}
