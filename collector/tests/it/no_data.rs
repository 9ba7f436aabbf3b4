//! `no_data` alerts of an agent that is killed and comes back, through both programs.

use std::time::Duration;

use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::name::Name;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_runtime::config::RedisConfig;
use rackwatch_testing::{Program, RedisServer, free_port, wait_until, wait_until_sync};
use redis::Commands;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, alerts, collector, connect};

/// Starts an agent that reads eight inlets ten times per second. Aborting the task kills the agent.
fn agent(url: &str) -> JoinHandle<()> {
    let simulated = SimulatedConfig {
        enabled: true,
        interval: Duration::from_millis(100),
        scenario: "quiet".to_owned(),
        ..SimulatedConfig::default()
    };
    let mut config = AgentConfig {
        redis: RedisConfig {
            url: url.into(),
            ..RedisConfig::default()
        },
        ..AgentConfig::default()
    };
    config.agent.name = Name::new("node7").unwrap();
    let sources: Vec<Box<dyn Source>> = vec![Box::new(Simulated::new(&simulated).unwrap())];
    tokio::spawn(async move {
        let stop = CancellationToken::new();
        pipeline(&config, sources, stop).await.unwrap();
    })
}

/// Starts a collector that reports missing data after three seconds: the default of a minute would be long for a
/// test. Returns it with the folder of its configuration.
fn impatient_collector(url: &str) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    std::fs::write(&config, "[[rules]]\ntype = 'no_data'\nfor = '3s'\n").unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let config = config.display().to_string();
    let collector = collector(&[
        "run", "--config", &config, "--redis", url, "--listen", &listen,
    ]);
    (collector, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_raises_one_alert_that_resolves_when_it_is_back() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let url = server.url();
    let (collector, _folder) = impatient_collector(&url);
    let first = agent(&url);
    let readings = wait_until(DEADLINE, "readings arrive", async || {
        (redis.xlen::<_, u64>("raw_sensor_data").unwrap() > 20).then_some(())
    });
    readings.await.unwrap();
    first.abort();
    let fired = wait_until(DEADLINE, "the alert fires", async || {
        (!alerts(redis).is_empty()).then_some(())
    });
    fired.await.unwrap();
    let second = agent(&url);
    let resolved = wait_until(DEADLINE, "the alert resolves", async || {
        (alerts(redis).len() > 1).then_some(())
    });
    resolved.await.unwrap();
    second.abort();
    let record = |state: &str| ["no_data", "agent:node7", "warning", state, "0"].map(str::to_owned);
    assert_eq!(alerts(redis)[..2], [record("firing"), record("resolved")]);
    collector
        .wait_stdout_contains("sends data again after", DEADLINE)
        .unwrap();
}

/// After an explicit id, every id is as far ahead; silence is noticed all the same.
#[test]
fn ids_ahead_of_time_do_not_hide_missing_data() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let (collector, _folder) = impatient_collector(&server.url());
    let described = r#"{"v":1,"agent":"host7","role":"inlet","interval_ms":200}"#;
    for device in ["inlet-R1-1", "inlet-R1-2"] {
        let _: () = redis.hset("rackwatch:devices", device, described).unwrap();
    }
    let now = rackwatch_runtime::clock::now().millis();
    let hours_ahead = format!("{}-0", now + 3 * 3_600_000);
    let fields = |device: &str, at: u64| {
        [
            ("device_id", device.to_owned()),
            ("temperature", "22.0".to_owned()),
            ("timestamp", at.to_string()),
        ]
    };
    let _: String = redis
        .xadd("raw_sensor_data", hours_ahead, &fields("inlet-R1-1", now))
        .unwrap();
    wait_until_sync(DEADLINE, "missing data is an alert", || {
        // Another sensor goes on.
        let at = rackwatch_runtime::clock::now().millis();
        let _: String = redis
            .xadd("raw_sensor_data", "*", &fields("inlet-R1-2", at))
            .unwrap();
        let is_missing =
            |[kind, device, ..]: &[String; 5]| kind == "no_data" && device == "inlet-R1-1";
        alerts(redis).iter().any(is_missing).then_some(())
    })
    .unwrap();
    collector
        .wait_stderr_contains("ids of entries are ahead", DEADLINE)
        .unwrap();
    let mut status = crate::rig::collector(&["status", "--redis", &server.url()]);
    status.wait_exit(DEADLINE).unwrap();
    let text = status.stdout();
    assert!(text.contains("ahead of Redis' clock"), "{text}");
}
