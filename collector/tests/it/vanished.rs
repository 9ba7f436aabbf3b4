//! Sensors that vanish: nothing shows their last values as the present, and nothing calls their alerts over.

use std::fmt::Write;

use rackwatch_testing::{Program, RedisServer, free_port, http_get, wait_until_sync};
use redis::{Commands, Connection};
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{DEADLINE, alerts, collector, connect};

const RACKS: usize = 250;
const SENSORS: usize = 5_000;
/// The one that is too hot when its agent is killed.
const HOT: &str = "inlet-R000-00";

fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}

fn sensor(n: usize) -> String {
    format!("inlet-R{:03}-{:02}", n % RACKS, n / RACKS)
}

/// Describes all sensors, as their agent does.
fn describe(redis: &mut Connection, leaving: bool) {
    let mut all = redis::pipe();
    for n in 0..SENSORS {
        let json = format!(
            r#"{{"v":1,"agent":"big","role":"inlet","rack":"R{:03}","interval_ms":200,"leaving":{leaving}}}"#,
            n % RACKS
        );
        all.hset("rackwatch:devices", sensor(n), json);
    }
    all.incr("rackwatch:devices:revision", 1);
    let _: () = all.query(redis).unwrap();
}

/// Sends one reading of each sensor; `tick` counts from 1.
fn send_all(redis: &mut Connection, tick: usize) {
    let mut readings = String::new();
    for n in 0..SENSORS {
        let sensor = sensor(n);
        let degrees = if sensor == HOT { "45.0" } else { "22.0" };
        let comma = if n == 0 { "" } else { "," };
        write!(readings, "{comma}{sensor}={degrees}").unwrap();
    }
    let (seq, at) = (format!("run1-{}", tick * SENSORS), now().to_string());
    let fields = [
        ("agent", "big"),
        ("seq", &seq),
        ("timestamp", &at),
        ("readings", &readings),
    ];
    let _: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
}

/// Starts a collector that misses data after this time. Returns its port too.
fn impatient(url: &str, patience: &str) -> (Program, u16, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    let rule = format!("[[rules]]\ntype = 'no_data'\nfor = '{patience}'\n");
    std::fs::write(&config, rule).unwrap();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let config = config.display().to_string();
    let args = [
        "run", "--config", &config, "--redis", url, "--listen", &listen,
    ];
    (collector(&args), port, folder)
}

/// Returns the newest record of each incident, as pairs of fields.
fn incidents(redis: &mut Connection) -> Vec<redis::streams::StreamId> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:incidents").unwrap();
    let mut newest: Vec<redis::streams::StreamId> = Vec::new();
    for entry in all.ids {
        let id = entry.get::<String>("incident_id");
        newest.retain(|known| known.get::<String>("incident_id") != id);
        newest.push(entry);
    }
    newest
}

fn field(entry: &redis::streams::StreamId, name: &str) -> String {
    entry.get(name).unwrap_or_default()
}

fn get(port: u16, path: &str) -> String {
    let (status, body) = http_get(port, path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Sends readings until the hot sensor alerts.
fn wait_hot(redis: &mut Connection) {
    let mut tick = 0;
    wait_until_sync(DEADLINE, "heat is an alert", || {
        tick += 1;
        send_all(redis, tick);
        let is_hot = |[kind, ..]: &[String; 5]| kind == "high_temp";
        alerts(redis).iter().any(is_hot).then_some(())
    })
    .unwrap();
}

#[test]
fn five_thousand_sensors_that_vanish_are_one_incident_and_live_nowhere() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis, false);
    let (_collector, port, _folder) = impatient(&server.url(), "3s");
    wait_hot(redis);
    let before = alerts(redis).len();
    // Its agent is killed.
    let title = wait_until_sync(DEADLINE, "the absence is an incident", || {
        let all = incidents(redis);
        let absence = all.iter().find(|one| field(one, "cause") == "agent")?;
        Some(field(absence, "title"))
    })
    .unwrap();
    assert!(title.contains("5000 sensors in 250 racks"), "{title}");
    let heat = wait_until_sync(DEADLINE, "the hot sensor is stale", || {
        let all = incidents(redis);
        let heat = all.into_iter().find(|one| field(one, "first") == HOT)?;
        (field(&heat, "stale") == "1").then_some(heat)
    })
    .unwrap();
    assert_eq!(
        (field(&heat, "severity"), field(&heat, "open")),
        ("critical".into(), "1".into())
    );
    assert_eq!(incidents(redis).len(), 2, "the heat, and the absence");
    let alerts = alerts(redis);
    assert_eq!(
        alerts.len(),
        before + 1,
        "one record for all sensors: {alerts:?}"
    );
    assert!(
        alerts.iter().all(|[_, _, _, state, _]| state == "firing"),
        "{alerts:?}"
    );

    let list = collector(&["devices", "list", "--redis", &server.url()]);
    let text = finished(list);
    assert_eq!(text.matches("no data").count(), SENSORS, "of all sensors");
    assert!(text.contains("no data, was critical"), "of the hot one");

    let metrics = get(port, "/metrics");
    let up = |value: &str| {
        let lines = metrics.lines();
        let up = lines.filter(|line| line.starts_with("rackwatch_sensor_up{"));
        up.filter(|line| line.ends_with(value)).count()
    };
    assert_eq!((up(" 1"), up(" 0")), (0, SENSORS));
    assert!(
        !metrics.contains("rackwatch_temperature_celsius{"),
        "no value is the present one"
    );
    let site: Value = serde_json::from_str(&get(port, "/api/v1/site")).unwrap();
    let scopes = site["scopes"].as_array().unwrap();
    let is_blind = |scope: &Value| scope["n"] == 0 && scope["rci_hi"].is_null();
    assert!(
        scopes.iter().all(is_blind),
        "no index without data: {scopes:?}"
    );
    let racks = site["racks"].as_array().unwrap();
    assert!(racks.iter().all(|rack| rack["inlet_max"].is_null()));
}

fn finished(mut program: Program) -> String {
    program.wait_exit(DEADLINE).unwrap();
    program.stdout()
}

/// A publisher that stops is no good news about what it read.
#[test]
fn a_hot_sensor_whose_agent_leaves_stays_critical() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    describe(redis, false);
    let (_collector, _port, _folder) = impatient(&server.url(), "3s");
    wait_hot(redis);
    describe(redis, true);
    let waited = wait_until_sync(DEADLINE, "it is missed, and the heat stays", || {
        let is_absent = |[kind, ..]: &[String; 5]| kind == "no_data";
        let heat = incidents(redis);
        let heat = heat.iter().find(|one| field(one, "first") == HOT)?;
        let is_open = field(heat, "severity") == "critical" && field(heat, "stale") == "1";
        (alerts(redis).iter().any(is_absent) && is_open).then_some(())
    });
    assert!(
        waited.is_ok(),
        "{:?}\n{:?}",
        alerts(redis),
        incidents(redis)
    );
    let is_resolved = |[_, _, _, state, _]: &[String; 5]| state == "resolved";
    assert!(
        !alerts(redis).iter().any(is_resolved),
        "{:?}",
        alerts(redis)
    );
}
