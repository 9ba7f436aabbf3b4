//! Sharing partitions among collectors: who is to own how many. Pure.
//!
//! Every collector comes to the same numbers from the same list, so nobody has to decide for the
//! others: who has too many gives up the surplus, who has too few takes what is free.

/// How many of `partitions` the collector `me` is to own. `collectors` are all that run, the oldest
/// first; the oldest get what does not divide evenly, so that a newcomer moves as little as can be.
/// None for one that is not among them.
pub fn share(me: &str, collectors: &[String], partitions: usize) -> usize {
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
        fn all_partitions_are_shared_out_evenly(count in 1usize..9, partitions in 0usize..70) {
            let names: Vec<_> = (0..count).map(|n| format!("collector-{n}")).collect();
            let shares: Vec<_> = names.iter().map(|name| share(name, &names, partitions)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), partitions);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn a_stranger_gets_nothing() {
        assert_eq!(share("b", &["a".to_owned()], 4), 0);
        assert_eq!(share("b", &[], 4), 0);
    }
}
