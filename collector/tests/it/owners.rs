//! Several collectors: who owns what, and what happens when one goes away.

use std::collections::BTreeSet;

use rackwatch_testing::{Program, RedisServer, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::{DEADLINE, alerts_of, collector, connect, running, send, wait_all_done};

const START: u64 = 1_795_438_931_000;

fn with_partitions(url: &str, partitions: &str) -> Program {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[
            ("TZ", "UTC"),
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            ("RACKWATCH_PARTITION__COUNT", partitions),
        ],
    )
    .unwrap()
}

/// Returns the owners of the first `partitions` partitions.
fn owners(redis: &mut Connection, partitions: usize) -> Vec<String> {
    let lease = |n: usize| format!("rackwatch:{{{n}}}:lease");
    (0..partitions)
        .filter_map(|n| redis.get::<_, Option<String>>(lease(n)).unwrap())
        .collect()
}

/// Waits until so many collectors own all four partitions, each its share.
fn wait_shared(redis: &mut Connection, collectors: usize) {
    wait_until_sync(DEADLINE, "the partitions are shared", || {
        let owners = owners(redis, 4);
        let different: BTreeSet<_> = owners.iter().collect();
        let even = different.iter().all(|name| {
            let owned = owners.iter().filter(|owner| owner == name).count();
            owned == 4 / collectors || owned == 4usize.div_ceil(collectors)
        });
        (owners.len() == 4 && different.len() == collectors && even).then_some(())
    })
    .unwrap();
}

#[test]
fn a_standby_takes_over_from_a_killed_owner_and_an_open_episode_goes_on() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    send(redis, "inlet-R1-1", START, "30.0");
    wait_all_done(redis);
    let mut second = running(&server.url());
    wait_until_sync(DEADLINE, "both are enrolled", || {
        (redis.zcard::<_, u64>("rackwatch:collectors").unwrap() == 2).then_some(())
    })
    .unwrap();
    first.kill().unwrap();
    send(redis, "inlet-R1-1", START + 1000, "22.0");
    wait_all_done(redis);
    second
        .wait_stderr_contains("partition taken over", DEADLINE)
        .unwrap();
    let reported: Vec<_> = alerts_of(redis, "high_temp")
        .into_iter()
        .map(|(_, state, _)| state)
        .collect();
    assert_eq!(reported, ["firing", "resolved"]);
    second.term().unwrap();
    assert!(second.wait_exit(DEADLINE).unwrap().success());
    let left: (u64, bool) = redis::pipe()
        .zcard("rackwatch:collectors")
        .exists("rackwatch:lease")
        .query(redis)
        .unwrap();
    assert_eq!(left, (0, false), "a clean stop leaves nothing owned");
}

#[test]
fn a_paused_owner_writes_nothing_more() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let first = running(&server.url());
    send(redis, "inlet-R1-1", START, "21.0");
    wait_all_done(redis);
    let second = running(&server.url());
    first.pause().unwrap();
    // The paused one may have been given this entry by its blocked read.
    send(redis, "inlet-R1-1", START + 1000, "33.0");
    wait_all_done(redis);
    let epoch: u64 = redis.hget("rackwatch:fence", "epoch").unwrap();
    assert_eq!(epoch, 2, "{}", second.stderr());
    first.resume().unwrap();
    first.wait_stderr_contains("lease lost", DEADLINE).unwrap();
    for second in 2..20 {
        send(redis, "inlet-R1-1", START + second * 1000, "33.0");
    }
    wait_all_done(redis);
    let records = alerts_of(redis, "high_temp");
    assert_eq!(records.len(), 1, "{records:?}");
    let epoch: u64 = redis.hget("rackwatch:fence", "epoch").unwrap();
    assert_eq!(epoch, 2);
    let dead: u64 = redis.xlen("raw_sensor_data:dead").unwrap();
    assert_eq!(dead, 0);
}

#[test]
fn partitions_are_shared_evenly_and_handed_over() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = with_partitions(&server.url(), "4");
    wait_shared(redis, 1);
    let mut second = with_partitions(&server.url(), "4");
    wait_shared(redis, 2);
    let third = with_partitions(&server.url(), "4");
    wait_shared(redis, 3);
    first.term().unwrap();
    assert!(first.wait_exit(DEADLINE).unwrap().success());
    wait_shared(redis, 2);
    second.kill().unwrap();
    wait_shared(redis, 1);
    // All are read, by one owner or another.
    for partition in 0..4 {
        let stream = format!("raw_sensor_data:{{{partition}}}");
        let at = START.to_string();
        let fields = [
            ("device_id", "inlet-R1-1"),
            ("temperature", "33.0"),
            ("timestamp", &at),
        ];
        let _id: String = redis.xadd(&stream, "*", &fields).unwrap();
        let alerts = format!("anomaly_alerts:{{{partition}}}");
        wait_until_sync(DEADLINE, "its alert", || {
            (redis.xlen::<_, u64>(&alerts).unwrap() == 1).then_some(())
        })
        .unwrap();
    }
    third.wait_stdout_contains("inlet-R1-1", DEADLINE).unwrap();
    let mut listed = collector(&["alerts", "--redis", &server.url()]);
    assert!(listed.wait_exit(DEADLINE).unwrap().success());
    assert_eq!(listed.stdout().lines().count(), 4, "{}", listed.stdout());
}

#[test]
fn status_names_owners_and_partitions_without_one() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut owner = with_partitions(&server.url(), "4");
    wait_shared(redis, 1);
    wait_until_sync(DEADLINE, "all groups are there", || {
        let mut groups = |stream: String| {
            let known: redis::RedisResult<redis::streams::StreamInfoGroupsReply> =
                redis.xinfo_groups(stream);
            known.map_or(0, |known| known.groups.len())
        };
        let mut all = (0..4).map(|n| {
            groups(format!("raw_sensor_data:{{{n}}}")) + groups(format!("anomaly_alerts:{{{n}}}"))
        });
        all.all(|count| count == 3).then_some(())
    })
    .unwrap();
    let status = |code| {
        let mut status = collector(&["status", "--redis", &server.url()]);
        let ended = status.wait_exit(DEADLINE).unwrap();
        assert_eq!(ended.code(), Some(code), "{}", status.stdout());
        status.stdout()
    };
    assert!(status(0).contains("owns partitions 0, 1, 2, 3"));
    owner.kill().unwrap();
    wait_until_sync(DEADLINE, "the leases run out", || {
        owners(redis, 4).is_empty().then_some(())
    })
    .unwrap();
    assert!(status(1).contains("no collector owns the readings"));
}

#[test]
fn another_partitioning_over_readings_is_refused() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    send(redis, "inlet-R1-1", START, "21.0");
    let mut refused = with_partitions(&server.url(), "4");
    assert_eq!(refused.wait_exit(DEADLINE).unwrap().code(), Some(1));
    let error = refused.stderr();
    assert!(error.contains("partitions resize"), "{error}");
    // Without the key it takes what is there.
    let _plain = running(&server.url());
    wait_all_done(redis);
    let mut refused = with_partitions(&server.url(), "4");
    assert_eq!(refused.wait_exit(DEADLINE).unwrap().code(), Some(1));
    let error = refused.stderr();
    assert!(
        error.contains("4 partitions") && error.contains("no partitions"),
        "{error}"
    );
}
