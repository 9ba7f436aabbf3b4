//! Redis in trouble: whatever it is, nothing is lost, nothing is recorded twice, and the log is short.

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::publisher::Summary;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_runtime::config::RedisConfig;
use rackwatch_testing::{
    FaultProxy, Program, RedisSentinel, RedisServer, wait_until, wait_until_sync,
};
use redis::{Commands, Connection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rig::{
    DEADLINE, alerts_of, collector, connect, plain_series, running, send, wait_all_done,
};

const START: u64 = 1_795_438_931_000;

/// Asserts that each outage logged fewer than twenty lines: state changes, not retries.
fn assert_quiet(collector: &Program, outages: usize) {
    let log = collector.stderr();
    assert!(log.lines().count() < 20 * outages, "{log}");
}

/// A device that is hot on even seconds and cool on odd ones: one episode every two seconds.
struct Swinging {
    seconds: u64,
}

impl Swinging {
    fn send(&mut self, redis: &mut Connection, seconds: u64) {
        for _ in 0..seconds {
            let temperature = if self.seconds.is_multiple_of(2) {
                "30.0"
            } else {
                "22.0"
            };
            send(
                redis,
                "inlet-R1-1",
                START + self.seconds * 1000,
                temperature,
            );
            self.seconds += 1;
        }
    }

    /// Asserts that each reading was stored once, and each episode recorded once.
    fn assert_whole(&self, redis: &mut Connection) {
        assert_eq!(plain_series(redis, "inlet-R1-1").len() as u64, self.seconds);
        let states = alerts_of(redis, "high_temp")
            .into_iter()
            .map(|(_, state, _)| state);
        let states: Vec<_> = states.collect();
        let expected = ["firing", "resolved"].into_iter().cycle();
        let expected: Vec<_> = expected.take(states.len()).collect();
        assert_eq!(states, expected);
        assert_eq!(states.len() as u64, self.seconds);
    }
}

#[test]
fn connections_that_break_hang_or_lose_answers_do_no_harm() {
    let server = RedisServer::start().unwrap();
    let proxy = FaultProxy::before(server.port()).unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&proxy.url());
    let mut device = Swinging { seconds: 0 };
    let faults = [
        FaultProxy::cut,
        FaultProxy::lose_answers,
        FaultProxy::freeze,
    ];
    for round in 0..6 {
        device.send(redis, 4);
        wait_all_done(redis);
        faults[round % 3](&proxy);
        device.send(redis, 4);
        wait_all_done(redis);
    }
    device.assert_whole(redis);
    assert_quiet(&collector, 3);
}

#[test]
fn a_redis_that_refuses_is_waited_for_and_reported_once() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    let mut device = Swinging { seconds: 0 };
    let set = |redis: &mut Connection, words: &[&str]| {
        redis::cmd(words[0]).arg(&words[1..]).exec(redis).unwrap();
    };
    let troubles: [(&[&str], &[&str], &str); 2] = [
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
            "OOM",
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            &["REPLICAOF", "NO", "ONE"],
            "read only",
        ),
    ];
    for (count, (begin, end, word)) in (1..).zip(troubles) {
        device.send(redis, 4);
        wait_all_done(redis);
        set(redis, begin);
        collector.wait_stderr_contains(word, DEADLINE).unwrap();
        set(redis, end);
        device.send(redis, 4);
        wait_all_done(redis);
        wait_until_sync(DEADLINE, "it says that all is well", || {
            let lines = collector.stderr().matches("accepting writes again").count();
            (lines == count).then_some(())
        })
        .unwrap();
        let log = collector.stderr();
        assert_eq!(log.matches(word).count(), 1, "{log}");
    }
    device.assert_whole(redis);
    assert_quiet(&collector, 1);
}

#[test]
fn a_restart_that_keeps_its_data_loses_nothing() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes"]).unwrap();
    let collector = running(&server.url());
    let mut device = Swinging { seconds: 0 };
    for _ in 0..3 {
        let redis = &mut connect(&server.url());
        device.send(redis, 4);
        wait_all_done(redis);
        device.send(redis, 2);
        // Redis writes its log before it answers; a kill does not take that back.
        server.restart().unwrap();
    }
    let redis = &mut connect(&server.url());
    wait_all_done(redis);
    device.assert_whole(redis);
    assert_quiet(&collector, 1);
}

