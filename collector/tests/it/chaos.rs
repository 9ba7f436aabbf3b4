//! Collectors killed at every step of their loop and at random, under load: the alert records and the
//! losses are those of an undisturbed run. With Redis killed too, every notification arrives (`notifications`).
//!
//! `RACKWATCH_CHAOS_KILLS` is the number of random kills, `RACKWATCH_CHAOS_SEED` decides what is
//! random; `ci/chaos` runs the long form.

mod notifications;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rackwatch_collector::failpoint;
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::Partitions;
use rackwatch_testing::{Program, RedisServer, free_port, wait_until_sync};
use redis::{Commands, Connection};

use crate::rig::connect;

const START: u64 = 1_795_438_931_000;
const PARTITIONS: u16 = 2;
const DEVICES: usize = 12;
/// The whole of the readings may have to be gone through in the end.
const DEADLINE: Duration = Duration::from_secs(120);
/// Between two ticks: some hundred readings a second, far below what a collector takes.
const TICK: Duration = Duration::from_millis(15);

/// A small generator: the same numbers for the same seed.
struct Random(u64);

impl Random {
    /// Returns a number from 0 to `below - 1` (splitmix64).
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

fn keys() -> Vec<PartitionKeys> {
    let all = Partitions::new(PARTITIONS).unwrap().all();
    all.map(PartitionKeys::of).collect()
}

/// Writes ticks until the other end of `stop` is gone; says how many.
fn write(url: &str, seed: u64, stop: &mpsc::Receiver<()>) -> u64 {
    let redis = &mut connect(url);
    let mut trace = Trace::new(seed);
    while stop.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
        trace.write(redis);
    }
    trace.ticks
}

/// Temperatures that wander through the limits of inlets, with jumps, a second apart.
struct Trace {
    random: Random,
    /// In tenths of a degree.
    levels: Vec<u64>,
    ticks: u64,
    /// The last number of each partition's agent: now and then one is left out.
    numbers: Vec<u64>,
}

impl Trace {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            levels: vec![230; usize::from(PARTITIONS) * DEVICES],
            ticks: 0,
            numbers: vec![0; usize::from(PARTITIONS)],
        }
    }

    fn write(&mut self, redis: &mut Connection) {
        self.ticks += 1;
        let at = START + self.ticks * 1000;
        let mut pipe = redis::pipe();
        for (partition, keys) in keys().into_iter().enumerate() {
            let mut readings = Vec::new();
            for device in 0..DEVICES {
                let level = &mut self.levels[partition * DEVICES + device];
                let jump = if self.random.next(40) == 0 { 70 } else { 8 };
                *level = (*level + self.random.next(2 * jump + 1)).saturating_sub(jump);
                *level = (*level).clamp(90, 360);
                // Back to the middle, so that episodes end.
                *level = if *level > 230 { *level - 1 } else { *level + 1 };
                let value = format!("{}.{}", *level / 10, *level % 10);
                readings.push(format!("inlet-R{partition}-{device}={value}"));
            }
            let missing = if self.random.next(30) == 0 { 5 } else { 0 };
            self.numbers[partition] += missing + DEVICES as u64;
            let fields = [
                ("agent", format!("node{partition}")),
                ("seq", format!("r-{}", self.numbers[partition])),
                ("timestamp", at.to_string()),
                ("readings", readings.join(",")),
            ];
            pipe.xadd(&keys.raw, "*", &fields).ignore();
        }
        pipe.exec(redis).unwrap();
    }
}

fn start(url: &str, failpoint: &str) -> Program {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[
            ("RACKWATCH_PARTITION__COUNT", &PARTITIONS.to_string()),
            ("RACKWATCH_PARTITION__LEASE", "1s"),
            ("RACKWATCH_PARTITION__SAVE_EVERY", "300ms"),
            // Trimmed as soon as it may be: nothing may be lost by that.
            ("RACKWATCH_STREAM__KEEP", "0s"),
            // Some episodes flap, and many do not.
            ("RACKWATCH_ALERTS__FLAP", "5s"),
            ("RACKWATCH_LOG__FILTER", "warn"),
            ("RACKWATCH_FAILPOINT", failpoint),
        ],
    )
    .unwrap()
}

