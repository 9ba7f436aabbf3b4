//! The program from outside: arguments in, output and exit code out.

use std::time::Duration;

use rackwatch_core::keys;
use rackwatch_testing::{Program, RedisServer, TimeSeriesServer};

use crate::site::{SOON, connect, descriptions, entries, wait_for_entries};

const AGENT: &str = env!("CARGO_BIN_EXE_rackwatch-agent");

fn start(args: &[&str], env: &[(&str, &str)]) -> Program {
    Program::spawn(AGENT, args, env).unwrap()
}

/// Waits for a program to end by itself, and returns exit code, stdout and stderr.
fn finish(mut program: Program) -> (Option<i32>, String, String) {
    let code = program.wait_exit(SOON).unwrap().code();
    (code, program.stdout(), program.stderr())
}

#[tokio::test]
async fn simulate_sends_what_it_reports_and_marks_its_devices_as_leaving() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    for (format, readings) in [("reading", 1), ("frame", 8)] {
        redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
        let args = [
            "simulate",
            "--for",
            "3s",
            "--interval",
            "500ms",
            "--json",
            "--format",
            format,
        ];
        let (code, out, err) = finish(start(&args, &[("RACKWATCH_REDIS_URL", &server.url())]));
        assert_eq!(code, Some(0), "{err}");
        let sent: serde_json::Value = serde_json::from_str(&out).unwrap();

        let entries = entries(&mut redis).await;
        assert!(!entries.is_empty());
        assert_eq!(sent["entries"], entries.len(), "{out}");
        assert_eq!(sent["readings"], entries.len() * readings, "{out}");
        assert!(entries.iter().all(|entry| entry.reject.is_none()));
        let described = descriptions(&mut redis).await;
        assert!(!described.is_empty());
        assert!(
            described.iter().all(|(_, known)| known.leaving),
            "{described:?}"
        );
        let revision: u64 = redis::cmd("GET")
            .arg(keys::DEVICES_REVISION)
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!(
            revision, 2,
            "one revision for descriptions, one for the departure"
        );
    }
}

#[tokio::test]
async fn run_ends_on_sigterm_even_without_redis() {
    let mut server = RedisServer::start().unwrap();
    let simulated = [
        ("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true"),
        ("RACKWATCH_SOURCES__HWMON__ENABLED", "false"),
    ];
    for there in [true, false] {
        if !there {
            server.stop().unwrap();
        }
        let mut program = start(&["run", "--redis", &server.url()], &simulated);
        let expected = if there {
            "discovered devices"
        } else {
            "no connection"
        };
        program.wait_stderr_contains(expected, SOON).unwrap();
        program.term().unwrap();
        let code = program.wait_exit(Duration::from_secs(5)).unwrap().code();
        assert_eq!(code, Some(0), "{}", program.stderr());
        let outages = program.stderr().matches("no connection").count();
        assert_eq!(outages, usize::from(!there), "{}", program.stderr());
    }
}

#[test]
fn a_wrong_key_is_named_with_its_file_and_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    let path = file.to_str().unwrap();
    for (text, named) in [
        ("[publish]\nformats = 'frame'", "publish.formats"),
        ("[publish]\nformat = 'fram'", "fram"),
        ("[agent]\nname = 'a b'", "a b"),
        ("[[devices]]\nmatch = 'a['", "a["),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, _, err) = finish(start(&["run", "--config", path], &[]));
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(path) && err.contains(named), "{err}");
    }
    let (code, _, err) = finish(start(&["simulate", "--scenario", "nonsense"], &[]));
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("nonsense"), "{err}");
    let (code, _, _) = finish(start(&["run", "--no-such-flag"], &[]));
    assert_eq!(code, Some(2));
}

#[tokio::test]
async fn check_tests_redis_and_leaves_no_keys_behind() {
    let server = RedisServer::start().unwrap();
    let (code, out, err) = finish(start(&["check", "--redis", &server.url()], &[]));
    assert_eq!(code, Some(0), "{out}{err}");
    for (step, result) in [("PING", "ok"), ("group", "ok"), ("TS.ADD", "skipped")] {
        let line = out.lines().find(|line| line.starts_with(step));
        assert!(line.unwrap().contains(result), "{out}");
    }
    let mut redis = connect(&server).await;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(keys, Vec::<String>::new());
}

#[test]
fn check_tests_time_series_if_the_server_has_them() {
    let server = TimeSeriesServer::start().unwrap();
    let (code, out, err) = finish(start(&["check", "--redis", &server.url()], &[]));
    assert_eq!(code, Some(0), "{out}{err}");
    for step in ["TS.CREATE", "TS.ADD", "TS.RANGE"] {
        let line = out.lines().find(|line| line.starts_with(step));
        assert!(line.unwrap().contains(" ok "), "{out}");
    }
}

