//! Redis Cluster: partitions spread over masters, and masters that die.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_agent::app::pipeline;
use rackwatch_agent::config::AgentConfig;
use rackwatch_agent::name::Name;
use rackwatch_agent::publisher::Summary;
use rackwatch_agent::source::{DiscoveredDevice, Outcome, Source};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::keys::{DETECTOR_GROUP, PartitionKeys, SeriesKeys};
use rackwatch_core::partition::Partitions;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::{Connection, Connector, Purpose};
use rackwatch_testing::{Program, RedisCluster, WebhookReceiver, free_port, http_get, wait_until};
use redis::AsyncCommands;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, collector};

/// One inlet in each of six racks, which are too hot every other second.
struct Racks {
    zone: String,
    interval: Duration,
}

impl Racks {
    fn devices(&self) -> Vec<DeviceId> {
        let device = |rack| DeviceId::new(&format!("inlet-{}.{rack}-1", self.zone)).unwrap();
        (1..=6).map(device).collect()
    }
}

#[async_trait]
impl Source for Racks {
    fn kind(&self) -> &'static str {
        "racks"
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let found = |device| DiscoveredDevice {
            device,
            description: Description {
                role: Role::Inlet,
                interval: self.interval,
                ..Description::default()
            },
        };
        self.devices().into_iter().map(found).collect()
    }

    async fn read(&mut self, at: Timestamp) -> Vec<Outcome> {
        let hot = (at.millis() / 1000).is_multiple_of(2);
        let value = Celsius::new(if hot { 29.0 } else { 22.0 }).unwrap();
        let devices = self.devices().into_iter();
        devices.map(|device| (device, Ok(value))).collect()
    }
}

struct Agent {
    zone: String,
    keys: PartitionKeys,
    running: JoinHandle<Summary>,
}

fn agent(url: &str, zone: &str, stop: &CancellationToken) -> Agent {
    let racks = Racks {
        zone: zone.to_owned(),
        interval: Duration::from_millis(100),
    };
    let mut config = AgentConfig {
        redis: redis_config(url),
        ..AgentConfig::default()
    };
    config.agent.name = Name::new(zone).unwrap();
    zone.clone_into(&mut config.agent.zone);
    let stop = stop.clone();
    Agent {
        zone: zone.to_owned(),
        keys: PartitionKeys::of(Partitions::CLUSTER.of_zone(zone)),
        running: tokio::spawn(async move {
            let ran = pipeline(&config, vec![Box::new(racks)], stop).await;
            ran.unwrap()
        }),
    }
}

fn redis_config(url: &str) -> RedisConfig {
    RedisConfig {
        url: url.into(),
        ..RedisConfig::default()
    }
}

/// Starts a collector with its defaults: 64 partitions, a lease of ten seconds.
fn running(url: &str) -> Program {
    running_on(url, free_port().unwrap())
}

fn running_on(url: &str, port: u16) -> Program {
    let listen = format!("127.0.0.1:{port}");
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[("TZ", "UTC")],
    )
    .unwrap()
}

/// Returns the number of devices on the page of a collector, and the time of the newest reading.
async fn shown(port: u16) -> Option<(usize, u64)> {
    let asked = tokio::task::spawn_blocking(move || http_get(port, "/api/v1/devices"));
    let (status, body) = asked.await.ok()?.ok()?;
    let devices: serde_json::Value = serde_json::from_str(&body).ok()?;
    let devices = devices.as_array().filter(|_| status == 200)?;
    let newest = devices
        .iter()
        .filter_map(|device| device["at"].as_u64())
        .max();
    Some((devices.len(), newest?))
}

async fn connect(url: &str) -> Connection {
    let connector = Connector::new(&redis_config(url)).unwrap();
    let for_ever = CancellationToken::new();
    let opened = connector.open_until(Purpose::Commands, &for_ever);
    opened.await.unwrap()
}

/// Zones whose streams are on the first, second and third master.
fn zones(cluster: &RedisCluster) -> [String; 3] {
    [0, 1, 2].map(|master| {
        let mut zones = (1..).map(|n| format!("hall{n}"));
        let is_there = |zone: &String| {
            let keys = PartitionKeys::of(Partitions::CLUSTER.of_zone(zone));
            cluster.master_of(&keys.raw).unwrap() == master
        };
        zones.find(is_there).unwrap()
    })
}

/// Returns the number of the last committed reading of an agent.
async fn committed(url: &str, agent: &Agent) -> Option<u64> {
    let mut redis = Connector::new(&redis_config(url))
        .unwrap()
        .open(Purpose::Commands)
        .await
        .ok()?;
    let runs: Option<String> = redis
        .hget(&agent.keys.loss_ledger, &agent.zone)
        .await
        .ok()?;
    let runs: serde_json::Value = serde_json::from_str(&runs?).ok()?;
    runs["runs"][0]["last"].as_u64()
}

