//! Errors of Redis that end a command: one line with what failed and what to do.

use rackwatch_testing::{RedisServer, free_port};

use crate::incidents::command;
use crate::rig::connect;

const COMMANDS: [&[&str]; 3] = [&["status"], &["incidents"], &["alerts"]];

/// Runs each command, and checks that it fails with one line that has `expected`.
fn assert_explained(url: &str, expected: &str) {
    for args in COMMANDS {
        let (code, _, error) = command(url, args);
        assert_eq!(code, Some(1), "{args:?}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{args:?}: {error}");
        assert!(error.starts_with("error: "), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn a_redis_that_is_away_is_named_with_the_key_to_check() {
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    assert_explained(&url, "check that it runs and that redis.url is right");
}

#[test]
fn a_refused_password_and_a_missing_permission_are_named_with_the_remedy() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    redis::cmd("ACL")
        .arg(&[
            "SETUSER", "ann", "on", ">secret", "~*", "+ping", "+hello", "+client",
        ])
        .exec(redis)
        .unwrap();
    let address = server.url();
    let address = address.strip_prefix("redis://").unwrap();
    let as_ann = |password: &str| format!("redis://ann:{password}@{address}");
    assert_explained(
        &as_ann("wrong"),
        "check redis.username and redis.password_file",
    );
    assert_explained(
        &as_ann("secret"),
        "compare its ACL with deploy/redis/users.acl.example",
    );
}

#[test]
fn a_key_of_another_type_leads_to_the_command_that_names_it() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    for key in ["anomaly_alerts", "{rackwatch:incidents}:open"] {
        redis::cmd("SET").arg(&[key, "banana"]).exec(redis).unwrap();
    }
    for args in [&["incidents"][..], &["alerts"]] {
        let (code, _, error) = command(&server.url(), args);
        assert_eq!(code, Some(1), "{args:?}: {error}");
        assert!(
            error.contains("`rackwatch-collector check` names it"),
            "{error}"
        );
        assert!(!error.contains("WRONGTYPE"), "{error}");
    }
}
