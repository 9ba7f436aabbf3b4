//! Alert sinks that hang: each holds up itself alone, its alerts wait in Redis, and status says so.

use std::fs;
use std::process::Command;

use rackwatch_testing::{Program, RedisServer, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::incidents::{command, now, wait_notified};
use crate::rig::{DEADLINE, connect, plain_series, send, wait_all_done};

type Spawn = fn(&str, &[&str], &[(&str, &str)]) -> anyhow::Result<Program>;

struct Sinks {
    folder: tempfile::TempDir,
    url: String,
    listen: String,
}

impl Sinks {
    fn new(url: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            url: url.to_owned(),
            listen: format!("127.0.0.1:{}", free_port().unwrap()),
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn args(&self) -> [&str; 5] {
        ["run", "--redis", &self.url, "--listen", &self.listen]
    }

    fn start(&self, spawn: Spawn) -> Program {
        let env = [
            ("RACKWATCH_ALERTS__FILE", self.file("alerts.log")),
            ("RACKWATCH_ALERTS__JSON_FILE", self.file("alerts.jsonl")),
            ("RACKWATCH_PARTITION__LEASE", "1s".to_owned()),
        ];
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        spawn(
            env!("CARGO_BIN_EXE_rackwatch-collector"),
            &self.args(),
            &env,
        )
        .unwrap()
    }

    fn wait_for(&self, name: &str, text: &str) {
        let written = || fs::read_to_string(self.file(name)).unwrap_or_default();
        wait_until_sync(DEADLINE, "the alert is in the file", || {
            written().contains(text).then_some(())
        })
        .unwrap();
    }
}

fn spawn(path: &str, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Program> {
    Program::spawn(path, args, env)
}

fn spawn_unread(path: &str, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Program> {
    Program::spawn_unread(path, args, env)
}

/// Waits until a group has this many entries pending.
fn wait_pending(redis: &mut Connection, group: &str, count: usize) {
    wait_until_sync(DEADLINE, "entries are pending", || {
        let pending: redis::streams::StreamPendingReply =
            redis.xpending("anomaly_alerts", group).ok()?;
        (pending.count() == count).then_some(())
    })
    .unwrap();
}

fn wait_for_group(redis: &mut Connection, group: &str) {
    wait_until_sync(DEADLINE, "the group exists", || {
        let groups: redis::streams::StreamInfoGroupsReply =
            redis.xinfo_groups("anomaly_alerts").ok()?;
        groups
            .groups
            .iter()
            .any(|found| found.name == group)
            .then_some(())
    })
    .unwrap();
}

#[test]
fn a_console_that_is_not_read_holds_up_itself_alone() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let sinks = Sinks::new(&server.url());
    let mut collector = sinks.start(spawn_unread);
    wait_for_group(redis, "alert_logger_group");
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    sinks.wait_for("alerts.log", "inlet-R1-1");
    sinks.wait_for("alerts.jsonl", "inlet-R1-1");
    wait_notified(redis, &[("opened", "critical")]);
    wait_pending(redis, "alert_file_group", 0);
    wait_pending(redis, "alert_logger_group", 1);
    // Later alerts go to the files all the same.
    send(redis, "inlet-R2-1", start, "33.0");
    sinks.wait_for("alerts.log", "inlet-R2-1");
    wait_all_done(redis);
    assert_eq!(plain_series(redis, "inlet-R2-1").len(), 1);
    // They are shown, and acknowledged, once stdout is read.
    collector.read_outputs();
    collector
        .wait_stdout_contains("inlet-R2-1", DEADLINE)
        .unwrap();
    assert!(
        collector
            .stdout()
            .contains("high_temp  R1 inlet inlet-R1-1"),
        "{}",
        collector.stdout()
    );
    wait_pending(redis, "alert_logger_group", 0);
    collector.term().unwrap();
    assert!(collector.wait_exit(DEADLINE).unwrap().success());
    // One whose outputs stay stuck stops too.
    let mut stuck = sinks.start(spawn_unread);
    wait_until_sync(DEADLINE, "it owns the partition", || {
        redis.get::<_, Option<String>>("rackwatch:lease").ok()?
    })
    .unwrap();
    send(redis, "inlet-R3-1", start, "33.0");
    sinks.wait_for("alerts.log", "inlet-R3-1");
    stuck.term().unwrap();
    assert!(stuck.wait_exit(DEADLINE).unwrap().success());
}

#[test]
fn an_alert_file_that_hangs_holds_up_itself_alone() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let sinks = Sinks::new(&server.url());
    // A named pipe without a reader: to open it hangs, as a file on a dead server does.
    let made = Command::new("mkfifo")
        .arg(sinks.file("alerts.log"))
        .status();
    assert!(made.unwrap().success());
    let mut collector = sinks.start(spawn);
    collector
        .wait_stderr_contains("alert sink does not open", DEADLINE)
        .unwrap();
    wait_for_group(redis, "alert_file_group");
    send(redis, "inlet-R1-1", now(), "33.0");
    collector
        .wait_stdout_contains("inlet-R1-1", DEADLINE)
        .unwrap();
    sinks.wait_for("alerts.jsonl", "inlet-R1-1");
    wait_pending(redis, "alert_logger_group", 0);
    wait_pending(redis, "alert_file_group", 1);
    collector
        .wait_stderr_contains("alert sink hangs", DEADLINE)
        .unwrap();
    let (_, out, _) = command(&server.url(), &["status"]);
    assert!(out.contains("alert_file_group"), "{out}");
    // What waited is written once the file takes it.
    let reader = fs::File::open(sinks.file("alerts.log")).unwrap();
    let reading = std::thread::spawn(move || std::io::read_to_string(reader).unwrap());
    wait_pending(redis, "alert_file_group", 0);
    collector
        .wait_stderr_contains("alert sink recovered", DEADLINE)
        .unwrap();
    collector.term().unwrap();
    assert!(collector.wait_exit(DEADLINE).unwrap().success());
    assert!(reading.join().unwrap().contains("inlet-R1-1"));
}
