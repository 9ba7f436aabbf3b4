//! Device ids are bounded, and forgotten ones free their memory.

use rackwatch_testing::{Program, RedisServer, free_port, http_get, wait_until_sync};
use redis::{Commands, Connection};
use tempfile::TempDir;

use crate::incidents::command;
use crate::rig::{DEADLINE, collector, connect, send, wait_all_done, xadd};

/// Starts a collector with this configuration. Returns it with the port of its page and the folder of the file.
fn configured(url: &str, config: &str) -> (Program, u16, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let program = collector(&[
        "run", "--config", &file, "--redis", url, "--listen", &listen,
    ]);
    (program, port, folder)
}

/// Returns the value of a metric without labels.
fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, text) = http_get(port, "/metrics").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

/// Waits until a metric has this value.
#[expect(clippy::float_cmp, reason = "metrics are whole numbers here")]
fn wait_metric(port: u16, name: &str, expected: f64) {
    wait_until_sync(DEADLINE, "the metric has its value", || {
        (metric(port, name)? == expected).then_some(())
    })
    .unwrap_or_else(|error| panic!("{name}: {:?}, {error}", metric(port, name)));
}

/// Returns the reasons of all dead letters.
fn reasons(redis: &mut Connection) -> Vec<String> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data:dead").unwrap();
    all.ids
        .iter()
        .map(|entry| entry.get("reason").unwrap())
        .collect()
}

#[test]
fn devices_beyond_the_bound_are_dead_letters_and_a_problem_of_status() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let config = "[partition]\nmax_devices = 2\n";
    let (first, port, _folder) = configured(&url, config);
    let start = rackwatch_runtime::clock::now().millis();
    for device in ["inlet-R1-1", "inlet-R1-2", "inlet-R1-3"] {
        send(redis, device, start, "22.0");
    }
    // Of an agent's frame, the readings of known devices are kept.
    let at = (start + 1000).to_string();
    let readings = "inlet-R1-1=23.0,inlet-R1-4=23.0,inlet-R1-5=23.0,inlet-R1-2=23.0";
    let entry = [
        ("agent", "a"),
        ("seq", "r-4"),
        ("timestamp", &at),
        ("readings", readings),
    ];
    xadd(redis, &entry);
    xadd(
        redis,
        &[
            ("agent", "a"),
            ("seq", "r-5"),
            ("timestamp", &at),
            ("readings", "inlet-R1-1=23.0"),
        ],
    );
    wait_all_done(redis);
    wait_metric(port, "rackwatch_devices", 2.0);
    wait_metric(port, "rackwatch_readings_beyond_max_devices_total", 3.0);
    for (device, readings) in [
        ("inlet-R1-1", 2),
        ("inlet-R1-2", 2),
        ("inlet-R1-3", 0),
        ("inlet-R1-4", 0),
    ] {
        let stored: u64 = redis.xlen(format!("sensor:{device}:temp")).unwrap();
        assert_eq!(stored, readings, "{device}");
    }
    let reasons = reasons(redis);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons[0].contains("inlet-R1-3") && reasons[0].contains("partition.max_devices = 2"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("inlet-R1-4"), "{reasons:?}");
    // Refused is not lost: the sequence numbers have no gap.
    assert_eq!(redis.xlen::<_, u64>("rackwatch:losses").unwrap(), 0);
    let (code, out, _) = command(&url, &["status"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("3 readings of devices beyond partition.max_devices refused"),
        "{out}"
    );
    // The readings that a restart runs through again are bounded too.
    drop(first);
    let (_second, port, _folder) = configured(&url, config);
    wait_metric(port, "rackwatch_ready", 1.0);
    wait_metric(port, "rackwatch_devices", 2.0);
}

/// Describes an agent's devices, and sends a reading of each.
fn agents_devices(redis: &mut Connection, devices: &[&str]) {
    for device in devices {
        let described = r#"{"v":1,"agent":"a","role":"inlet","rack":"R1","interval_ms":1000}"#;
        let _: () = redis.hset("rackwatch:devices", device, described).unwrap();
    }
    let _: u64 = redis.incr("rackwatch:devices:revision", 1).unwrap();
    let at = rackwatch_runtime::clock::now().millis().to_string();
    for device in devices {
        let readings = format!("{device}=22.0");
        xadd(
            redis,
            &[("agent", "a"), ("timestamp", &at), ("readings", &readings)],
        );
    }
    wait_all_done(redis);
}

/// Returns whether a saved slice names this device.
fn is_saved(redis: &mut Connection, device: &str) -> bool {
    let slices: Vec<String> = redis.hvals("rackwatch:snapshot").unwrap();
    slices.iter().any(|slice| slice.contains(device))
}

#[test]
fn forgotten_devices_free_their_memory_and_their_saved_state() {
    for restarts in [false, true] {
        let server = RedisServer::start().unwrap();
        let (redis, url) = (&mut connect(&server.url()), server.url());
        let config = "[partition]\nsave_every = '1s'\n";
        let (first, port, folder) = configured(&url, config);
        agents_devices(redis, &["inlet-R1-1", "inlet-R1-2", "inlet-R1-3"]);
        wait_metric(port, "rackwatch_devices", 3.0);
        wait_until_sync(DEADLINE, "it is saved", || {
            is_saved(redis, "inlet-R1-2").then_some(())
        })
        .unwrap();
        let (_running, port, _folder) = if restarts {
            drop(first);
            // A collector that has not heard of the devices since its start.
            configured(&url, config)
        } else {
            (first, port, folder)
        };
        wait_metric(port, "rackwatch_devices", 3.0);
        let (code, _, err) = command(&url, &["devices", "forget", "inlet-R1-1", "inlet-R1-2"]);
        assert_eq!(code, Some(0), "{err}");
        // Descriptions are read again at most every half minute.
        let patience = DEADLINE * 2;
        wait_until_sync(patience, "the gauge goes down", || {
            let devices = metric(port, "rackwatch_devices")?;
            (devices < 1.5).then_some(())
        })
        .unwrap();
        wait_until_sync(DEADLINE, "their slices are gone", || {
            (!is_saved(redis, "inlet-R1-2")).then_some(())
        })
        .unwrap();
        assert!(is_saved(redis, "inlet-R1-3"), "restarts: {restarts}");
    }
}