async fn wait_for(url: &str, agent: &Agent, more_than: u64) -> u64 {
    let there = wait_until(DEADLINE, "readings are committed", async || {
        committed(url, agent).await.filter(|last| *last > more_than)
    });
    there.await.unwrap()
}

/// Stops the agents, waits for their last readings, and checks that all were stored once.
async fn assert_whole(
    url: &str,
    agents: Vec<Agent>,
    stop: &CancellationToken,
    collector: &Program,
) {
    stop.cancel();
    let mut redis = connect(url).await;
    for mut agent in agents {
        let sent = (&mut agent.running).await.unwrap();
        assert_eq!((sent.dropped, sent.unsent), (0, 0));
        // Its `lag` is not known any more after a master has died.
        wait_until(DEADLINE, "all of it is read and committed", async || {
            let pending: redis::streams::StreamPendingReply =
                redis.xpending(&agent.keys.raw, DETECTOR_GROUP).await.ok()?;
            let group: redis::streams::StreamInfoGroupsReply =
                redis.xinfo_groups(&agent.keys.raw).await.ok()?;
            let stream: redis::streams::StreamInfoStreamReply =
                redis.xinfo_stream(&agent.keys.raw).await.ok()?;
            let is_read = group.groups.first()?.last_delivered_id == stream.last_generated_id;
            (is_read && pending.count() == 0).then_some(())
        })
        .await
        .unwrap();
        let last = committed(url, &agent).await.unwrap();
        let lost: u64 = redis.xlen(&agent.keys.losses).await.unwrap();
        assert_eq!(lost, 0, "{}: {}", agent.zone, collector.stderr());
        // Readings are numbered from one on: each is stored, wherever its series is.
        let racks = Racks {
            zone: agent.zone.clone(),
            interval: Duration::ZERO,
        };
        let mut stored = BTreeMap::new();
        for device in racks.devices() {
            let key = SeriesKeys::Cluster.raw(&device);
            let late: u64 = redis
                .zcard(SeriesKeys::Cluster.late(&device))
                .await
                .unwrap();
            let values: u64 = redis.xlen(&key).await.unwrap();
            stored.insert(key, values + late);
        }
        let all: u64 = stored.values().sum();
        assert_eq!(all, last, "{stored:?} {}", collector.stderr());
        let records: redis::streams::StreamRangeReply =
            redis.xrange_all(&agent.keys.alerts).await.unwrap();
        let identity = |entry: &redis::streams::StreamId| {
            ["alert_id", "severity", "state"].map(|name| entry.get::<String>(name).unwrap())
        };
        let different: BTreeSet<_> = records.ids.iter().map(identity).collect();
        assert!(!different.is_empty());
        assert_eq!(different.len(), records.ids.len(), "none is there twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_spread_and_go_on_when_a_master_dies() {
    let mut cluster = RedisCluster::start().unwrap();
    let url = cluster.url();
    let stop = CancellationToken::new();
    let zones = zones(&cluster);
    // They wait until a collector has written the partitioning.
    let agents = zones.each_ref().map(|zone| agent(&url, zone, &stop));
    let page = free_port().unwrap();
    let collectors = [running_on(&url, page), running(&url)];
    let mut last = Vec::new();
    for agent in &agents {
        last.push(wait_for(&url, agent, 100).await);
    }
    let mut redis = connect(&url).await;
    wait_until(DEADLINE, "the collectors share", async || {
        let mut owned = BTreeMap::new();
        for keys in Partitions::CLUSTER.all().map(PartitionKeys::of) {
            let owner: Option<String> = redis.get(&keys.lease).await.ok()?;
            *owned.entry(owner?).or_insert(0) += 1;
        }
        owned.into_values().eq([32, 32]).then_some(())
    })
    .await
    .unwrap();
    let mut status = collector(&["status", "--redis", &url]);
    let ended = status.wait_exit(DEADLINE).unwrap();
    assert!(ended.success(), "{}{}", status.stdout(), status.stderr());

    // Devices of all masters are on the page of each collector.
    let before = wait_until(DEADLINE, "all devices are shown", async || {
        let (devices, newest) = shown(page).await?;
        (devices == 18).then_some(newest)
    });
    let before = before.await.unwrap();

    cluster.node(1).stop().unwrap();
    for (agent, last) in agents.iter().zip(last) {
        // Half a minute, at most.
        wait_for(&url, agent, last + 100).await;
    }
    wait_until(DEADLINE, "the page goes on", async || {
        let (devices, newest) = shown(page).await?;
        (devices == 18 && newest > before).then_some(())
    })
    .await
    .unwrap();
    assert_whole(&url, agents.into(), &stop, &collectors[0]).await;
    for collector in collectors {
        let log = collector.stderr();
        let of_partitions = ["partition taken over", "handing over"];
        let other_lines = log
            .lines()
            .filter(|line| !of_partitions.iter().any(|word| line.contains(word)));
        assert!(other_lines.count() < 20, "{log}");
    }
}

/// A master accepts writes that its replica never gets, and dies: readings, their commits, and series
/// whose stream is on another master.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_lost_is_sent_and_stored_again() {
    let mut cluster = RedisCluster::start().unwrap();
    let url = cluster.url();
    let stop = CancellationToken::new();
    let zones = zones(&cluster);
    let agents = zones.each_ref().map(|zone| agent(&url, zone, &stop));
    let collector = running(&url);
    for agent in &agents {
        wait_for(&url, agent, 100).await;
    }
    let (master, replica) = (1, 4);
    // Its replica hears nothing more of it from here on.
    cluster.node(replica).pause().unwrap();
    let killed: u64 = cluster
        .ask(master, &["CLIENT", "KILL", "TYPE", "replica"])
        .unwrap();
    assert_eq!(killed, 1);
    let stale = committed(&url, &agents[master]).await.unwrap();
    for agent in &agents {
        let now = committed(&url, agent).await.unwrap();
        wait_for(&url, agent, now + 100).await;
    }
    cluster.node(master).stop().unwrap();
    cluster.node(replica).resume().unwrap();
    wait_until(DEADLINE, "the replica is the master", async || {
        let info: String = cluster.ask(replica, &["INFO", "replication"]).ok()?;
        info.contains("role:master").then_some(())
    })
    .await
    .unwrap();
    for agent in &agents {
        let now = wait_for(&url, agent, 0).await;
        wait_for(&url, agent, now.max(stale + 100) + 100).await;
    }
    assert_whole(&url, agents.into(), &stop, &collector).await;
}

/// The progress of a recipient is in the slot of the incidents.
#[tokio::test(flavor = "multi_thread")]
async fn a_notification_arrives_on_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let receiver = WebhookReceiver::start(0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    let text = format!(
        "[partition]\nlease = \"1s\"\n[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\n",
        receiver.url()
    );
    std::fs::write(&file, text).unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let collector = Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", &cluster.url(), "--listen", &listen],
        &[("RACKWATCH_CONFIG", &file.display().to_string())],
    )
    .unwrap();
    let stop = CancellationToken::new();
    let agent = agent(&cluster.url(), "hall1", &stop);
    let arrived = wait_until(DEADLINE, "the notification", async || {
        receiver.requests().pop()
    });
    let arrived = arrived.await;
    stop.cancel();
    agent.running.await.unwrap();
    assert!(arrived.is_ok(), "{}", collector.stderr());
}