#[tokio::test]
async fn check_names_a_missing_permission() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut forbid = redis::cmd("ACL");
    forbid.arg(&["SETUSER", "default", "-xgroup"]);
    forbid.exec_async(&mut redis).await.unwrap();
    let (code, out, _) = finish(start(&["check", "--redis", &server.url()], &[]));
    assert_eq!(code, Some(1), "{out}");
    let mut lines = out.lines().skip_while(|line| !line.starts_with("group"));
    assert!(lines.next().unwrap().contains("no permissions"), "{out}");
    assert!(lines.next().unwrap().contains("ACL SETUSER"), "{out}");
}

#[test]
fn check_reports_a_failure_with_advice() {
    let mut server = RedisServer::start_with(&["--maxmemory", "1"]).unwrap();
    let args = ["check", "--json", "--redis", &server.url()];
    let (code, out, _) = finish(start(&args, &[]));
    assert_eq!(code, Some(1), "{out}");
    let checked: serde_json::Value = serde_json::from_str(&out).unwrap();
    let steps = checked["steps"].as_array().unwrap();
    let set = steps.iter().find(|step| step["name"] == "SET").unwrap();
    assert_eq!(set["result"], "failed");
    assert!(set["advice"].as_str().unwrap().contains("maxmemory"));

    server.stop().unwrap();
    let (code, out, _) = finish(start(&["check", "--redis", &server.url()], &[]));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("cannot reach Redis"), "{out}");
}

#[test]
fn sensors_lists_all_sensors() {
    let env = [
        ("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true"),
        ("RACKWATCH_SOURCES__HWMON__ENABLED", "false"),
    ];
    let (code, out, err) = finish(start(&["sensors"], &env));
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("DEVICE") && out.lines().count() == 9,
        "{out}"
    );
    let (code, out, _) = finish(start(&["sensors", "--json"], &env));
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (Some(0), 8));
}

#[test]
fn check_tests_the_spool() {
    let server = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &std::path::Path| {
        let env = [("RACKWATCH_SPOOL__PATH", path.to_str().unwrap())];
        finish(start(&["check", "--redis", &server.url()], &env))
    };
    let spool = folder.path().join("new/spool");
    let (code, out, err) = check(&spool);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("spool      ok "), "{out}");
    let left: Vec<_> = std::fs::read_dir(&spool).unwrap().collect();
    assert!(left.len() <= 1, "nothing but the lock is left: {left:?}");
    // A running agent holds the lock, and writes there: that is no failure.
    let lock = std::fs::File::open(spool.join("lock")).unwrap();
    lock.lock().unwrap();
    let (code, out, _) = check(&spool);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("spool      skipped  an agent uses it"),
        "{out}"
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, out, _) = check(&file);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("spool      FAILED   cannot create"), "{out}");
}

#[test]
fn simulate_says_that_it_does_not_use_the_spool() {
    let server = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let env = [
        ("RACKWATCH_REDIS_URL", server.url()),
        ("RACKWATCH_SPOOL__PATH", spool.display().to_string()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (code, _, err) = finish(start(&["simulate", "--for", "1s"], &env));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("simulate does not use spool.path"), "{err}");
    assert!(!spool.exists());
}

#[tokio::test]
async fn a_stderr_that_is_not_read_stops_no_reading() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let env = [
        ("RACKWATCH_REDIS_URL", server.url()),
        ("RACKWATCH_SOURCES__HWMON__ENABLED", "false".to_owned()),
        ("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true".to_owned()),
        ("RACKWATCH_SOURCES__SIMULATED__INTERVAL", "100ms".to_owned()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut agent = Program::spawn_unread(AGENT, &["run"], &env).unwrap();
    wait_for_entries(&mut redis, 50).await;
    // The lines that were held are there once they are read, and it stops as ever.
    agent.read_outputs();
    agent
        .wait_stderr_contains("discovered devices", SOON)
        .unwrap();
    agent.term().unwrap();
    assert!(agent.wait_exit(SOON).unwrap().success());
    assert!(agent.stderr().contains("stopped"), "{}", agent.stderr());
    // One whose stderr stays stuck stops too.
    let mut stuck = Program::spawn_unread(AGENT, &["run"], &env).unwrap();
    wait_for_entries(&mut redis, 100).await;
    stuck.term().unwrap();
    assert!(stuck.wait_exit(SOON).unwrap().success());
}
