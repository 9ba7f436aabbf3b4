//! Aligned columns for people.

/// Rows below a line of headings, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Columns of numbers stand to the right.
    right_from: usize,
}

impl Table {
    /// A table whose columns from number `right_from` on hold numbers.
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

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The text, every line with its end.
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
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
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
}
