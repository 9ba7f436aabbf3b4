//! Resizing partitions while agents and collectors run, without lost readings or repeated alerts.

use std::collections::BTreeSet;

use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::publisher::Summary;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_collector::failpoint;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_runtime::config::RedisConfig;
use rackwatch_testing::{Program, RedisServer, wait_until, wait_until_sync};
use redis::{Commands, Connection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, collector, connect, running};

/// Starts an agent that reads eight simulated sensors, some of them faulty, ten times per second.
fn agent(url: &str, stop: &CancellationToken) -> JoinHandle<Summary> {
    let simulated = SimulatedConfig {
        enabled: true,
        racks: 2,
        sensors: 8,
        seed: 1,
        interval: std::time::Duration::from_millis(100),
        scenario: "demo".to_owned(),
    };
    let mut config = AgentConfig {
        redis: RedisConfig {
            url: url.into(),
            ..RedisConfig::default()
        },
        ..AgentConfig::default()
    };
    "hall-1".clone_into(&mut config.agent.zone);
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Simulated::new(&simulated).unwrap())];
    let stop = stop.clone();
    tokio::spawn(async move { pipeline(&config, sources, stop).await.unwrap() })
}

/// Counts the stored readings.
fn count_stored(redis: &mut Connection) -> u64 {
    let keys: Vec<String> = redis.keys("sensor:*:temp").unwrap();
    keys.iter()
        .map(|key| redis.xlen::<_, u64>(key).unwrap())
        .sum()
}

/// Waits until `more` further readings are stored.
async fn wait_for_more(redis: &mut Connection, more: u64) {
    let target = count_stored(redis) + more;
    wait_until(DEADLINE, "readings are stored", async || {
        (count_stored(redis) >= target).then_some(())
    })
    .await
    .unwrap();
}

fn resize(url: &str, partitions: &str) -> String {
    let mut resize = collector(&["partitions", "resize", partitions, "--redis", url]);
    let ended = resize.wait_exit(DEADLINE).unwrap();
    assert_eq!(ended.code(), Some(0), "{}", resize.stderr());
    resize.stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn resizing_loses_and_repeats_nothing() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let redis = &mut connect(&url);
    let stop = CancellationToken::new();
    let mut running_collector = running(&url);
    let agent = agent(&url, &stop);
    wait_for_more(redis, 400).await;
    let sizes = [
        ("4", "Resized to 4 partitions:"),
        ("2", "Resized to 2 partitions:"),
        ("0", "Resized to no partitions:"),
    ];
    for (partitions, expected) in sizes {
        let out = resize(&url, partitions);
        assert!(out.starts_with(expected), "{out}");
        wait_for_more(redis, 400).await;
    }
    stop.cancel();
    let summary = agent.await.unwrap();
    assert_eq!((summary.dropped, summary.unsent), (0, 0));
    wait_until(DEADLINE, "all readings are stored", async || {
        (count_stored(redis) == summary.readings).then_some(())
    })
    .await
    .unwrap();

    let entries: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let record = |entry: &redis::streams::StreamId| {
        ["alert_id", "severity", "state"].map(|name| entry.get::<String>(name).unwrap())
    };
    let records: Vec<_> = entries.ids.iter().map(record).collect();
    let distinct: BTreeSet<_> = records.iter().collect();
    assert_eq!(distinct.len(), records.len(), "no record is repeated");
    assert!(!records.is_empty());
    assert!(!redis.exists::<_, bool>("rackwatch:losses").unwrap());
    let mut left: Vec<String> = redis.keys("*{*").unwrap();
    // Incidents have no partitions, and rack aggregates expire.
    left.retain(|key| !key.starts_with("{rackwatch:incidents}") && !key.ends_with(":racks"));
    assert!(left.is_empty(), "{left:?}");
    let left: Vec<String> = redis.keys("*:aside").unwrap();
    assert!(left.is_empty(), "{left:?}");
    running_collector.term().unwrap();
    assert!(running_collector.wait_exit(DEADLINE).unwrap().success());
}

