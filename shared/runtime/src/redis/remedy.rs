//! What an error of a command asks for: another connection, another try, or a person.

use redis::{ErrorKind, RedisError};

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The connection is gone or cannot be trusted: open another one. The command may have run.
    Reconnect,
    /// Redis cannot do it now: send it again after a while, on the same connection.
    RetryLater,
    /// It will fail the same way again: the command or the settings are wrong.
    Fatal,
}

/// What `error` asks for.
///
/// After a lost connection or a timeout nobody knows whether the command ran, so a write that is
/// sent again must be harmless when it comes twice.
pub fn remedy(error: &RedisError) -> Remedy {
    match code(error).as_deref() {
        Some(
            "READONLY" | "LOADING" | "OOM" | "BUSY" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN"
            | "ASK" | "MISCONF" | "NOREPLICAS" | "UNBLOCKED",
        ) => Remedy::RetryLater,
        // The password was changed: a new connection logs in with it, or says that it cannot. A slot
        // has moved: a new connection asks where to.
        Some("NOAUTH" | "WRONGPASS" | "MOVED") => Remedy::Reconnect,
        Some(_) => Remedy::Fatal,
        None => match error.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => Remedy::Reconnect,
            _ => Remedy::Fatal,
        },
    }
}

/// Whether the next connection may lead to another server, or to one that lost what it had: after a
/// broken connection, and where a master has become a replica.
pub fn may_be_another(error: &RedisError) -> bool {
    remedy(error) == Remedy::Reconnect || code(error).as_deref() == Some("READONLY")
}

/// Whether the consumer group, or its stream, does not exist: create it, then send again.
pub fn is_no_group(error: &RedisError) -> bool {
    code(error).as_deref() == Some("NOGROUP")
}

/// Whether the consumer group that was to be made is there already.
///
/// Some servers that stand in for Redis put `ERR` before the word.
pub fn is_group_there(error: &RedisError) -> bool {
    code(error).as_deref() == Some("BUSYGROUP")
        || error
            .detail()
            .is_some_and(|detail| detail.starts_with("BUSYGROUP"))
}

/// The first word of Redis' answer; that of the first failed command in a pipeline.
pub(super) fn code(error: &RedisError) -> Option<String> {
    // The clone shares its contents. Only this way leads to the codes within a pipeline's error.
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
    fn a_missing_group_is_told_apart() {
        assert!(is_no_group(&answer(
            "NOGROUP No such key 's' or consumer group 'g'"
        )));
        assert!(!is_no_group(&answer("ERR no")));
    }
}
