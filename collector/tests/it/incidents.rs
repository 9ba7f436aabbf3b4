//! Incidents through Redis: what is written, which notifications are sent, and that nothing is lost or sent twice.

mod damaged;
mod failing;
mod hours;
mod lost_episodes;
mod notifiers;
mod notifying;
mod oauth;
mod operators;
mod recipients;
mod resolving;
mod secrets;
mod storms;
mod webhooks;

use std::time::Duration;

use rackwatch_collector::failpoint;
use rackwatch_testing::{Program, RedisServer, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::{DEADLINE, collector, connect, running, send};

pub fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}

/// Returns (event, severity, whether a notification is sent, title) of each record.
fn records(redis: &mut Connection) -> Vec<(String, String, bool, String)> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:incidents").unwrap();
    let record = |entry: &redis::streams::StreamId| {
        let field = |name: &str| entry.get::<String>(name).unwrap_or_default();
        let notified = entry.get::<String>("notification_id").is_some();
        (field("event"), field("severity"), notified, field("title"))
    };
    all.ids.iter().map(record).collect()
}

/// Returns (event, severity) of each record with a notification.
fn notified(redis: &mut Connection) -> Vec<(String, String)> {
    let notified = records(redis)
        .into_iter()
        .filter(|(_, _, notified, _)| *notified);
    notified
        .map(|(event, severity, ..)| (event, severity))
        .collect()
}

pub fn wait_notified(redis: &mut Connection, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(event, severity)| ((*event).to_owned(), (*severity).to_owned()))
        .collect();
    let mut seen = Vec::new();
    let reached = wait_until_sync(DEADLINE, "notifications are sent", || {
        seen = notified(redis);
        (seen == expected).then_some(())
    });
    assert!(
        reached.is_ok(),
        "{seen:?} instead of {expected:?}: {:?}",
        records(redis)
    );
}

/// Waits until the correlator has dealt with every alert.
fn wait_dealt_with(redis: &mut Connection) {
    wait_until_sync(DEADLINE, "every alert is dealt with", || {
        all_dealt_with(redis)
    })
    .unwrap();
}

/// Returns `Some` if the correlator has dealt with every alert.
pub fn all_dealt_with(redis: &mut Connection) -> Option<()> {
    let last: redis::streams::StreamRangeReply =
        redis.xrevrange_count("anomaly_alerts", "+", "-", 1).ok()?;
    let groups: redis::streams::StreamInfoGroupsReply =
        redis.xinfo_groups("anomaly_alerts").ok()?;
    let group = groups
        .groups
        .iter()
        .find(|g| g.name == "alert_correlator_group")?;
    let last = last.ids.first()?;
    (group.pending == 0 && group.last_delivered_id == last.id).then_some(())
}

#[test]
fn alerts_with_one_cause_are_one_incident() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    let start = now();
    for device in ["inlet-R1-1", "inlet-R2-1", "inlet-R2-2"] {
        send(redis, device, start, "33.0");
    }
    wait_notified(redis, &[("opened", "critical")]);
    send(redis, "inlet-R3-1", start + 1000, "33.0");
    wait_until_sync(DEADLINE, "it has joined", || {
        let last = records(redis).pop()?;
        last.3.contains("4 sensors in R1, R2, R3").then_some(())
    })
    .unwrap();
    for device in ["inlet-R1-1", "inlet-R2-1", "inlet-R2-2", "inlet-R3-1"] {
        send(redis, device, start + 2000, "24.0");
    }
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    let title = "too hot: room default, 4 sensors in R1, R2, R3";
    assert_eq!(records(redis).pop().unwrap().3, title);
    let shown = || collector.stdout().matches(" incident ").count();
    wait_until_sync(DEADLINE, "both are shown", || (shown() >= 2).then_some(())).unwrap();
    assert_eq!(shown(), 2, "{}", collector.stdout());
    for key in ["open", "members"] {
        let left: u64 = redis
            .hlen(format!("{{rackwatch:incidents}}:{key}"))
            .unwrap();
        assert_eq!(left, 0, "{key}");
    }
}

fn doomed(url: &str, failpoint: &str) -> Program {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            ("RACKWATCH_FAILPOINT", failpoint),
        ],
    )
    .unwrap()
}

#[test]
fn a_collector_killed_around_the_write_notifies_once() {
    for name in &failpoint::NAMES[failpoint::NAMES.len() - 2..] {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let mut first = doomed(&server.url(), name);
        // What has been acknowledged before is nothing: the first look at the streams is passed too.
        let start = now();
        send(redis, "inlet-R1-1", start, "33.0");
        first.wait_exit(DEADLINE).unwrap();
        let _second = running(&server.url());
        wait_notified(redis, &[("opened", "critical")]);
        send(redis, "inlet-R1-1", start + 1000, "24.0");
        wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
        wait_dealt_with(redis);
        assert_eq!(notified(redis).len(), 2);
    }
}

#[test]
fn another_collector_becomes_the_leader_and_the_incident_continues() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let _second = running(&server.url());
    first.kill().unwrap();
    send(redis, "inlet-R1-2", start + 1000, "33.0");
    send(redis, "inlet-R1-1", start + 2000, "24.0");
    send(redis, "inlet-R1-2", start + 3000, "24.0");
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
}

#[test]
fn a_redis_that_lost_everything_gets_incidents_again() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _collector = running(&server.url());
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    let () = redis::cmd("FLUSHALL").query(redis).unwrap();
    wait_until_sync(DEADLINE, "the groups are there again", || {
        let groups: redis::streams::StreamInfoGroupsReply =
            redis.xinfo_groups("anomaly_alerts").ok()?;
        let mut names = groups.groups.iter().map(|group| group.name.as_str());
        names
            .any(|name| name == "alert_correlator_group")
            .then_some(())
    })
    .unwrap();
    send(redis, "inlet-R2-1", start + 5000, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
}

#[test]
fn an_alert_that_is_old_when_read_notifies_only_if_it_lasts() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let _collector = running(&server.url());
    let start = now() - 3_600_000;
    send(redis, "inlet-R1-1", start, "33.0");
    send(redis, "inlet-R1-1", start + 60_000, "24.0");
    wait_until_sync(DEADLINE, "both alerts are there", || {
        (redis.xlen::<_, u64>("anomaly_alerts").ok()? >= 2).then_some(())
    })
    .unwrap();
    wait_dealt_with(redis);
    wait_until_sync(DEADLINE, "resolved", || {
        let open: u64 = redis.hlen("{rackwatch:incidents}:open").ok()?;
        (open == 0).then_some(())
    })
    .unwrap();
    assert!(notified(redis).is_empty(), "{:?}", records(redis));
}

/// Runs `rackwatch-collector` with these arguments to its end. Returns its exit code, stdout and stderr.
pub fn command(url: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut all = args.to_vec();
    all.extend(["--redis", url]);
    let mut program = collector(&all);
    let code = program.wait_exit(DEADLINE).unwrap().code();
    (code, program.stdout(), program.stderr())
}

const A_SECOND: Duration = Duration::from_secs(1);
