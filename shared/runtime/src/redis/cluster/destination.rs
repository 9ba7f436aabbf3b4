//! The destination of a command in a cluster, for the commands that Rackwatch sends.

use redis::{Arg, Cmd};

/// The destination of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination<'c> {
    /// The master that has this key.
    Key(&'c [u8]),
    /// One node: the command names no key.
    Home,
    /// Every master: each stores scripts for itself.
    Everywhere,
}

impl<'c> Destination<'c> {
    /// Returns the destination of a command.
    pub(super) fn of(command: &'c Cmd) -> Self {
        let mut words = command.args_iter().filter_map(|arg| match arg {
            Arg::Simple(word) => Some(word),
            _ => None,
        });
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let key = match name.as_slice() {
            b"SCRIPT" => return Self::Everywhere,
            b"PING" | b"INFO" | b"TIME" | b"CLUSTER" | b"CONFIG" | b"DBSIZE" | b"ACL"
            | b"CLIENT" | b"COMMAND" | b"MODULE" | b"WAIT" => None,
            // The script or its hash, the number of keys, the first key.
            b"EVAL" | b"EVALSHA" => match words.nth(1) {
                Some(b"0") | None => None,
                Some(_) => words.next(),
            },
            b"XREAD" | b"XREADGROUP" => words
                .by_ref()
                .find(|word| word.eq_ignore_ascii_case(b"STREAMS"))
                .and_then(|_| words.next()),
            b"XGROUP" | b"XINFO" | b"OBJECT" | b"MEMORY" => words.nth(1),
            _ => words.next(),
        };
        key.map_or(Self::Home, Self::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found() {
        let command = |line: &str| {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(words.collect::<Vec<_>>());
            command
        };
        for (line, expected) in [
            ("XADD raw:{1} * a b", Destination::Key(b"raw:{1}")),
            ("EVALSHA 12ab 2 a b c", Destination::Key(b"a")),
            ("EVAL script 0 c", Destination::Home),
            (
                "XREADGROUP GROUP g c COUNT 5 BLOCK 10 STREAMS s >",
                Destination::Key(b"s"),
            ),
            ("xgroup create s g 0", Destination::Key(b"s")),
            ("TS.MADD a 1 2", Destination::Key(b"a")),
            ("INFO replication", Destination::Home),
            ("SCRIPT LOAD x", Destination::Everywhere),
        ] {
            assert_eq!(Destination::of(&command(line)), expected, "{line}");
        }
    }
}
