//! A rolling restart of collectors with different rules: who wins, and that it is said.

use std::fs;

use rackwatch_testing::{Program, RedisServer, free_port, http_get, wait_until_sync};
use redis::{Commands, Connection};
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{DEADLINE, connect, send, wait_all_done};

const START: u64 = 1_795_438_931_000;

/// A collector whose warning for hot inlets begins at this limit.
struct Limited {
    program: Program,
    port: u16,
    _folder: TempDir,
}

impl Limited {
    fn start(url: &str, warning: f64) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("collector.toml");
        let rule = format!(
            "[partition]\nlease = \"1s\"\n[health]\nstuck_after = \"2s\"\n[[rules]]\ntype = \"high_temp\"\n\
             info = \"off\"\nwarning = {warning:.1}\ncritical = \"off\"\nfor = \"0s\"\nkeep_firing_for = \"0s\"\n"
        );
        fs::write(&file, rule).unwrap();
        let port = free_port().unwrap();
        let listen = format!("127.0.0.1:{port}");
        let file = file.display().to_string();
        let program = Program::spawn(
            env!("CARGO_BIN_EXE_rackwatch-collector"),
            &[
                "run", "--redis", url, "--listen", &listen, "--config", &file,
            ],
            &[("TZ", "UTC"), ("RACKWATCH_ALERTS__FLAP", "0s")],
        );
        let started = Self {
            program: program.unwrap(),
            port,
            _folder: folder,
        };
        wait_until_sync(DEADLINE, "it is ready", || {
            (http_get(port, "/readyz").ok()?.0 == 200).then_some(())
        })
        .unwrap();
        started
    }

    fn metrics(&self) -> String {
        http_get(self.port, "/metrics").unwrap().1
    }
}

/// Returns the exit code and output of `status`.
fn status(url: &str) -> (Option<i32>, String) {
    let mut program = Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["status", "--redis", url],
        &[("TZ", "UTC")],
    )
    .unwrap();
    let code = program.wait_exit(DEADLINE).unwrap().code();
    (code, program.stdout())
}

/// Returns (state, threshold, `ended_by`) of the records of `high_temp`.
fn records(redis: &mut Connection) -> Vec<(String, String, Option<String>)> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let hot = all.ids.iter().filter(|entry| {
        let kind: Option<String> = entry.get("type");
        kind.as_deref() == Some("high_temp")
    });
    hot.map(|entry| {
        let text = |field| entry.get::<String>(field);
        (
            text("state").unwrap(),
            text("threshold").unwrap(),
            text("ended_by"),
        )
    })
    .collect()
}

#[test]
fn in_a_rolling_restart_the_owner_s_rules_hold_and_the_difference_is_named() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let mut strict = Limited::start(&url, 27.0);
    let loose = Limited::start(&url, 35.0);
    for second in 0..5 {
        send(redis, "inlet-R1-1", START + second * 1000, "30.0");
    }
    wait_all_done(redis);
    // The first collector owns the readings, and its limit holds.
    let fired = ("firing".to_owned(), "27".to_owned(), None);
    assert_eq!(records(redis), std::slice::from_ref(&fired));

    let (code, text) = status(&url);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("collectors differ in rules: "), "{text}");
    for name in redis
        .zrange::<_, Vec<String>>("rackwatch:collectors", 0, -1)
        .unwrap()
    {
        assert!(text.contains(&format!("{name} (")), "{name}: {text}");
    }
    wait_until_sync(DEADLINE, "the metrics show it", || {
        let metrics = loose.metrics();
        let differ = "rackwatch_collectors_differ{part=\"rules\"} 1\n";
        let same = "rackwatch_collectors_differ{part=\"notifiers\"} 0\n";
        (metrics.contains(differ) && metrics.contains(same)).then_some(())
    })
    .unwrap();
    let (_, api) = http_get(loose.port, "/api/v1/status").unwrap();
    let api: Value = serde_json::from_str(&api).unwrap();
    let problems = api["verdict"]["problems"].to_string();
    assert!(
        problems.contains("collectors differ in rules"),
        "{problems}"
    );
    let logged = "collectors differ in rules";
    loose
        .program
        .wait_stderr_contains(logged, DEADLINE)
        .unwrap();

    // After the hand-over the limit of the other holds, and the record says so.
    strict.program.term().unwrap();
    strict.program.wait_exit(DEADLINE).unwrap();
    for second in 5..10 {
        send(redis, "inlet-R1-1", START + second * 1000, "30.0");
    }
    wait_all_done(redis);
    let ended = Some("rule_change".to_owned());
    let resolved = ("resolved".to_owned(), "35".to_owned(), ended);
    assert_eq!(records(redis), [fired, resolved]);

    // Both have the same rules at the end of the restart.
    let _third = Limited::start(&url, 35.0);
    let (code, text) = status(&url);
    assert_eq!(code, Some(0), "{text}");
    wait_until_sync(DEADLINE, "the metrics show that too", || {
        let same = "rackwatch_collectors_differ{part=\"rules\"} 0\n";
        loose.metrics().contains(same).then_some(())
    })
    .unwrap();
    let announced: Vec<String> = redis.hkeys("rackwatch:collectors:announced").unwrap();
    assert_eq!(announced.len(), 2, "{announced:?}");
}
