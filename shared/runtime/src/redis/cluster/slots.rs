//! The map of slots: which master has which of the 16,384, from `CLUSTER SLOTS`.

use std::fmt;

use redis::Value;

/// Redis Cluster specification: a key's slot is CRC-16/XMODEM modulo 16,384.
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
const SLOTS: u16 = 16_384;

/// The address of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::redis) struct Address {
    pub(in crate::redis) host: String,
    pub(in crate::redis) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The masters by their slots.
#[derive(Debug, Default)]
pub(in crate::redis) struct Slots {
    /// First slot, last slot and master, sorted.
    ranges: Vec<(u16, u16, Address)>,
    /// Every node in the reply, replicas included.
    nodes: Vec<Address>,
}

impl Slots {
    /// Parses the reply of the node at `answering`; none if it is malformed.
    pub(super) fn parse(answer: &Value, answering: &Address) -> Option<Self> {
        let Value::Array(items) = answer else {
            return None;
        };
        let mut slots = Self::default();
        for item in items {
            let Value::Array(item) = item else {
                return None;
            };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = item.as_slice() else {
                return None;
            };
            let mut nodes = nodes.iter().map(|node| address(node, answering));
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            // The slots of a master without a known address have no master here.
            if let Some(Some(master)) = nodes.next() {
                slots.ranges.push((first, last, master.clone()));
                slots.nodes.push(master);
            }
            slots.nodes.extend(nodes.flatten());
        }
        slots.ranges.sort_by_key(|(first, ..)| *first);
        let mut seen = Vec::new();
        slots.nodes.retain(|node| {
            let is_new = !seen.contains(node);
            if is_new {
                seen.push(node.clone());
            }
            is_new
        });
        Some(slots)
    }

    /// Returns the master of `key`; none if its slot has none.
    pub(super) fn master_of(&self, key: &[u8]) -> Option<&Address> {
        let slot = slot(key);
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, master) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(master)
    }

    /// Returns every master once.
    pub(super) fn masters(&self) -> Vec<Address> {
        let mut masters: Vec<Address> = Vec::new();
        for (.., master) in &self.ranges {
            if !masters.contains(master) {
                masters.push(master.clone());
            }
        }
        masters
    }

    /// Returns every node once.
    pub(super) fn nodes(&self) -> &[Address] {
        &self.nodes
    }
}

/// Returns the slot of a key: of the text in its first braces, if there is any.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    CRC.checksum(tag.unwrap_or(key)) % SLOTS
}

fn address(node: &Value, answering: &Address) -> Option<Address> {
    let Value::Array(node) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = node.as_slice() else {
        return None;
    };
    let host = match host {
        // The node does not know its address: it is the one that was asked.
        Value::Nil => answering.host.clone(),
        Value::BulkString(host) => match std::str::from_utf8(host).ok()? {
            "" => answering.host.clone(),
            "?" => return None,
            host => host.to_owned(),
        },
        _ => return None,
    };
    let port = u16::try_from(*port).ok()?;
    Some(Address { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        let host = host.to_owned();
        Address { host, port }
    }

    #[test]
    fn slots_of_keys() {
        // What CLUSTER KEYSLOT of Redis 7.0 says.
        assert_eq!(slot(b"123456789"), 12739);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"sensor:inrow-{foo}-1:temp"), 12182);
        assert_eq!(slot(b"{}foo"), slot(b"{}foo"));
        assert_ne!(slot(b"{}foo"), slot(b""));
    }

    #[test]
    fn an_answer_is_understood() {
        let text = b"*2\r\n\
            *4\r\n:5461\r\n:16383\r\n*2\r\n$1\r\nb\r\n:2\r\n*2\r\n$1\r\nc\r\n:3\r\n\
            *3\r\n:0\r\n:5460\r\n*2\r\n$-1\r\n:1\r\n";
        let answer = redis::parse_redis_value(text).unwrap();
        let slots = Slots::parse(&answer, &at("me", 1)).unwrap();
        assert_eq!(slots.master_of(b"foo"), Some(&at("b", 2)));
        assert_eq!(slots.masters(), [at("me", 1), at("b", 2)]);
        assert_eq!(slots.nodes().len(), 3);
        let low = b"*1\r\n*3\r\n:0\r\n:5460\r\n*2\r\n$1\r\n?\r\n:1\r\n";
        let answer = redis::parse_redis_value(low).unwrap();
        let slots = Slots::parse(&answer, &at("me", 1)).unwrap();
        assert_eq!(slots.master_of(b"bar"), None, "its address is not known");
        assert!(Slots::parse(&Value::Nil, &at("me", 1)).is_none());
    }
}
