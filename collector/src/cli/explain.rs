//! Words for the errors of Redis that end a command: what failed, on what, and what to do, in one line.

use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::{ConnectError, is_wrong_type};
use redis::{ErrorKind, RedisError};

/// Most characters of an answer of Redis that are shown.
const SHOWN: usize = 200;

/// Returns an error in one line. Errors of Redis are explained instead of printed with their causes.
pub(super) fn explain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        if let Some(redis) = cause.downcast_ref::<RedisError>() {
            return line + &of_redis(redis);
        }
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return line + &of_connecting(connect);
        }
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(&text);
            line.push_str(": ");
        }
    }
    chain(error.as_ref())
}

/// Returns the error of connecting, which says what to do, with what Redis or the system answered.
fn of_connecting(error: &ConnectError) -> String {
    let cause = std::error::Error::source(error);
    match cause.and_then(|cause| cause.downcast_ref::<RedisError>()) {
        Some(cause) => format!("{error} ({})", answer(cause)),
        None => chain(error),
    }
}

/// Returns what a command failed for, and what to do.
fn of_redis(error: &RedisError) -> String {
    let answer = answer(error);
    if is_wrong_type(error) {
        return "a key of Rackwatch in Redis has another type: `rackwatch-collector check` names it, and says what to do"
            .to_owned();
    }
    let remedy = match (error.code(), error.kind()) {
        (Some("NOPERM"), _) => {
            "Redis does not permit it to this user: compare its ACL with deploy/redis/users.acl.example, or try \
             `rackwatch-collector check`"
        }
        (Some("NOAUTH" | "WRONGPASS"), _) | (None, ErrorKind::AuthenticationFailed) => {
            "Redis refuses the user or the password: check redis.username and redis.password_file"
        }
        (Some("OOM"), _) => "Redis is at its maxmemory: raise it, or shorten series.raw_retention",
        (Some("READONLY"), _) => "this Redis is a replica: connect to its master",
        (Some("MISCONF" | "NOREPLICAS"), _) => {
            "Redis refuses writes because of its own configuration or disk: look at its log"
        }
        (Some("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"), _) => {
            "Redis is not ready: try again in a moment"
        }
        (None, ErrorKind::Io) => {
            "Redis does not answer any more: check that it runs, and that redis.url is right"
        }
        // Such an error is ours, and says what to do.
        (None, _) => return error.detail().map_or(answer, str::to_owned),
        (Some(_), _) => {
            "Redis refuses a command: `rackwatch-collector check` tries what Rackwatch needs"
        }
    };
    format!("{remedy} ({answer})")
}

/// Returns the answer of Redis or of the system in one line, cut to a bounded length.
fn answer(error: &RedisError) -> String {
    let text = error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    #[test]
    fn an_error_of_redis_is_one_line_with_what_to_do() {
        for (line, expected) in [
            (
                "NOPERM User ann has no permissions to run the 'xinfo' command",
                "compare its ACL",
            ),
            (
                "WRONGPASS invalid username-password pair",
                "check redis.username",
            ),
            (
                "WRONGTYPE Operation against a key",
                "`rackwatch-collector check` names it",
            ),
            (
                "LOADING Redis is loading the dataset",
                "try again in a moment",
            ),
            ("OOM command not allowed", "raise it"),
            ("ODD something", "`rackwatch-collector check` tries"),
        ] {
            let error = anyhow::Error::from(answered(line)).context("cannot list alerts");
            let text = explain(&error);
            assert!(text.starts_with("cannot list alerts: "), "{text}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
        let other = anyhow::anyhow!("no such file").context("cannot read rules.toml");
        assert_eq!(explain(&other), "cannot read rules.toml: no such file");
    }
}
