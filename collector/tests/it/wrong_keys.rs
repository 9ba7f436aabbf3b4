//! Keys of ours that hold something else: the collector, `status` and `check` name them, and say what to do.

use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::{Commands, Connection};

use crate::incidents::{now, wait_notified};
use crate::rig::{DEADLINE, alerts, collector, connect, plain_series, running, send};

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
            // The number of partitions is known nowhere else: Rackwatch cannot make that key again.
            let remedy = if key == "rackwatch:layout" {
                "HSET rackwatch:layout partitions"
            } else {
                "Rackwatch makes the key again"
            };
            assert!(text.contains(remedy), "{command}, {key}: {text}");
            let named = text.lines().filter(|line| line.contains(key));
            if key == "rackwatch:layout" {
                assert_eq!(named.count(), 1, "{command}, {key}: {text}");
            }
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

#[test]
fn a_series_of_the_wrong_type_is_named_and_its_readings_are_evaluated() {
    for (command, found) in [
        (&["SET", "banana"][..], "string"),
        (&["HSET", "a", "b"], "hash"),
    ] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let key = "sensor:inlet-R1-1:temp";
        spoil(redis, key, command);
        let running = running(&server.url());
        send(redis, "inlet-R1-1", now(), "33.0");
        wait_until_sync(DEADLINE, "the alert", || {
            let alerts = alerts(redis);
            let mut devices = alerts.iter().map(|[_, device, ..]| device.as_str());
            devices.any(|device| device == "inlet-R1-1").then_some(())
        })
        .unwrap();
        let named = format!("{key} is a {found}, expected a stream: ");
        for command in ["status", "check"] {
            let (code, text) = output(&server.url(), command);
            assert_eq!(code, Some(1), "{command}: {text}");
            assert!(text.contains(&named), "{command}: {text}");
            assert!(text.contains("rename or delete it"), "{command}: {text}");
        }
        assert!(running.stderr().contains(&named), "{}", running.stderr());
        // Once the key is gone, readings are stored again, and nothing is wrong any more.
        let _: () = redis::cmd("DEL").arg(key).query(redis).unwrap();
        send(redis, "inlet-R1-1", now(), "33.0");
        wait_until_sync(DEADLINE, "the series", || {
            (plain_series(redis, "inlet-R1-1").len() == 1).then_some(())
        })
        .unwrap();
        let (_, text) = output(&server.url(), "status");
        let problems = text
            .lines()
            .find(|line| line.starts_with("pipeline: problems"));
        assert!(problems.is_none_or(|line| !line.contains(key)), "{text}");
    }
}

/// Returns the dead letters as text.
fn dead_letters(redis: &mut Connection) -> Vec<String> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data:dead").unwrap();
    let text = |entry: &redis::streams::StreamId| {
        let field = |name: &String| entry.get::<String>(name).unwrap_or_default();
        let fields = entry
            .map
            .keys()
            .map(|name| format!("{name}={}", field(name)));
        fields.collect::<Vec<_>>().join(" ")
    };
    all.ids.iter().map(text).collect()
}

#[test]
fn a_roll_up_of_the_wrong_type_is_named_and_its_readings_are_stored() {
    for (which, command, found) in [
        ("avg", &["SET", "banana"][..], "string"),
        ("max", &["HSET", "a", "b"], "hash"),
    ] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let key = format!("sensor:inlet-R1-1:temp:1m:{which}");
        spoil(redis, &key, command);
        let running = running(&server.url());
        let minute = now() / 60_000 * 60_000;
        for back in [3, 2, 1] {
            send(redis, "inlet-R1-1", minute - back * 60_000, "22.0");
        }
        let named = format!("{key} is a {found}, expected a stream: ");
        wait_until_sync(DEADLINE, "the log names the key", || {
            running.stderr().contains(&named).then_some(())
        })
        .unwrap();
        wait_until_sync(DEADLINE, "status names the key", || {
            let (code, text) = output(&server.url(), "status");
            (code == Some(1) && text.contains(&named)).then_some(())
        })
        .unwrap();
        let (code, text) = output(&server.url(), "check");
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(&named), "{text}");
        assert!(text.contains("rename or delete it"), "{text}");
        assert_eq!(running.stderr().matches(&named).count(), 1);
        // The readings are stored: no dead letter holds one.
        assert_eq!(plain_series(redis, "inlet-R1-1").len(), 3);
        let letters = dead_letters(redis);
        assert!(
            letters.iter().all(|letter| !letter.contains("temperature")),
            "{letters:?}"
        );
        assert!(letters.len() <= 1, "{letters:?}");
        // Once the key is gone, minutes are stored again, and nothing is wrong any more.
        let _: () = redis::cmd("DEL").arg(&key).query(redis).unwrap();
        send(redis, "inlet-R1-1", minute, "22.0");
        wait_until_sync(DEADLINE, "the minute", || {
            let length: Option<u64> = redis.xlen(&key).ok();
            (length == Some(1)).then_some(())
        })
        .unwrap();
        let (_, text) = output(&server.url(), "status");
        let problems = text
            .lines()
            .find(|line| line.starts_with("pipeline: problems"));
        assert!(problems.is_none_or(|line| !line.contains(&key)), "{text}");
    }
}