#[test]
fn a_redis_that_loads_its_data_is_waited_for() {
    // Each key takes a tenth of a second to load; between two kilobytes Redis looks up, and answers.
    let mut server = RedisServer::start_with(&[
        "--appendonly",
        "yes",
        "--rdbcompression",
        "no",
        "--key-load-delay",
        "100000",
        "--loading-process-events-interval-bytes",
        "1024",
    ])
    .unwrap();
    let collector = running(&server.url());
    let mut device = Swinging { seconds: 0 };
    let redis = &mut connect(&server.url());
    device.send(redis, 4);
    wait_all_done(redis);
    for n in 0..40 {
        let _: () = redis.set(format!("filler:{n}"), "x".repeat(2_048)).unwrap();
    }
    // Keys, not the commands that made them: only those are loaded slowly.
    redis::cmd("BGREWRITEAOF").exec(redis).unwrap();
    wait_until_sync(DEADLINE, "the log is rewritten", || {
        let info: String = redis::cmd("INFO").arg("persistence").query(redis).ok()?;
        info.contains("aof_rewrite_in_progress:0").then_some(())
    })
    .unwrap();
    server.restart().unwrap();
    collector
        .wait_stderr_contains("it is loading its data", DEADLINE)
        .unwrap();
    let redis = &mut connect(&server.url());
    device.send(redis, 4);
    wait_all_done(redis);
    device.assert_whole(redis);
    let log = collector.stderr();
    assert_eq!(log.matches("it is loading its data").count(), 1, "{log}");
    assert_quiet(&collector, 1);
}

#[test]
fn entries_that_were_trimmed_while_they_were_pending_are_let_go() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let entry = |redis: &mut Connection, n: u64| {
        let (at, seq) = ((START + n * 1000).to_string(), format!("r-{n}"));
        let fields = [
            ("device_id", "inlet-R1-1"),
            ("temperature", "21.0"),
            ("timestamp", &at),
            ("agent", "node7"),
            ("seq", &seq),
        ];
        crate::rig::xadd(redis, &fields);
    };
    let listen = format!("127.0.0.1:{}", rackwatch_testing::free_port().unwrap());
    let mut doomed = Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", &server.url(), "--listen", &listen],
        &[
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            ("RACKWATCH_FAILPOINT", "before store:2"),
        ],
    )
    .unwrap();
    entry(redis, 1);
    wait_all_done(redis);
    entry(redis, 2);
    doomed.wait_exit(DEADLINE).unwrap();
    entry(redis, 3);
    let _: u64 = redis::cmd("XTRIM")
        .arg("raw_sensor_data")
        .arg(&["MAXLEN", "0"])
        .query(redis)
        .unwrap();
    entry(redis, 4);
    let collector = running(&server.url());
    wait_all_done(redis);
    assert_eq!(plain_series(redis, "inlet-R1-1").len(), 2);
    let losses: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:losses").unwrap();
    let range = |entry: &redis::streams::StreamId| {
        ["from", "to"].map(|name| entry.get::<u64>(name).unwrap())
    };
    let losses: Vec<_> = losses.ids.iter().map(range).collect();
    assert_eq!(losses, [[2, 3]], "{}", collector.stderr());
}

#[test]
fn sentinels_lead_to_the_new_master() {
    let mut site = RedisSentinel::start().unwrap();
    let collector = running(&site.url());
    let mut device = Swinging { seconds: 0 };
    let redis = &mut connect(&site.initial_master().url());
    device.send(redis, 6);
    wait_all_done(redis);
    // All of it is on the replica before the master goes.
    let copied: u32 = redis::cmd("WAIT").arg(1).arg(0).query(redis).unwrap();
    assert_eq!(copied, 1);
    site.initial_master().stop().unwrap();
    let url = site.initial_replica().url();
    // A promoted server drops its connections.
    wait_until_sync(DEADLINE, "the replica is the master", || {
        let redis = &mut redis::Client::open(url.as_str())
            .ok()?
            .get_connection()
            .ok()?;
        let role: (String, redis::Value, redis::Value) = redis::cmd("ROLE").query(redis).ok()?;
        (role.0 == "master").then_some(())
    })
    .unwrap();
    let redis = &mut connect(&url);
    device.send(redis, 6);
    wait_all_done(redis);
    device.assert_whole(redis);
    assert_quiet(&collector, 1);
}

