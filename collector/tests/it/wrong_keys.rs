//! Keys of ours that hold something else: the collector, `status` and `check` name them, and say what to do.

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::Connection;

use crate::rig::{DEADLINE, collector, connect, running};

/// Puts a value of another type in a key.
fn spoil(redis: &mut Connection, key: &str, command: &[&str]) {
    let _: () = redis::cmd("DEL").arg(key).query(redis).unwrap();
    redis::cmd(command[0])
        .arg(key)
        .arg(&command[1..])
        .exec(redis)
        .unwrap();
}

/// Returns the exit code and the output of a command.
fn output(url: &str, command: &str) -> (Option<i32>, String) {
    let mut program = collector(&[command, "--redis", url]);
    let code = program.wait_exit(DEADLINE).unwrap().code();
    (code, program.stdout() + &program.stderr())
}

#[test]
fn a_key_of_the_wrong_type_is_named_by_the_collector_status_and_check() {
    let text = ["SET", "banana"];
    let list = ["RPUSH", "a", "b"];
    for (key, command, found, expected) in [
        ("raw_sensor_data", &text[..], "string", "stream"),
        ("raw_sensor_data:dead", &list, "list", "stream"),
        ("anomaly_alerts", &text, "string", "stream"),
        ("rackwatch:losses", &text, "string", "stream"),
        ("rackwatch:episodes", &text, "string", "hash"),
        ("rackwatch:ledger", &list, "list", "hash"),
        ("rackwatch:snapshot", &text, "string", "hash"),
        ("rackwatch:fence", &text, "string", "hash"),
        ("rackwatch:lease", &list, "list", "string"),
        ("rackwatch:layout", &text, "string", "hash"),
        ("rackwatch:site", &text, "string", "hash"),
        ("rackwatch:devices", &text, "string", "hash"),
        ("rackwatch:silences", &text, "string", "hash"),
        ("rackwatch:windows", &text, "string", "hash"),
        ("rackwatch:collectors", &text, "string", "zset"),
        ("rackwatch:collectors:announced", &text, "string", "hash"),
        ("rackwatch:deliveries", &text, "string", "stream"),
        ("rackwatch:incidents", &text, "string", "stream"),
        ("{rackwatch:incidents}:open", &text, "string", "hash"),
        ("{rackwatch:incidents}:fence", &text, "string", "hash"),
        ("{rackwatch:incidents}:notifiers", &text, "string", "hash"),
    ] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        spoil(redis, key, command);
        let named = format!("{key} is a {found}, expected a {expected}: ");
        let running = running(&server.url());
        let log = wait_until_sync(DEADLINE, "the log names the key", || {
            running.stderr().contains(&named).then_some(())
        });
        log.unwrap_or_else(|error| panic!("{key}: {error}: {}", running.stderr()));
        for command in ["status", "check"] {
            let (code, text) = output(&server.url(), command);
            assert_eq!(code, Some(1), "{command}, {key}: {text}");
            assert!(text.contains(&named), "{command}, {key}: {text}");
        }
    }
}

#[test]
fn garbage_in_the_partitioning_or_the_site_s_version_is_named() {
    for (key, field, value, named) in [
        (
            "rackwatch:layout",
            "partitions",
            "banana",
            "rackwatch:layout holds partitions = \"banana\"",
        ),
        (
            "rackwatch:layout",
            "partitions",
            "70000",
            "rackwatch:layout holds partitions = \"70000\"",
        ),
        (
            "rackwatch:layout",
            "state",
            "banana",
            "rackwatch:layout holds state = \"banana\"",
        ),
        (
            "rackwatch:site",
            "version",
            "banana",
            "rackwatch:site has version \"banana\", expected a number",
        ),
    ] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        for (field, value) in [("partitions", "0"), (field, value)] {
            redis::cmd("HSET")
                .arg(&[key, field, value])
                .exec(redis)
                .unwrap();
        }
        let running = running(&server.url());
        let log = wait_until_sync(DEADLINE, "the log names the key", || {
            running.stderr().contains(named).then_some(())
        });
        log.unwrap_or_else(|error| panic!("{key}: {error}: {}", running.stderr()));
        for command in ["status", "check"] {
            let (code, text) = output(&server.url(), command);
            assert_eq!(code, Some(1), "{command}, {key}: {text}");
            assert!(text.contains(named), "{command}, {key}: {text}");
        }
    }
}

#[test]
fn applying_the_site_again_replaces_a_version_that_is_no_number() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    redis::cmd("HSET")
        .arg(&["rackwatch:site", "version", "banana", "site", "{}"])
        .exec(redis)
        .unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("site.toml");
    std::fs::write(&file, "").unwrap();
    let apply = |more: &[&str]| {
        let file = file.display().to_string();
        let url = server.url();
        let args = [&["site", "apply", &file, "--redis", &url], more].concat();
        let mut program = collector(&args);
        let code = program.wait_exit(DEADLINE).unwrap().code();
        (code, program.stdout() + &program.stderr())
    };
    let (code, text) = apply(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--replace"), "{text}");
    let (code, text) = apply(&["--replace"]);
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = output(&server.url(), "status");
    assert!(!text.contains("banana"), "{text}");
}

#[test]
fn a_damaged_progress_of_a_notifier_is_named_by_status_and_check() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let key = "{rackwatch:incidents}:delivery:ops";
    spoil(redis, key, &["SET", "banana"]);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("collector.toml");
    let notifier = "[[notify]]\nname = 'ops'\ntype = 'webhook'\nurl = 'http://127.0.0.1:9/'\n";
    std::fs::write(&file, notifier).unwrap();
    let file = file.display().to_string();
    for command in ["status", "check"] {
        let mut program = collector(&[command, "--redis", &server.url(), "--config", &file]);
        let code = program.wait_exit(DEADLINE).unwrap().code();
        let text = program.stdout() + &program.stderr();
        assert_eq!(code, Some(1), "{command}: {text}");
        let named = format!("{key} is a string, expected a hash");
        assert!(text.contains(&named), "{command}: {text}");
    }
}