#[test]
fn keys_that_evaluation_does_not_need_are_named_and_stop_nothing() {
    for key in [
        "rackwatch:resolutions",
        "rackwatch:clocks",
        "rackwatch:tally",
        "rackwatch:silences",
        "rackwatch:windows",
        "{rackwatch:incidents}:acks",
    ] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let url = server.url();
        let mut first = running(&url);
        first
            .wait_stderr_contains("partition taken over", DEADLINE)
            .unwrap();
        // While a collector runs, and at the start of the next one.
        spoil(redis, key, &["SET", "banana"]);
        send(redis, "inlet-R1-1", now(), "33.0");
        wait_notified(redis, &[("opened", "critical")]);
        let named = format!("{key} is a string, expected a hash: ");
        first.wait_stderr_contains(&named, DEADLINE).unwrap();
        first.kill().unwrap();
        let second = running(&url);
        send(redis, "inlet-R1-1", now(), "24.0");
        wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
        second.wait_stderr_contains(&named, DEADLINE).unwrap();
        for command in ["status", "check"] {
            let (code, text) = output(&url, command);
            assert_eq!(code, Some(1), "{command}: {text}");
            assert!(text.contains(&named), "{command}: {text}");
        }
        assert_eq!(redis.get::<_, String>(key).unwrap(), "banana", "{key}");
    }
}

#[test]
fn a_commit_that_meets_a_key_of_the_wrong_type_writes_nothing() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    first
        .wait_stderr_contains("partition taken over", DEADLINE)
        .unwrap();
    spoil(redis, "rackwatch:episodes", &["SET", "banana"]);
    send(redis, "inlet-R1-1", now(), "33.0");
    let code = first.wait_exit(DEADLINE).unwrap().code();
    assert_eq!(code, Some(1), "{}", first.stderr());
    let named = "rackwatch:episodes is a string, expected a hash: ";
    assert!(first.stderr().contains(named), "{}", first.stderr());
    assert_eq!(redis.xlen::<_, u64>("anomaly_alerts").unwrap(), 0);
    let _: () = redis.del("rackwatch:episodes").unwrap();
    let _second = running(&server.url());
    wait_notified(redis, &[("opened", "critical")]);
    assert_eq!(alerts(redis).len(), 1, "{:?}", alerts(redis));
}

/// None of these keys says what is open.
#[test]
fn a_broken_key_of_deliveries_leaves_the_room_known_and_the_api_names_it() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let port = rackwatch_testing::free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let _running = collector(&["run", "--redis", &server.url(), "--listen", &listen]);
    wait_until_sync(DEADLINE, "the room is well", || {
        let (_, text) = output(&server.url(), "status");
        text.contains("room: all is well").then_some(())
    })
    .unwrap();
    let key = "rackwatch:deliveries";
    spoil(redis, key, &["SET", "banana"]);
    let (code, text) = output(&server.url(), "status");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("room: all is well"), "{text}");
    let (status, body) = rackwatch_testing::http_get(port, "/api/v1/deliveries").unwrap();
    assert_eq!(status, 503, "{body}");
    let named = format!("{key} is a string, expected a stream: ");
    assert!(body.contains(&named), "{body}");
    assert!(body.contains("delete or rename it"), "{body}");
    assert!(!body.contains("unreachable"), "{body}");
}