fn wait_done(redis: &mut Connection) {
    for keys in keys() {
        wait_until_sync(DEADLINE, "every entry is acknowledged", || {
            let last: redis::streams::StreamRangeReply =
                redis.xrevrange_count(&keys.raw, "+", "-", 1).ok()?;
            let groups: redis::streams::StreamInfoGroupsReply =
                redis.xinfo_groups(&keys.raw).ok()?;
            let group = groups.groups.first()?;
            let done = group.pending == 0 && group.last_delivered_id == last.ids.first()?.id;
            done.then_some(())
        })
        .unwrap();
    }
}

/// Says what the devices are.
fn describe(redis: &mut Connection) {
    for (partition, device) in devices() {
        let name = format!("inlet-R{partition}-{device}");
        let _: () = redis
            .hset("rackwatch:devices", name, r#"{"role":"inlet"}"#)
            .unwrap();
    }
}

fn devices() -> impl Iterator<Item = (u16, usize)> {
    (0..PARTITIONS).flat_map(|partition| (0..DEVICES).map(move |device| (partition, device)))
}

/// Returns the losses of each partition, in order.
fn losses(redis: &mut Connection) -> Vec<Vec<[String; 4]>> {
    let of = |keys: PartitionKeys| {
        let entries: redis::streams::StreamRangeReply = redis.xrange_all(keys.losses).unwrap();
        let loss = |entry: &redis::streams::StreamId| {
            ["loss_id", "agent", "from", "to"].map(|name| entry.get::<String>(name).unwrap())
        };
        entries.ids.iter().map(loss).collect()
    };
    keys().into_iter().map(of).collect()
}

type Fields = BTreeMap<String, String>;

/// The records of each device, and the losses of each partition.
type Output = (BTreeMap<String, Vec<Fields>>, Vec<Vec<[String; 4]>>);

/// Returns the records of each device, in order, without what depends on the clock.
fn records(redis: &mut Connection) -> BTreeMap<String, Vec<Fields>> {
    let mut records: BTreeMap<String, Vec<Fields>> = BTreeMap::new();
    for keys in keys() {
        let entries: redis::streams::StreamRangeReply = redis.xrange_all(&keys.alerts).unwrap();
        for entry in entries.ids {
            let field = |name: &String| (name.clone(), entry.get(name).unwrap_or_default());
            let mut fields: Fields = entry.map.keys().map(field).collect();
            fields.remove("historical");
            records
                .entry(fields["device_id"].clone())
                .or_default()
                .push(fields);
        }
    }
    records
}

/// Checks that every open alert that is worth an incident belongs to an open one, and that no
/// notification was sent twice.
fn check_incidents(redis: &mut Connection) {
    for keys in keys() {
        wait_until_sync(DEADLINE, "every alert is dealt with", || {
            let last: redis::streams::StreamRangeReply =
                redis.xrevrange_count(&keys.alerts, "+", "-", 1).ok()?;
            let groups: redis::streams::StreamInfoGroupsReply =
                redis.xinfo_groups(&keys.alerts).ok()?;
            let mut groups = groups.groups.iter();
            let group = groups.find(|group| group.name == "alert_correlator_group")?;
            let done = group.pending == 0 && group.last_delivered_id == last.ids.first()?.id;
            done.then_some(())
        })
        .unwrap();
    }
    let mut open = std::collections::BTreeSet::new();
    for keys in keys() {
        let entries: redis::streams::StreamRangeReply = redis.xrange_all(&keys.alerts).unwrap();
        for entry in entries.ids {
            let field = |name| entry.get::<String>(name).unwrap();
            // A fall after heat is the way back, and a rise after cold.
            if field("severity") == "info" || ["drop", "spike"].contains(&field("type").as_str()) {
                continue;
            }
            if field("state") == "firing" {
                open.insert(field("alert_id"));
            } else {
                open.remove(&field("alert_id"));
            }
        }
    }
    let members: BTreeMap<String, String> = redis.hgetall("{rackwatch:incidents}:members").unwrap();
    for alert in &open {
        let member = members.get(alert).map(String::as_str);
        assert!(
            member.is_some_and(|m| m.contains("\"open\":true")),
            "{alert}: {member:?}"
        );
    }
    let entries: redis::streams::StreamRangeReply =
        redis.xrange_all("rackwatch:incidents").unwrap();
    let notifications: Vec<_> = entries
        .ids
        .iter()
        .filter_map(|entry| entry.get::<String>("notification_id"))
        .collect();
    let different: std::collections::BTreeSet<_> = notifications.iter().collect();
    assert_eq!(different.len(), notifications.len(), "{notifications:?}");
    assert!(!entries.ids.is_empty());
}

/// Returns the output of an undisturbed run for the first ticks.
fn undisturbed(seed: u64, ticks: u64) -> Output {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis);
    let _collector = start(&server.url(), "");
    let mut trace = Trace::new(seed);
    for _ in 0..ticks {
        trace.write(redis);
    }
    // Collectors write the partitioning, so the streams may be there before the groups.
    wait_done(redis);
    (records(redis), losses(redis))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a kill comes at any time, not when something is so"
)]
fn rest(time: Duration) {
    thread::sleep(time);
}

