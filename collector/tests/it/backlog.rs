//! Ten minutes of an outage, from the agent's disk through the collector: each reading once, and
//! what the disk had no room for is in the loss ledger.

use std::time::Duration;

use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::host_clock::ClockState;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_agent::spool::files::Folder;
use rackwatch_agent::spool::record::Record;
use rackwatch_agent::spool::segment_log::{Bounds, SegmentLog};
use rackwatch_core::device::DeviceId;
use rackwatch_core::reading::{Reading, Sample};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_core::wire::Seq;
use rackwatch_runtime::config::RedisConfig;
use rackwatch_testing::{RedisServer, wait_until};
use redis::{Commands, Connection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, connect, running};

const START: u64 = 1_795_438_931_000;
const SENSORS: u64 = 200;
const SECONDS: u64 = 600;
/// The readings are of a fixed day, which goes further back every day.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 100);

/// Fills a spool as an agent would: two hundred inlets, once a second for ten minutes. One of them
/// was too hot for a while. Returns how many readings were dropped.
fn outage(folder: &TempDir, bytes: u64) -> u64 {
    let files = Folder::open(&folder.path().join("spool")).unwrap();
    let bounds = Bounds {
        bytes,
        age: FOR_EVER,
    };
    let (mut log, _) = SegmentLog::open(Box::new(files), bounds).unwrap();
    for second in 0..SECONDS {
        let at = Timestamp::from_millis(START + second * 1000).unwrap();
        let reading = |n: u64| {
            let hot = n == 0 && (300..360).contains(&second);
            let degrees = if hot {
                33.0
            } else {
                21.0 + (second + n) as f64 % 10.0 / 10.0
            };
            Reading {
                device: DeviceId::new(&format!("inlet-Z9-{n}")).unwrap(),
                at,
                value: Ok(Celsius::new(degrees).unwrap()),
            }
        };
        let record = Record {
            seq: Seq {
                run: "r1".to_owned(),
                n: (second + 1) * SENSORS,
            },
            prev: None,
            gap: None,
            clock: ClockState::default(),
            sample: Sample {
                at,
                readings: (0..SENSORS).map(reading).collect(),
            },
        };
        log.append(&record, Duration::from_secs(second)).unwrap();
    }
    log.sync();
    log.dropped()
}

/// Returns the number of readings of the outage in the series.
fn stored(redis: &mut Connection) -> u64 {
    let of = |n: u64| {
        redis
            .xlen::<_, u64>(format!("sensor:inlet-Z9-{n}:temp"))
            .unwrap()
    };
    (0..SENSORS).map(of).sum()
}

/// Returns the number of readings of the outage in the loss ledger.
fn lost(redis: &mut Connection) -> u64 {
    let entries: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:losses").unwrap();
    let readings = |entry: &redis::streams::StreamId| {
        assert_eq!(entry.get::<String>("run").unwrap(), "r1");
        assert_eq!(entry.get::<String>("reason").unwrap(), "spool_full");
        entry.get::<u64>("readings").unwrap()
    };
    entries.ids.iter().map(readings).sum()
}

/// Runs an agent on that spool, and a collector, until so much is stored.
async fn catch_up(server: &RedisServer, folder: &TempDir, readings: u64) {
    let redis = &mut connect(&server.url());
    for n in 0..SENSORS {
        let device = format!("inlet-Z9-{n}");
        let _: () = redis
            .hset("rackwatch:devices", device, r#"{"role":"inlet"}"#)
            .unwrap();
    }
    let _collector = running(&server.url());
    let simulated = SimulatedConfig {
        enabled: true,
        ..SimulatedConfig::default()
    };
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Simulated::new(&simulated).unwrap())];
    let mut config = AgentConfig {
        redis: RedisConfig {
            url: server.url().as_str().into(),
            ..RedisConfig::default()
        },
        ..AgentConfig::default()
    };
    config.spool.path = Some(folder.path().join("spool"));
    config.spool.max_age = FOR_EVER;
    let stop = CancellationToken::new();
    let until = stop.clone();
    let agent = tokio::spawn(async move { pipeline(&config, sources, until).await });
    wait_until(
        DEADLINE,
        "the backlog is stored, and live readings too",
        async || {
            let live: u64 = redis.hlen("rackwatch:ledger").unwrap_or(0);
            (stored(redis) == readings && live == 1).then_some(())
        },
    )
    .await
    .unwrap();
    stop.cancel();
    let sent = agent.await.unwrap().unwrap();
    assert_eq!((sent.dropped, sent.unsent, sent.spooled), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_on_disk_are_stored_once_and_evaluated_in_their_own_time() {
    let folder = TempDir::new().unwrap();
    let server = RedisServer::start().unwrap();
    assert_eq!(outage(&folder, 64 << 20), 0);
    catch_up(&server, &folder, SENSORS * SECONDS).await;
    let redis = &mut connect(&server.url());
    assert_eq!(lost(redis), 0, "the loss ledger is empty");
    let entries: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let of_the_outage = entries.ids.iter().filter(|entry| {
        entry.get::<String>("device_id").unwrap() == "inlet-Z9-0"
            && entry.get::<String>("type").unwrap() == "high_temp"
    });
    let reported: Vec<_> = of_the_outage
        .map(|entry| {
            ["state", "severity", "timestamp", "historical"]
                .map(|name| entry.get::<String>(name).unwrap_or_default())
        })
        .collect();
    let (began, ended) = (START + 300_000, START + 360_000);
    let expected = [
        ["firing", "critical", &began.to_string(), "1"],
        ["resolved", "critical", &ended.to_string(), "1"],
    ];
    assert_eq!(reported, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_small_spool_dropped_is_in_the_loss_ledger() {
    let folder = TempDir::new().unwrap();
    let server = RedisServer::start().unwrap();
    let dropped = outage(&folder, 1 << 20);
    assert!(dropped > 1_000, "{dropped}");
    catch_up(&server, &folder, SENSORS * SECONDS - dropped).await;
    let redis = &mut connect(&server.url());
    assert_eq!(
        lost(redis),
        dropped,
        "stored and lost make up what was produced"
    );
}
