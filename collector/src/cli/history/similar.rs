//! Which known names somebody may have meant.

/// So many are named at most.
const MOST: usize = 5;

/// The names most like `name`, the most similar first; none that has little to do with it.
pub(super) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let limit = name.chars().count().div_ceil(3);
    let mut near: Vec<(usize, &str)> = known
        .map(|known| (changes(&name, &known.to_lowercase()), known))
        .filter(|(changes, _)| *changes <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter()
        .take(MOST)
        .map(|(_, known)| known)
        .collect()
}

/// How many letters must be put in, taken out or replaced to make one out of the other
/// (Levenshtein).
fn changes(from: &str, to: &str) -> usize {
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
    fn near_names_come_first() {
        assert_eq!(changes("kitten", "sitting"), 3);
        let known = ["inlet-B07-1", "inlet-B07-2", "inlet-C01-1", "cpu-host9-0"];
        assert_eq!(
            similar("Inlet-b07-2", known.into_iter()),
            ["inlet-B07-2", "inlet-B07-1", "inlet-C01-1"]
        );
        assert!(similar("x", known.into_iter()).is_empty());
    }
}
