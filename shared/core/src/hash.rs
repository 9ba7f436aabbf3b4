//! A hash that is the same on every platform and in every version, unlike std's: for ids and
//! fingerprints that are stored.

/// 64-bit FNV-1a (Fowler, Noll, Vo) of the parts, one after the other.
pub(crate) fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn the_published_examples_hold() {
        assert_eq!(fnv1a([&b""[..]]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a([&b"foo"[..], &b"bar"[..]]), 0x8594_4171_f739_67e8);
    }
}