/// The master takes readings that its replica never gets, and dies: the replica knows nothing of
/// them, nor of what the collector did with them.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_lost_is_sent_again() {
    let mut site = RedisSentinel::start().unwrap();
    let url = site.url();
    let collector = running(&url);
    let stop = CancellationToken::new();
    let agent = agent(&url, &stop);
    let entries = |server: &RedisServer| {
        let client = redis::Client::open(server.url()).unwrap();
        let connection = client.get_connection();
        connection
            .and_then(|mut redis| redis.xlen::<_, u64>("raw_sensor_data"))
            .unwrap_or(0)
    };
    let wait_for = async |server: &RedisServer, more_than: u64| {
        let there = wait_until(DEADLINE, "readings come", async || {
            (entries(server) > more_than).then_some(())
        });
        there.await.unwrap();
    };
    wait_for(site.initial_master(), 100).await;
    wait_for(site.initial_replica(), 100).await;
    // The replica has no master from here on.
    let replica = site.initial_replica().client();
    redis::cmd("REPLICAOF")
        .arg(&["127.0.0.1", "1"])
        .exec(&mut replica.get_connection().unwrap())
        .unwrap();
    let stale = entries(site.initial_replica());
    wait_for(site.initial_master(), stale + 100).await;
    site.initial_master().stop().unwrap();
    assert_eq!(
        entries(site.initial_replica()),
        stale,
        "the last hundred are lost"
    );
    wait_for(site.initial_replica(), stale + 200).await;
    stop.cancel();
    let sent = agent.await.unwrap();
    assert_eq!((sent.dropped, sent.unsent), (0, 0));

    let redis = &mut connect(&site.initial_replica().url());
    let loss_ledger = |redis: &mut Connection| redis.xlen::<_, u64>("rackwatch:losses").unwrap();
    wait_until_sync(DEADLINE, "every entry is acknowledged", || {
        crate::rig::all_done(redis)
    })
    .unwrap();
    assert_eq!(loss_ledger(redis), 0, "{}", collector.stderr());
    // The agent's numbers count its readings: each is stored, whatever was sent twice.
    let runs: Vec<String> = redis.hvals("rackwatch:ledger").unwrap();
    let run: serde_json::Value = serde_json::from_str(&runs[0]).unwrap();
    let produced = run["runs"][0]["last"].as_u64().unwrap();
    let mut stored = 0;
    for key in redis.keys::<_, Vec<String>>("sensor:*:temp").unwrap() {
        // A batch that was under way may have been stored before what was lost came again.
        let late: u64 = redis.zcard(format!("{key}:late")).unwrap();
        stored += redis.xlen::<_, u64>(&key).unwrap() + late;
    }
    assert_eq!(stored, produced, "{}", collector.stderr());
    let records: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let identity = |entry: &redis::streams::StreamId| {
        ["alert_id", "severity", "state"].map(|name| entry.get::<String>(name).unwrap())
    };
    let different: BTreeSet<_> = records.ids.iter().map(identity).collect();
    assert_eq!(different.len(), records.ids.len(), "none is there twice");
    assert_quiet(&collector, 1);
}

/// Starts an agent that reads eight simulated inlets twenty times per second.
fn agent(url: &str, stop: &CancellationToken) -> JoinHandle<Summary> {
    let simulated = SimulatedConfig {
        enabled: true,
        interval: Duration::from_millis(50),
        ..SimulatedConfig::default()
    };
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Simulated::new(&simulated).unwrap())];
    let config = AgentConfig {
        redis: RedisConfig {
            url: url.into(),
            ..RedisConfig::default()
        },
        ..AgentConfig::default()
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        let ran = pipeline(&config, sources, stop).await;
        ran.unwrap()
    })
}

