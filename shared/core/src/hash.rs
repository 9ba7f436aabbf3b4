//! Hashes for stored ids and fingerprints: the same on every platform and in every version, unlike std's.

/// Returns the 64-bit FNV-1a hash (Fowler, Noll, Vo) of the parts, one after the other.
pub(crate) fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Returns the id of the parts, such as an alert's or an incident's: sixteen hexadecimal digits.
///
/// People see and type the first six digits, so every digit must depend on all input. FNV-1a alone leaves
/// the upper bits poorly mixed.
pub fn id<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    hex(mix(fnv1a(parts)))
}

/// Returns the first six digits of an id: the form that people read and type.
pub(crate) fn short(id: &str) -> &str {
    id.get(..6).unwrap_or(id)
}

/// Returns the id of the parts without the final mix: the form of loss ids, which must not change.
pub(crate) fn unmixed_id<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    hex(fnv1a(parts))
}

/// Applies the first half of `MurmurHash3`'s 64-bit finalizer.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_matches_the_published_examples() {
        assert_eq!(fnv1a([&b""[..]]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a([&b"foo"[..], &b"bar"[..]]), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn ids_never_change() {
        // Receivers drop repeats by these ids, whatever the version of the sender.
        assert_eq!(unmixed_id([&b"foobar"[..]]), "85944171f73967e8");
        assert_eq!(id([&b"foobar"[..]]), "6916ce8b48d4bc55");
        assert_eq!(id([&b"foo"[..], &b"bar"[..]]), id([&b"foobar"[..]]));
    }
}
