//! Golden files: what a program wrote when it was right, kept beside its tests.
//!
//! In: a text and the name of a file below `tests/golden` of the calling crate. A difference fails the
//! test. With `RACKWATCH_UPDATE_GOLDEN=1` the file is rewritten instead.

use std::fs;
use std::path::Path;

/// The environment variable that has golden files rewritten.
const UPDATE: &str = "RACKWATCH_UPDATE_GOLDEN";

/// Compares a text with the file of that name below `tests/golden` of the calling crate.
///
/// # Panics
///
/// When they differ, with the first line that does and the command that rewrites the file.
#[macro_export]
macro_rules! assert_golden {
    ($name:expr, $actual:expr) => {
        $crate::compare_with_golden(env!("CARGO_MANIFEST_DIR"), $name, &$actual)
    };
}

/// Compares `actual` with `tests/golden/<name>` of the crate in `folder`; see [`assert_golden`].
///
/// # Panics
///
/// When they differ, or the file cannot be read or written.
pub fn compare_with_golden(folder: &str, name: &str, actual: &str) {
    let path = Path::new(folder).join("tests/golden").join(name);
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        rewrite(&path, actual);
    } else {
        compare(&path, actual);
    }
}

fn compare(path: &Path, actual: &str) {
    let expected = fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}; {UPDATE}=1 writes it",
            path.display()
        )
    });
    if let Some(difference) = first_difference(&expected, actual) {
        panic!(
            "{} differs at {difference}\nif the change is meant, run the test with {UPDATE}=1 and \
             commit the file",
            path.display()
        );
    }
}

/// Writes the file only where it changes, so that its modification time says something.
fn rewrite(path: &Path, actual: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == actual) {
        return;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("the folder of golden files can be made");
    }
    fs::write(path, actual).expect("the golden file can be written");
}

/// Describes the first line that differs; none where the texts are equal.
fn first_difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (mut left, mut right) = (expected.split('\n'), actual.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        let pair = (left.next(), right.next());
        if pair.0 == pair.1 && pair.0.is_some() {
            continue;
        }
        let shown = |line: Option<&str>| line.map_or("(end of file)".to_owned(), str::to_owned);
        return Some(format!(
            "line {number}\n  expected: {}\n  actual:   {}",
            shown(pair.0),
            shown(pair.1)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            first_difference("a\nb\n", "a\nc\n").as_deref(),
            Some("line 2\n  expected: b\n  actual:   c")
        );
        assert_eq!(
            first_difference("a\n", "a\nb\n").as_deref(),
            Some("line 2\n  expected: \n  actual:   b")
        );
        assert_eq!(
            first_difference("a", "a\n").as_deref(),
            Some("line 2\n  expected: (end of file)\n  actual:   ")
        );
    }

    #[test]
    #[should_panic(expected = "RACKWATCH_UPDATE_GOLDEN=1")]
    fn a_difference_fails_and_says_how_to_update() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("golden/a.txt");
        rewrite(&file, "one\n");
        compare(&file, "two\n");
    }
}
