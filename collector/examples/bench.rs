//! Baselines for `ci/bench`: a client that only moves readings, and the engine without Redis. Not a program for users.
//!
//! `bench raw <url>` reads the waiting raw stream through its own group, adds each reading to a stream of its device, and
//! acknowledges. Prints the number of readings and the seconds.
//!
//! `bench engine <devices> <ticks> [none]` prints the nanoseconds per reading. Then, for the detector state: milliseconds to
//! save it, bytes, milliseconds to restore it, and per device the bytes requested and resident. With `none` there are no
//! rules, so the difference is the cost of detectors.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark must stop at an unexpected reply"
)]

use std::sync::Arc;
use std::time::Instant;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Engine, Input, Slice};
use rackwatch_core::keys;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::stored;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;
use rackwatch_runtime::redis::{RawEntry, streams};
use redis::{Connection, Value};

/// Counts requested bytes, without the overhead of the allocator.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// Consumer group of the benchmark.
const GROUP: &str = "bench";
/// Commands per pipeline, as in the collector.
const PIPELINE: usize = 500;
/// Readings per batch, as in the collector, which also reads at most a thousand entries at once.
const READINGS: usize = 5_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["raw", url] => raw(url),
        ["engine", devices, ticks] => {
            let rules = RuleSet::with_defaults(&[]).unwrap();
            engine(devices.parse().unwrap(), ticks.parse().unwrap(), rules);
        }
        ["engine", devices, ticks, "none"] => {
            let rules = RuleSet::only(&[]).unwrap();
            engine(devices.parse().unwrap(), ticks.parse().unwrap(), rules);
        }
        _ => println!("usage: bench raw <url> | bench engine <devices> <ticks> [none]"),
    }
}

fn raw(url: &str) {
    let client = redis::Client::open(url).unwrap();
    let redis = &mut client.get_connection().unwrap();
    let mut make = redis::cmd("XGROUP");
    make.arg(&["CREATE", keys::RAW, GROUP, "0"]);
    make.exec(redis).unwrap();
    let (mut readings, mut count, begin) = (0, 100, Instant::now());
    loop {
        let mut read = redis::cmd("XREADGROUP");
        read.arg(&["GROUP", GROUP, "bench", "COUNT"]).arg(count);
        read.arg(&["STREAMS", keys::RAW, ">"]);
        let read = streams(read.query::<Value>(redis).unwrap()).unwrap();
        let entries: Vec<_> = read.into_iter().flat_map(|(_, entries)| entries).collect();
        if entries.is_empty() {
            break;
        }
        let moved = store(redis, &entries);
        readings += moved;
        count = (READINGS / moved.div_ceil(entries.len())).clamp(1, 1000);
        let ids = entries
            .iter()
            .map(|RawEntry { id, .. }| format!("{}-{}", id.0, id.1));
        let mut done = redis::cmd("XACK");
        done.arg(keys::RAW).arg(GROUP).arg(ids.collect::<Vec<_>>());
        done.exec(redis).unwrap();
    }
    println!("{readings} {}", begin.elapsed().as_secs_f64());
}

/// Adds each reading to `bench:<device>`, like plain series but without parsing values. Returns the number of readings.
fn store(redis: &mut Connection, entries: &[RawEntry]) -> usize {
    let mut readings = Vec::new();
    for entry in entries {
        let fields = entry.fields.as_deref().unwrap();
        let field = |name: &str| {
            let (_, value) = fields.iter().find(|(n, _)| n == name.as_bytes())?;
            std::str::from_utf8(value).ok()
        };
        let at = field("timestamp").unwrap();
        match field("readings") {
            Some(frame) => readings.extend(frame.split(',').map(|pair| {
                let (device, value) = pair.split_once('=').unwrap();
                (device, value, at)
            })),
            None => readings.push((
                field("device_id").unwrap(),
                field("temperature").unwrap(),
                at,
            )),
        }
    }
    for some in readings.chunks(PIPELINE) {
        let mut pipe = redis::pipe();
        for (device, value, at) in some {
            pipe.cmd("XADD")
                .arg(format!("bench:{device}"))
                .arg(format!("{at}-0"));
            pipe.arg("t").arg(value).ignore();
        }
        pipe.exec(redis).unwrap();
    }
    readings.len()
}

