//! Collectors and Redis killed at random while incidents come and go: every notification arrives, and a repeated one has
//! the same id.
//!
//! Redis has what it acknowledged after a kill: it writes each command to its file first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rackwatch_testing::{
    Answer, Program, RedisServer, WebhookReceiver, free_port, wait_until_sync,
};
use redis::{Commands, Connection, RedisResult};
use serde_json::Value;

use super::{DEADLINE, Random, rest, setting};
use crate::incidents::now;
use crate::rig::all_done;

const RACKS: u64 = 20;
/// Between two readings: an incident begins or ends with each of them.
const TICK: Duration = Duration::from_millis(25);

fn start(url: &str, config: &str) -> Program {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-collector"),
        &["run", "--redis", url, "--listen", &listen],
        &[
            ("RACKWATCH_CONFIG", config),
            ("RACKWATCH_LOG__FILTER", "warn"),
        ],
    )
    .unwrap()
}

/// Each rack is hot and cool in turn. Each hot time is an incident.
fn write(url: &str, seed: u64, stop: &mpsc::Receiver<()>) -> u64 {
    let client = redis::Client::open(url).unwrap();
    let mut random = Random(seed);
    let mut is_hot = vec![false; usize::try_from(RACKS).unwrap()];
    let mut written = 0;
    let mut connection = None;
    while stop.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
        let rack = random.next(RACKS);
        let hot = &mut is_hot[usize::try_from(rack).unwrap()];
        *hot = !*hot;
        append(&client, &mut connection, rack, *hot);
        written += 1;
    }
    written
}

/// Writes until Redis has acknowledged the reading.
fn append(client: &redis::Client, slot: &mut Option<Connection>, rack: u64, is_hot: bool) {
    let fields = [
        ("device_id", format!("inlet-R{rack}-1")),
        (
            "temperature",
            if is_hot { "33.0" } else { "24.0" }.to_owned(),
        ),
        ("timestamp", now().to_string()),
    ];
    wait_until_sync(DEADLINE, "Redis accepts a reading", || {
        let mut connection = slot.take().or_else(|| client.get_connection().ok())?;
        let written: RedisResult<String> = connection.xadd("raw_sensor_data", "*", &fields);
        written.ok()?;
        *slot = Some(connection);
        Some(())
    })
    .unwrap();
}

/// Returns (incident, event, time) of each notification that was asked for, by its id.
fn asked_for(redis: &mut Connection) -> BTreeMap<String, [String; 3]> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:incidents").unwrap();
    let notification = |entry: &redis::streams::StreamId| {
        let field = |name| entry.get::<String>(name).unwrap();
        let id = entry.get::<String>("notification_id")?;
        Some((id, ["incident_id", "event", "timestamp"].map(field)))
    };
    all.ids.iter().filter_map(notification).collect()
}

/// Returns (id, what it is about) of each message that the receiver accepted.
fn arrived(receiver: &WebhookReceiver) -> Vec<(String, [String; 3])> {
    let accepted = receiver.requests().into_iter();
    let accepted = accepted.filter(|request| request.answer == Answer::Status(200));
    let message = |request: rackwatch_testing::Request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let incident = &body["incident"];
        assert_eq!(body["id"], incident["notification_id"]);
        assert_eq!(body["id"], request.headers["webhook-id"]);
        let text = |name: &str| incident[name].to_string().trim_matches('"').to_owned();
        (
            request.headers["webhook-id"].clone(),
            ["incident_id", "event", "timestamp"].map(text),
        )
    };
    accepted.map(message).collect()
}

#[test]
fn killed_with_redis_every_notification_arrives_under_its_id() {
    let seed = setting("RACKWATCH_CHAOS_SEED", 1);
    let kills = setting("RACKWATCH_CHAOS_KILLS", 10);
    let mut server =
        RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).unwrap();
    let url = server.url();
    let receiver = WebhookReceiver::start(0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    let text = format!(
        "[partition]\nlease = \"1s\"\n[alerts]\nflap = \"0s\"\n\
         [incidents]\nresolve_after = \"0s\"\ngroup_wait = \"0s\"\ngroup_window = \"0s\"\n\
         [[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\nretry_max = \"1s\"\n",
        receiver.url()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let mut random = Random(seed ^ 0x0071_F1ED);
    let mut running = [start(&url, &config), start(&url, &config)];
    let (stop, stopped) = mpsc::channel();
    let writer = thread::spawn({
        let url = url.clone();
        move || write(&url, seed, &stopped)
    });
    wait_until_sync(DEADLINE, "the first message", || receiver.requests().pop()).unwrap();

    let mut redis_kills = 0;
    for _ in 0..kills {
        // Most kills find notifications that are still to be sent.
        let refuses = random.next(3) > 0;
        receiver.answer(Answer::Status(if refuses { 503 } else { 200 }));
        rest(Duration::from_millis(random.next(1_200)));
        if random.next(3) == 0 {
            redis_kills += 1;
            server.stop().unwrap();
            rest(Duration::from_millis(random.next(500)));
            server.restart().unwrap();
        } else {
            let one = &mut running[usize::try_from(random.next(2)).unwrap()];
            one.kill().unwrap();
            *one = start(&url, &config);
        }
    }
    receiver.answer(Answer::Status(200));
    drop(stop);
    let readings = writer.join().unwrap();
    let redis = &mut crate::rig::connect(&url);
    wait_until_sync(DEADLINE, "every reading is evaluated", || all_done(redis)).unwrap();
    wait_until_sync(DEADLINE, "every alert is dealt with", || {
        crate::incidents::all_dealt_with(redis)
    })
    .unwrap();
    let asked = asked_for(redis);
    let missing = || -> BTreeSet<String> {
        let arrived: BTreeSet<_> = arrived(&receiver).into_iter().map(|(id, _)| id).collect();
        let ids = asked.keys().filter(|id| !arrived.contains(*id));
        ids.cloned().collect()
    };
    let all = wait_until_sync(DEADLINE, "every notification", || {
        missing().is_empty().then_some(())
    });
    assert!(all.is_ok(), "seed {seed}: missing {:?}", missing());
    // The last ones may have come since.
    let arrived = arrived(&receiver);
    let asked = asked_for(redis);
    for (id, about) in &arrived {
        assert_eq!(asked.get(id), Some(about), "seed {seed}, {id}");
    }
    let ids: BTreeSet<_> = arrived.iter().map(|(id, _)| id).collect();
    assert!(ids.len() > 20, "{} are too few", ids.len());
    println!(
        "{kills} random kills, {redis_kills} of Redis, {readings} readings, {} notifications, {} repeated: none missing",
        ids.len(),
        arrived.len() - ids.len()
    );
}
