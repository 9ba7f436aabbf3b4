//! Assignment: how many partitions each collector owns. Pure.
//!
//! In: the list of running collectors. Out: a number for each. Every collector computes the same
//! numbers from the same list, so none has to decide for the others: a collector with too many
//! gives up the surplus, and one with too few takes what is free.

/// Returns how many of `partitions` the collector `me` should own; 0 if `me` is not in
/// `collectors`. The list is sorted by age, the oldest first. The oldest get what does not divide
/// evenly, so that a new collector moves as few partitions as possible.
pub(crate) fn assigned(me: &str, collectors: &[String], partitions: usize) -> usize {
    let Some(rank) = collectors.iter().position(|name| name == me) else {
        return 0;
    };
    let each = partitions / collectors.len();
    each + usize::from(rank < partitions % collectors.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn partitions_are_divided_evenly(count in 1usize..9, partitions in 0usize..70) {
            let names: Vec<_> = (0..count).map(|n| format!("collector-{n}")).collect();
            let counts: Vec<_> = names.iter().map(|name| assigned(name, &names, partitions)).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn an_unknown_collector_gets_none() {
        assert_eq!(assigned("b", &["a".to_owned()], 4), 0);
        assert_eq!(assigned("b", &[], 4), 0);
    }
}