/// Evaluates inlets that follow a cooler by 1.8 K in ten minutes, in batches as large as the collector's.
fn engine(devices: u32, ticks: u32, rules: RuleSet) {
    let name = |n: u32| DeviceId::new(&format!("inlet-R{}-{}", n / 8, n % 8)).unwrap();
    let ids: Vec<DeviceId> = (0..devices).map(name).collect();
    let rules = Arc::new(rules);
    let mut engine = Engine::new(Arc::clone(&rules));
    let described = (0..).zip(&ids).map(|(n, id): (u32, _)| {
        // Eight inlets and one host per rack.
        let json = format!(
            r#"{{"role":"inlet","rack":"R{0}","agent":"node{0}","interval_ms":1000}}"#,
            n / 8
        );
        let known = Description::from_json(json.as_bytes()).unwrap();
        Input::Describe(id.clone(), Some(Box::new(known)))
    });
    let before = (MEMORY.current_usage(), resident());
    engine.step(described.collect::<Vec<_>>());
    let (mut evaluated, mut took) = (0, 0.0);
    for tick in 0..ticks {
        let at = Timestamp::from_millis(1_700_000_000_000 + u64::from(tick) * 1000).unwrap();
        let input = |(n, device): (u32, &DeviceId)| Input::Reading {
            entry: StreamId {
                ms: at.millis(),
                seq: u64::from(n),
            },
            by_agent: true,
            reading: Reading {
                device: device.clone(),
                at,
                value: Ok(temperature(n, tick)),
            },
        };
        let inputs: Vec<Input> = (0..).zip(&ids).map(input).collect();
        let mut inputs = inputs.into_iter();
        let begin = Instant::now();
        while inputs.len() > 0 {
            evaluated += engine.step(inputs.by_ref().take(READINGS)).tally.evaluated;
        }
        took += begin.elapsed().as_secs_f64();
    }
    assert_eq!(evaluated, u64::from(devices) * u64::from(ticks));
    let asked = (MEMORY.current_usage() - before.0) / devices as usize;
    let each = resident().saturating_sub(before.1) / u64::from(devices);
    let begin = Instant::now();
    let slices: Vec<String> = engine
        .snapshot(StreamId::ZERO)
        .map(|slice| stored::encode(&slice))
        .collect();
    let saved = begin.elapsed().as_secs_f64() * 1e3;
    let bytes: usize = slices.iter().map(String::len).sum();
    let begin = Instant::now();
    let mut restored = Engine::new(rules);
    for slice in &slices {
        let slice: Slice = stored::decode(slice.as_bytes()).unwrap();
        restored.restore(slice);
    }
    let back = begin.elapsed().as_secs_f64() * 1e3;
    assert_eq!(restored.devices(), engine.devices());
    println!(
        "{:.0} {saved:.1} {bytes} {back:.1} {asked} {each}",
        took / evaluated as f64 * 1e9
    );
}

/// Returns a temperature in tenths of a degree with a noise of one tenth. Racks have different phases.
fn temperature(device: u32, second: u32) -> Celsius {
    let phase = f64::from(device / 8 % 64) / 64.0;
    let cycle = (f64::from(second) / 600.0 + phase) * std::f64::consts::TAU;
    let noise = f64::from((second * 7 + device * 13) % 2);
    let tenths = (220.0 + 9.0 * cycle.sin() + noise).round();
    Celsius::new(tenths / 10.0).unwrap()
}

/// Returns the resident memory of this process in bytes, or 0 on systems without `/proc`.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or(0) * 4096
}