#[test]
fn killed_anywhere_the_records_are_those_of_an_undisturbed_run() {
    let seed = setting("RACKWATCH_CHAOS_SEED", 1);
    let kills = setting("RACKWATCH_CHAOS_KILLS", 10);
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let redis = &mut connect(&url);
    describe(redis);
    let (stop, stopped) = mpsc::channel();
    let mut random = Random(seed ^ 0xC4A05);

    let writer = thread::spawn({
        let url = url.clone();
        move || write(&url, seed, &stopped)
    });
    for name in failpoint::NAMES {
        // A collector passes some of them once for each partition, and no more.
        let times = 1 + random.next(2);
        let mut doomed = start(&url, &format!("{name}:{times}"));
        let ended = doomed.wait_exit(DEADLINE).unwrap();
        assert_eq!(
            ended.code(),
            None,
            "{name} did not kill: {}",
            doomed.stderr()
        );
    }
    let mut running = [start(&url, ""), start(&url, "")];
    for _ in 0..kills {
        rest(Duration::from_millis(random.next(1_200)));
        let one = &mut running[usize::try_from(random.next(2)).unwrap()];
        one.kill().unwrap();
        *one = start(&url, "");
    }
    drop(stop);
    let ticks = writer.join().unwrap();
    wait_done(redis);
    let disturbed = records(redis);
    check_incidents(redis);

    let (expected, lost) = undisturbed(seed, ticks);
    assert!(
        lost.iter().all(|losses| losses.len() > 3),
        "too few to compare: {lost:?}"
    );
    assert_eq!(losses(redis), lost, "seed {seed}");
    let count: usize = expected.values().map(Vec::len).sum();
    assert!(
        count > 100,
        "{count} records in {ticks} ticks are too few to compare"
    );
    for (device, records) in &expected {
        assert_eq!(
            disturbed.get(device),
            Some(records),
            "seed {seed}, {device}"
        );
    }
    assert_eq!(disturbed.len(), expected.len());
    for keys in keys() {
        let dead: u64 = redis.xlen(&keys.dead).unwrap();
        assert_eq!(dead, 0);
    }
    for (partition, device) in devices() {
        let stored: u64 = redis
            .xlen(format!("sensor:inlet-R{partition}-{device}:temp"))
            .unwrap();
        assert_eq!(stored, ticks, "inlet-R{partition}-{device}");
    }
    println!("{kills} random kills, {ticks} ticks, {count} records: none missing, none twice");
}
