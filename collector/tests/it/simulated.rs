//! Simulated racks through both programs, and the demo.

use std::collections::BTreeMap;

use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_core::keys;
use rackwatch_core::wire;
use rackwatch_runtime::config::RedisConfig;
use rackwatch_testing::{RedisServer, TimeSeriesServer, wait_until_sync};
use redis::{Commands, Connection};
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, alerts, collector, connect, plain_series, running};

/// Runs the agent like `rackwatch-agent simulate` until `enough`, and returns the number of readings that it sent.
async fn simulate(url: &str, enough: impl FnMut() -> Option<()> + Send + 'static) -> u64 {
    let simulated = SimulatedConfig {
        enabled: true,
        ..SimulatedConfig::default()
    };
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Simulated::new(&simulated).unwrap())];
    let redis = RedisConfig {
        url: url.into(),
        ..RedisConfig::default()
    };
    let config = AgentConfig {
        redis,
        ..AgentConfig::default()
    };
    let stop = CancellationToken::new();
    let waiting = tokio::task::spawn_blocking({
        let stop = stop.clone();
        let mut enough = enough;
        move || {
            let waited = wait_until_sync(DEADLINE, "enough was simulated", &mut enough);
            stop.cancel();
            waited.unwrap();
        }
    });
    let summary = pipeline(&config, sources, stop).await.unwrap();
    waiting.await.unwrap();
    assert_eq!((summary.dropped, summary.unsent), (0, 0));
    summary.readings
}

/// Returns the readings in the raw stream, by device.
fn sent(redis: &mut Connection) -> BTreeMap<String, Vec<(u64, f64)>> {
    let entries: redis::streams::StreamRangeReply = redis.xrange_all(keys::RAW).unwrap();
    let mut sent: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in entries.ids {
        let fields = entry.map.iter().map(|(name, value)| {
            let value: Vec<u8> = redis::from_redis_value_ref(value).unwrap();
            (name.as_bytes().to_vec(), value)
        });
        for reading in wire::decode(&fields.collect()).readings {
            if let Ok(value) = reading.value {
                let of_device = sent.entry(reading.device.to_string()).or_default();
                of_device.push((reading.at.millis(), value.degrees()));
            }
        }
    }
    sent
}

fn pending(redis: &mut Connection) -> Option<usize> {
    let pending: redis::streams::StreamPendingReply =
        redis.xpending(keys::RAW, keys::DETECTOR_GROUP).ok()?;
    Some(pending.count())
}

/// Returns some once there is a `high_temp` alert.
fn a_high_alert(url: String) -> impl FnMut() -> Option<()> + Send + 'static {
    move || {
        let found = alerts(&mut connect(&url))
            .into_iter()
            .any(|[kind, ..]| kind == "high_temp");
        found.then_some(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_without_time_series_the_series_hold_what_was_sent() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    let first = simulate(&server.url(), a_high_alert(server.url())).await;
    // The agent stops and starts again while the collector keeps running.
    let before: u64 = redis.xlen(keys::RAW).unwrap();
    let second = simulate(&server.url(), {
        let mut redis = connect(&server.url());
        move || (redis.xlen::<_, u64>(keys::RAW).unwrap() >= before + 16).then_some(())
    })
    .await;
    wait_until_sync(DEADLINE, "all is acknowledged", || {
        (pending(redis)? == 0 && collected(redis) == first + second).then_some(())
    })
    .unwrap();
    for (device, readings) in sent(redis) {
        assert_eq!(plain_series(redis, &device), readings, "{device}");
    }
    collector
        .wait_stdout_contains("WARNING  high_temp", DEADLINE)
        .unwrap();
}

/// Returns the number of readings in all series.
fn collected(redis: &mut Connection) -> u64 {
    let keys: Vec<String> = redis.keys("sensor:*:temp").unwrap();
    keys.iter()
        .map(|key| redis.xlen::<_, u64>(key).unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_time_series_the_series_hold_what_was_sent() {
    let server = TimeSeriesServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = running(&server.url());
    collector
        .wait_stderr_contains(r#"series="timeseries""#, DEADLINE)
        .unwrap();
    simulate(&server.url(), a_high_alert(server.url())).await;
    let sent = sent(redis);
    assert!(sent.len() == 8, "{sent:?}");
    for (device, readings) in sent {
        let samples = wait_until_sync(DEADLINE, "the series are complete", || {
            let key = format!("sensor:{device}:temp");
            let range = redis::cmd("TS.RANGE")
                .arg(key)
                .arg("-")
                .arg("+")
                .query(redis);
            let samples: Vec<(u64, f64)> = range.ok()?;
            (samples.len() == readings.len()).then_some(samples)
        })
        .unwrap();
        assert_eq!(samples, readings, "{device}");
    }
    wait_until_sync(DEADLINE, "nothing is pending", || {
        (pending(redis)? == 0).then_some(())
    })
    .unwrap();
    collector
        .wait_stdout_contains("WARNING  high_temp", DEADLINE)
        .unwrap();
}

/// Runs the demo for its real 40 s.
#[test]
fn the_demo_prints_alerts_their_resolution_and_a_summary() {
    let mut demo = collector(&["demo", "--for", "40s"]);
    let status = demo.wait_exit(DEADLINE * 3).unwrap();
    let out = demo.stdout();
    assert!(status.success(), "{out}{}", demo.stderr());
    assert!(
        out.contains("high_temp") || out.contains("low_temp"),
        "{out}"
    );
    assert!(out.contains("RESOLVED"), "{out}");
    assert!(out.contains("Summary: 8 sensors in 2 racks"), "{out}");
}

#[test]
fn ctrl_c_ends_the_demo_with_a_summary() {
    let mut demo = collector(&["demo"]);
    demo.wait_stdout_contains("high_temp", DEADLINE).unwrap();
    demo.interrupt().unwrap();
    assert!(demo.wait_exit(DEADLINE).unwrap().success());
    assert!(demo.stdout().contains("Summary"), "{}", demo.stdout());
}