/// Redis 7.0 to 8.0 go on counting entries that were trimmed unread.
#[test]
fn entries_trimmed_unread_are_not_behind_for_ever() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut first = running(&server.url());
    send(redis, "inlet-R1-1", START, "22.0");
    wait_all_done(redis);
    first.kill().unwrap();
    let mut fill = redis::pipe();
    for _ in 0..10_100 {
        fill.cmd("XADD")
            .arg(&["raw_sensor_data", "*", "a", "b"])
            .ignore();
    }
    fill.exec(redis).unwrap();
    let _: u64 = redis
        .xtrim("raw_sensor_data", redis::streams::StreamMaxlen::Equals(0))
        .unwrap();
    let _second = running(&server.url());
    send(redis, "inlet-R1-1", START + 1000, "22.0");
    wait_all_done(redis);
    let mut status = collector(&["status", "--json", "--redis", &server.url()]);
    status.wait_exit(DEADLINE).unwrap();
    let report: serde_json::Value = serde_json::from_str(&status.stdout()).unwrap();
    let groups = report["facts"]["groups"].as_array().unwrap();
    let detector = groups
        .iter()
        .find(|group| group["name"] == "anomaly_detector_group");
    assert_eq!(detector.unwrap()["lag"], 0, "{report}");
    assert!(!status.stdout().contains("entries behind"), "{report}");
}

/// A stream of a megabyte and more, which a save covers, fills Redis up to its limit.
#[test]
fn a_redis_that_our_own_stream_fills_accepts_writes_again() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let listen = format!("127.0.0.1:{}", rackwatch_testing::free_port().unwrap());
    let collector = Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", &server.url(), "--listen", &listen],
        &[("RACKWATCH_PARTITION__SAVE_EVERY", "300ms")],
    )
    .unwrap();
    let note = "x".repeat(4000);
    // Not the past: readings beyond the retention may go.
    let start = rackwatch_runtime::clock::now().millis() - 3_000_000;
    let add = |redis: &mut Connection, n: u64| {
        let at = (start + n * 1000).to_string();
        let fields = [
            ("device_id", "inlet-R1-1"),
            ("temperature", "22.0"),
            ("timestamp", &at),
            ("note", &note),
        ];
        redis.xadd::<_, _, _, _, String>("raw_sensor_data", "*", &fields)
    };
    for n in 0..1000 {
        add(redis, n).unwrap();
    }
    wait_all_done(redis);
    let last: redis::streams::StreamRangeReply = redis
        .xrevrange_count("raw_sensor_data", "+", "-", 1)
        .unwrap();
    wait_until_sync(DEADLINE, "detector state of all entries is saved", || {
        let slices: Vec<String> = redis.hvals("rackwatch:snapshot").ok()?;
        let is_saved = |slice: &String| slice.contains(&last.ids[0].id);
        (!slices.is_empty() && slices.iter().all(is_saved)).then_some(())
    })
    .unwrap();
    let used: String = redis::cmd("INFO").arg("memory").query(redis).unwrap();
    let used = used
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let limit: u64 = used.unwrap().trim().parse::<u64>().unwrap() - 1_000_000;
    let _: () = redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory"])
        .arg(limit)
        .query(redis)
        .unwrap();
    wait_until_sync(DEADLINE, "redis accepts writes again", || {
        add(redis, 1000).ok()
    })
    .unwrap();
    wait_all_done(redis);
    assert_eq!(
        plain_series(redis, "inlet-R1-1").len(),
        1001,
        "nothing is lost"
    );
    collector
        .wait_stderr_contains("deleted evaluated entries", DEADLINE)
        .unwrap();
}

#[test]
fn a_redis_that_drops_keys_is_warned_of() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    for (key, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        let _: () = redis::cmd("CONFIG")
            .arg(&["SET", key, value])
            .query(redis)
            .unwrap();
    }
    for command in ["status", "check"] {
        let mut program = collector(&[command, "--redis", &server.url()]);
        program.wait_exit(DEADLINE).unwrap();
        let text = program.stdout();
        assert!(text.contains("maxmemory-policy allkeys-lru"), "{text}");
    }
}