#[test]
fn resizing_with_waiting_entries_and_no_collector_is_refused() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    crate::rig::send(redis, "inlet-R1-1", 1_795_438_931_000, "30.0");
    let url = server.url();
    let mut refused = collector(&[
        "partitions",
        "resize",
        "4",
        "--timeout",
        "1s",
        "--redis",
        &url,
    ]);
    assert_eq!(refused.wait_exit(DEADLINE).unwrap().code(), Some(1));
    let error = refused.stderr();
    assert!(error.contains("no collector is running"), "{error}");
    assert!(!redis.exists::<_, bool>("rackwatch:layout").unwrap());
    assert_eq!(redis.xlen::<_, u64>("raw_sensor_data").unwrap(), 1);
}

#[test]
fn an_open_episode_moves_with_its_device() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let redis = &mut connect(&url);
    let start = 1_795_438_931_000;
    let _running = running(&url);
    crate::rig::send(redis, "inlet-R1-1", start, "30.0");
    crate::rig::wait_all_done(redis);
    resize(&url, "4");
    let mut show = collector(&["partitions", "show", "--zone", "default", "--redis", &url]);
    show.wait_exit(DEADLINE).unwrap();
    let out = show.stdout();
    let partition = out.split("Zone default publishes to partition ").nth(1);
    let partition = partition.unwrap_or_else(|| panic!("{out}")).trim();
    let stream = format!("raw_sensor_data:{{{partition}}}");
    let alerts = format!("anomaly_alerts:{{{partition}}}");
    let at = (start + 1000).to_string();
    let fields = [
        ("device_id", "inlet-R1-1"),
        ("temperature", "22.0"),
        ("timestamp", &at),
    ];
    let _id: String = redis.xadd(&stream, "*", &fields).unwrap();
    wait_until_sync(
        DEADLINE,
        "the alert is resolved, and the drop fires",
        || (redis.xlen::<_, u64>(&alerts).unwrap() == 3).then_some(()),
    )
    .unwrap();
    let entries: redis::streams::StreamRangeReply = redis.xrange_all(&alerts).unwrap();
    let records: Vec<_> = entries
        .ids
        .iter()
        .map(|entry| {
            (
                entry.get::<String>("type").unwrap(),
                entry.get::<String>("state").unwrap(),
            )
        })
        .collect();
    assert!(
        records.contains(&("high_temp".to_owned(), "resolved".to_owned())),
        "{records:?}"
    );
    assert!(
        records.contains(&("drop".to_owned(), "firing".to_owned())),
        "{records:?}"
    );
}

#[test]
fn an_episode_of_an_agent_moves_with_the_agent() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let running_collector = running(&server.url());
    let description = r#"{"agent":"node9","zone":"hall-2","role":"inlet"}"#;
    let _: () = redis
        .hset("rackwatch:devices", "inlet-R1-1", description)
        .unwrap();
    let send = |redis: &mut Connection, stream: &str, n: u64, skew: &str| {
        let (seq, at) = (
            format!("r1-{n}"),
            (1_795_438_931_000 + n * 1000).to_string(),
        );
        let fields = [
            ("device_id", "inlet-R1-1"),
            ("temperature", "22.0"),
            ("timestamp", &at),
            ("agent", "node9"),
            ("seq", &seq),
            ("skew", skew),
        ];
        let _id: String = redis.xadd(stream, "*", &fields).unwrap();
    };
    let wait_for_record = |redis: &mut Connection, stream: &str, state: &str| {
        wait_until_sync(DEADLINE, state, || {
            let records: redis::streams::StreamRangeReply = redis.xrange_all(stream).ok()?;
            let last = records.ids.last()?;
            let is = |field, value: &str| last.get::<String>(field).as_deref() == Some(value);
            (is("type", "clock_skew") && is("state", state)).then_some(())
        })
        .unwrap();
    };
    send(redis, "raw_sensor_data", 1, "60000");
    wait_for_record(redis, "anomaly_alerts", "firing");
    resize(&server.url(), "4");
    let keys = PartitionKeys::of(Partitions::new(4).unwrap().of_zone("hall-2"));
    let default_partition = Partitions::new(4).unwrap().of_zone("default");
    assert_ne!(
        PartitionKeys::of(default_partition),
        keys,
        "the zones must be in different partitions"
    );
    wait_for_record(redis, &keys.alerts, "firing");
    send(redis, &keys.raw, 2, "0");
    wait_for_record(redis, &keys.alerts, "resolved");
    assert_eq!(running_collector.stderr().matches("ERROR").count(), 0);
}