/// Moves the keys of a slot from one master to another while everything runs. `midway` runs twice: while the slot is being
/// moved and has all of its keys, and while it has lost the first of them.
async fn migrate(
    cluster: &mut RedisCluster,
    slot: &str,
    (from, to): (usize, usize),
    midway: impl AsyncFn(),
) {
    let ids = [from, to].map(|node| cluster.ask::<String>(node, &["CLUSTER", "MYID"]).unwrap());
    let target = cluster.node(to).port().to_string();
    let ok = |node, words: &[&str]| {
        let _ok: redis::Value = cluster.ask(node, words).unwrap();
    };
    ok(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &ids[0]]);
    ok(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &ids[1]]);
    midway().await;
    let mut is_first = true;
    loop {
        let keys: Vec<String> = cluster
            .ask(from, &["CLUSTER", "GETKEYSINSLOT", slot, "1"])
            .unwrap();
        let Some(key) = keys.first() else { break };
        ok(from, &["MIGRATE", "127.0.0.1", &target, key, "0", "5000"]);
        if std::mem::take(&mut is_first) {
            midway().await;
        }
    }
    for node in [to, from, 0, 1, 2] {
        ok(node, &["CLUSTER", "SETSLOT", slot, "NODE", &ids[1]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_moved_under_load_loses_and_repeats_nothing() {
    let mut cluster = RedisCluster::start().unwrap();
    let url = cluster.url();
    let stop = CancellationToken::new();
    let zones = zones(&cluster);
    let agents = zones.each_ref().map(|zone| agent(&url, zone, &stop));
    let collector = running(&url);
    for agent in &agents {
        wait_for(&url, agent, 100).await;
    }
    // The slot of a partition, and that of a rack's series.
    let racks = Racks {
        zone: zones[0].clone(),
        interval: Duration::ZERO,
    };
    let series = SeriesKeys::Cluster.raw(&racks.devices()[0]);
    for key in [&agents[0].keys.raw, &series] {
        let from = cluster.master_of(key).unwrap();
        let to = (from + 1) % 3;
        let slot: u64 = cluster.ask(0, &["CLUSTER", "KEYSLOT", key]).unwrap();
        let elsewhere = &agents[2];
        migrate(&mut cluster, &slot.to_string(), (from, to), async || {
            // Others go on, so that ours has met the answers of a slot that is being moved.
            let now = wait_for(&url, elsewhere, 0).await;
            wait_for(&url, elsewhere, now + 100).await;
        })
        .await;
        for agent in &agents {
            let now = wait_for(&url, agent, 0).await;
            wait_for(&url, agent, now + 100).await;
        }
    }
    assert_whole(&url, agents.into(), &stop, &collector).await;
}
