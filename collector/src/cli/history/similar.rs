//! Suggestions for mistyped names.

/// Maximum number of suggestions: more would not fit into one line.
const MAX_SUGGESTIONS: usize = 5;

/// Returns the names that differ from `name` in at most a third of its letters, most similar first.
pub(super) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let limit = name.chars().count().div_ceil(3);
    let mut candidates: Vec<(usize, &str)> = known
        .map(|known| (distance(&name, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    candidates.sort_unstable();
    candidates
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, known)| known)
        .collect()
}

/// Returns the Levenshtein distance: the number of letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_come_first() {
        assert_eq!(distance("kitten", "sitting"), 3);
        let known = ["inlet-B07-1", "inlet-B07-2", "inlet-C01-1", "cpu-host9-0"];
        assert_eq!(
            similar("Inlet-b07-2", known.into_iter()),
            ["inlet-B07-2", "inlet-B07-1", "inlet-C01-1"]
        );
        assert!(similar("x", known.into_iter()).is_empty());
    }
}