#[test]
fn plain_clients_are_read_after_partitioning() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let redis = &mut connect(&url);
    let described = r#"{"v":1,"agent":"host7","zone":"hall-2","role":"inlet"}"#;
    let _: () = redis
        .hset("rackwatch:devices", "inlet-R2-1", described)
        .unwrap();
    let _running = running(&url);
    resize(&url, "4");
    let start = 1_795_438_931_000;
    for second in 0..8 {
        for device in ["inlet-R1-1", "inlet-R2-1"] {
            crate::rig::send(redis, device, start + second * 1000, "40.0");
        }
    }
    wait_until_sync(DEADLINE, "all readings are stored", || {
        let stored = ["inlet-R1-1", "inlet-R2-1"]
            .map(|device| crate::rig::plain_series(redis, device).len());
        (stored == [8, 8]).then_some(())
    })
    .unwrap();
    assert_eq!(redis.xlen::<_, u64>("raw_sensor_data").unwrap(), 0);
    // Each alert is where the partition of its zone writes.
    let four = Partitions::new(4).unwrap();
    for zone in ["default", "hall-2"] {
        let alerts = PartitionKeys::of(four.of_zone(zone)).alerts;
        wait_until_sync(DEADLINE, "the alert is written", || {
            (redis.xlen::<_, u64>(&alerts).unwrap() > 0).then_some(())
        })
        .unwrap();
    }
}

/// A collector with an open episode, a loss and a dead letter.
fn with_state(url: &str) -> (Connection, Program) {
    let mut redis = connect(url);
    let running = running(url);
    for n in [1, 5] {
        let (seq, at) = (format!("r1-{n}"), (START + n * 1000).to_string());
        let fields = [
            ("device_id", "inlet-R2-1"),
            ("temperature", "22.0"),
            ("timestamp", at.as_str()),
            ("agent", "node9"),
            ("seq", &seq),
        ];
        crate::rig::xadd(&mut redis, &fields);
    }
    crate::rig::xadd(&mut redis, &[("device_id", "inlet-R1-1")]);
    crate::rig::send(&mut redis, "inlet-R1-1", START, "30.0");
    crate::rig::wait_all_done(&mut redis);
    // A group of another program, which has read nothing yet.
    let () = redis.xgroup_create("anomaly_alerts", "mine", "0").unwrap();
    (redis, running)
}

/// Returns the devices of the records that the group `mine` has not read, over four partitions.
fn unread_of_mine(redis: &mut Connection) -> Vec<String> {
    let mut devices = Vec::new();
    for keys in Partitions::new(4).unwrap().all().map(PartitionKeys::of) {
        let read: Option<redis::streams::StreamReadReply> = redis::cmd("XREADGROUP")
            .arg(&["GROUP", "mine", "me", "STREAMS", &keys.alerts, ">"])
            .query(redis)
            .unwrap();
        let entries = read.into_iter().flat_map(|read| read.keys);
        let entries = entries.flat_map(|stream| stream.ids);
        devices.extend(entries.filter_map(|entry| entry.get::<String>("device_id")));
    }
    devices
}

const START: u64 = 1_795_438_931_000;

/// Returns the number of entries of a kind of stream, over all partitions of `count`.
fn entries_of(redis: &mut Connection, count: u16, which: fn(&PartitionKeys) -> &String) -> u64 {
    let all = Partitions::new(count).unwrap().all().map(PartitionKeys::of);
    all.map(|keys| redis.xlen::<_, u64>(which(&keys)).unwrap())
        .sum()
}

