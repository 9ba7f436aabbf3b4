//! The remedy for an error: another connection, another try, or an operator.

use redis::{ErrorKind, RedisError};

/// The action that an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Open another connection: this one is broken, and the command may have run.
    Reconnect,
    /// Send the command again after a while, on the same connection: Redis cannot run it now.
    RetryLater,
    /// Change the command or the settings: it would fail the same way again.
    Fatal,
}

/// Returns the remedy for `error`.
///
/// After a lost connection or a timeout the command may have run, so a write that is sent again must
/// be harmless when it comes twice.
pub fn remedy(error: &RedisError) -> Remedy {
    match code(error).as_deref() {
        Some(
            "READONLY" | "LOADING" | "OOM" | "BUSY" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN"
            | "ASK" | "MISCONF" | "NOREPLICAS" | "UNBLOCKED",
        ) => Remedy::RetryLater,
        // A new connection logs in with the changed password, or reports that it cannot; and it reads
        // the new place of a moved slot.
        Some("NOAUTH" | "WRONGPASS" | "MOVED") => Remedy::Reconnect,
        Some(_) => Remedy::Fatal,
        None => match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => Remedy::Reconnect,
            _ => Remedy::Fatal,
        },
    }
}

/// Returns whether the next connection may lead to another server, or to one that lost data: after a
/// broken connection, and if the master has become a replica.
pub fn may_be_another(error: &RedisError) -> bool {
    remedy(error) == Remedy::Reconnect || code(error).as_deref() == Some("READONLY")
}

/// Returns whether Redis refused a write because it is at its `maxmemory`.
pub fn is_out_of_memory(error: &RedisError) -> bool {
    code(error).as_deref() == Some("OOM")
}

/// Returns whether the consumer group, or its stream, does not exist.
pub fn is_no_group(error: &RedisError) -> bool {
    code(error).as_deref() == Some("NOGROUP")
}

/// Returns whether a key holds another type than the command is for. Within a script, Redis before 7 puts its own words
/// before the code.
pub fn is_wrong_type(error: &RedisError) -> bool {
    code(error).as_deref() == Some("WRONGTYPE") || error.to_string().contains("WRONGTYPE")
}

/// Returns whether the consumer group to create exists already. Some servers that imitate Redis put
/// `ERR` before the code.
pub fn is_group_there(error: &RedisError) -> bool {
    code(error).as_deref() == Some("BUSYGROUP")
        || error
            .detail()
            .is_some_and(|detail| detail.starts_with("BUSYGROUP"))
}

/// Returns the code of an error, its first word; in a pipeline that of the first failed command.
pub(super) fn code(error: &RedisError) -> Option<String> {
    // A clone shares its contents, and nothing else leads to the codes in a pipeline's error.
    match error.clone().into_server_errors().as_deref() {
        Some([(_, first), ..]) => Some(first.code().to_owned()),
        _ => error.code().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn answer(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    #[test]
    fn answers_are_sorted() {
        for line in [
            "READONLY You can't write against a read only replica.",
            "LOADING Redis is loading the dataset in memory",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "BUSY Redis is busy running a script.",
            "CLUSTERDOWN The cluster is down",
            "MISCONF Redis is configured to save RDB snapshots",
            "ASK 3999 127.0.0.1:6381",
            "TRYAGAIN Multiple keys request during rehashing of slot",
        ] {
            assert_eq!(remedy(&answer(line)), Remedy::RetryLater, "{line}");
        }
        for line in [
            "ERR unknown command 'TS.ADD'",
            "WRONGTYPE no",
            "NOPERM no",
            "NOGROUP no",
        ] {
            assert_eq!(remedy(&answer(line)), Remedy::Fatal, "{line}");
        }
        assert_eq!(
            remedy(&answer("NOAUTH Authentication required.")),
            Remedy::Reconnect
        );
    }

    #[test]
    fn a_broken_connection_asks_for_another() {
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe] {
            assert_eq!(remedy(&io::Error::from(kind).into()), Remedy::Reconnect);
        }
    }

    #[test]
    fn only_nogroup_means_a_missing_group() {
        assert!(is_no_group(&answer(
            "NOGROUP No such key 's' or consumer group 'g'"
        )));
        assert!(!is_no_group(&answer("ERR no")));
    }
}