/// Kills a resize to four partitions at `failpoint`, and runs it again.
fn kill_and_resume(failpoint: &str) {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let (mut redis, collector) = with_state(&url);
    let redis = &mut redis;
    let args = ["partitions", "resize", "4", "--redis", &url];
    let kill = |failpoint: &str| {
        let exe = env!("CARGO_BIN_EXE_rackwatch-collector");
        let mut killed = Program::spawn(exe, &args, &[("RACKWATCH_FAILPOINT", failpoint)]).unwrap();
        let ended = killed.wait_exit(DEADLINE).unwrap();
        assert_eq!(ended.code(), None, "{failpoint}: {}", killed.stderr());
    };
    let is_of_straggler = failpoint == "resize straggler moved";
    if failpoint == "resize resolution moved" {
        // A request that no owner takes in, since it is about no open alert of that partition.
        let request =
            format!("{{\"v\":1,\"device\":\"inlet-R7-1\",\"by\":\"ann\",\"at_ms\":{START}}}");
        drop(collector);
        let () = redis
            .hset("rackwatch:resolutions", "ffff", request)
            .unwrap();
        kill(failpoint);
        resize(&url, "4");
        let keys = PartitionKeys::of(Partitions::new(4).unwrap().of_zone("default"));
        assert!(
            redis
                .hexists::<_, _, bool>(keys.resolutions, "ffff")
                .unwrap()
        );
        return;
    }
    kill(if is_of_straggler {
        "resize planned"
    } else {
        failpoint
    });
    // A plain client does not know of the change: its reading waits in the old stream.
    crate::rig::send(redis, "inlet-R1-2", START + 1000, "21.0");
    if is_of_straggler {
        kill(failpoint);
    }
    let out = resize(&url, "4");
    assert!(
        out.starts_with("Resized to 4 partitions"),
        "{failpoint}: {out}"
    );
    wait_until_sync(DEADLINE, "the late reading is stored", || {
        redis
            .xlen::<_, u64>("sensor:inlet-R1-2:temp")
            .ok()
            .filter(|stored| *stored == 1)
    })
    .unwrap_or_else(|error| panic!("{failpoint}: {error}: {}", collector.stderr()));
    let partitioning: std::collections::BTreeMap<String, String> =
        redis.hgetall("rackwatch:layout").unwrap();
    let expected = [("partitions", "4"), ("state", "set")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(partitioning, expected.into(), "{failpoint}");
    // Nothing is lost, and nothing is there twice.
    assert_eq!(entries_of(redis, 4, |keys| &keys.alerts), 1, "{failpoint}");
    assert_eq!(entries_of(redis, 4, |keys| &keys.losses), 1, "{failpoint}");
    assert_eq!(entries_of(redis, 4, |keys| &keys.dead), 1, "{failpoint}");
    assert_eq!(unread_of_mine(redis), ["inlet-R1-1"], "{failpoint}");
    let left: Vec<String> = redis.keys("*:aside").unwrap();
    assert!(left.is_empty(), "{failpoint}: {left:?}");
    // Once more changes nothing.
    resize(&url, "4");
    // The episode goes on where it was: it ends, and does not fire again.
    crate::rig::send(redis, "inlet-R1-1", START + 2000, "30.5");
    crate::rig::send(redis, "inlet-R1-1", START + 3000, "27.0");
    let records = |redis: &mut Connection| -> Vec<String> {
        let keys = PartitionKeys::of(Partitions::new(4).unwrap().of_zone("default"));
        let all: redis::streams::StreamRangeReply = redis.xrange_all(keys.alerts).unwrap();
        let of_kind = all
            .ids
            .iter()
            .filter(|entry| entry.get::<String>("type").as_deref() == Some("high_temp"));
        of_kind.map(|entry| entry.get("state").unwrap()).collect()
    };
    wait_until_sync(DEADLINE, "the alert is resolved", || {
        (records(redis).last()? == "resolved").then_some(())
    })
    .unwrap_or_else(|error| panic!("{failpoint}: {error}: {}", collector.stderr()));
    assert_eq!(records(redis), ["firing", "resolved"], "{failpoint}");
}

#[test]
fn a_resize_that_is_killed_anywhere_is_finished_by_the_next() {
    let left = std::sync::Mutex::new(failpoint::RESIZE.to_vec());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(failpoint) = left.lock().unwrap().pop() else {
                        break;
                    };
                    kill_and_resume(failpoint);
                }
            });
        }
    });
}

#[test]
fn a_killed_resize_is_finished_before_one_to_another_number() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let (mut redis, _collector) = with_state(&url);
    let args = ["partitions", "resize", "4", "--redis", &url];
    let env = [("RACKWATCH_FAILPOINT", "resize episode moved")];
    let exe = env!("CARGO_BIN_EXE_rackwatch-collector");
    let mut killed = Program::spawn(exe, &args, &env).unwrap();
    assert_eq!(killed.wait_exit(DEADLINE).unwrap().code(), None);
    let out = resize(&url, "2");
    assert!(out.starts_with("Resized to 2 partitions"), "{out}");
    assert_eq!(entries_of(&mut redis, 2, |keys| &keys.alerts), 1);
    assert_eq!(entries_of(&mut redis, 2, |keys| &keys.losses), 1);
}

#[test]
fn garbage_in_the_partitioning_is_an_error_that_names_the_key() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let redis = &mut connect(&url);
    let show = || {
        let mut show = collector(&["partitions", "show", "--redis", &url]);
        assert_eq!(show.wait_exit(DEADLINE).unwrap().code(), Some(1));
        show.stderr()
    };
    for (field, value) in [
        ("partitions", "many"),
        ("partitions", "70000"),
        ("partitions", "-1"),
        ("state", "odd"),
    ] {
        let _: () = redis.del("rackwatch:layout").unwrap();
        let _: () = redis.hset("rackwatch:layout", "partitions", "4").unwrap();
        let _: () = redis.hset("rackwatch:layout", field, value).unwrap();
        let error = show();
        for part in ["rackwatch:layout", field, value, "HSET rackwatch:layout"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    let _: () = redis.del("rackwatch:layout").unwrap();
    let _: () = redis.set("rackwatch:layout", "text").unwrap();
    let error = show();
    assert!(error.contains("rackwatch:layout is not a hash"), "{error}");
}

#[test]
fn what_waits_for_a_reader_or_an_owner_is_carried_over() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let (mut redis, mut collector) = with_state(&url);
    let redis = &mut redis;
    collector.term().unwrap();
    collector.wait_exit(DEADLINE).unwrap();
    // An alert that neither the console nor the correlator has read, and a request that no owner has taken in.
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let open: String = all.ids[0].get("alert_id").unwrap();
    let now = rackwatch_runtime::clock::now().millis();
    let mut fields: std::collections::BTreeMap<String, String> = all.ids[0]
        .map
        .iter()
        .map(|(name, value)| (name.clone(), redis::from_redis_value_ref(value).unwrap()))
        .collect();
    fields.insert("alert_id".to_owned(), "00000000deadbeef".to_owned());
    fields.insert("device_id".to_owned(), "inlet-R8-1".to_owned());
    fields.insert("severity".to_owned(), "critical".to_owned());
    fields.insert("timestamp".to_owned(), now.to_string());
    fields.remove("historical");
    let fields: Vec<_> = fields.into_iter().collect();
    let _id: String = redis.xadd("anomaly_alerts", "*", &fields).unwrap();
    let request = format!("{{\"v\":1,\"device\":\"inlet-R1-1\",\"by\":\"ann\",\"at_ms\":{now}}}");
    let () = redis.hset("rackwatch:resolutions", &open, request).unwrap();
    let () = redis.expire("rackwatch:resolutions", 600).unwrap();
    // As a leader that was still busy with other alerts leaves it.
    let fence = "{rackwatch:incidents}:fence";
    let () = redis.hset(fence, "through", now + 60_000).unwrap();

    resize(&url, "4");
    let resolutions = Partitions::new(4).unwrap().all().map(PartitionKeys::of);
    let ttl: Vec<i64> = resolutions
        .map(|keys| redis.ttl(keys.resolutions).unwrap())
        .filter(|ttl| *ttl > 0)
        .collect();
    assert_eq!(ttl.len(), 1, "{ttl:?}");
    assert!(ttl[0] <= 600, "{ttl:?}");
    let collector = running(&url);
    wait_until_sync(DEADLINE, "the console has the alert", || {
        collector.stdout().contains("inlet-R8-1").then_some(())
    })
    .unwrap();
    wait_until_sync(DEADLINE, "the correlator has the alert", || {
        let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:incidents").ok()?;
        let mut devices = all
            .ids
            .iter()
            .filter_map(|one| one.get::<String>("devices"));
        devices
            .any(|devices| devices.contains("inlet-R8-1"))
            .then_some(())
    })
    .unwrap();
    wait_until_sync(DEADLINE, "the owner carries the request out", || {
        let keys = PartitionKeys::of(Partitions::new(4).unwrap().of_zone("default"));
        let all: redis::streams::StreamRangeReply = redis.xrange_all(keys.alerts).ok()?;
        let mut ends = all
            .ids
            .iter()
            .filter_map(|one| one.get::<String>("ended_by"));
        ends.any(|by| by == "operator").then_some(())
    })
    .unwrap();
}
