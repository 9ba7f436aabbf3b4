//! Indices of racks, rows and rooms: the newest, and their series.

use std::time::Duration;

use rackwatch_collector::indices::{self, past};
use rackwatch_collector::series::SeriesConfig;
use rackwatch_core::rules::Profile;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::{Connector, Purpose};
use rackwatch_testing::{RedisServer, TimeSeriesServer, wait_until};
use redis::{Client, Commands};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, collector, connect, running, send, wait_all_done};

/// The life of published aggregates, in seconds. Their age is the difference to the time that is left.
const KEPT: u64 = 24 * 3600;

/// Writes the aggregates of three racks as the owners of two partitions would.
fn prepare(redis: &mut redis::Connection) {
    let racks = r#"{"v":1,"racks":[
        {"zone":"hall-2","rack":"B01","inlets":2,"inlet_sum":50.0,"above":2.0,"outside":1,
         "exhausts":1,"exhaust_sum":36.0,"gradients":1,"gradient_sum":3.0},
        {"zone":"hall-2","rack":"B02","inlets":2,"inlet_sum":46.0}]}"#;
    let other = r#"{"v":1,"racks":[{"zone":"hall-3","rack":"C01","inlets":1,"inlet_sum":20.0},
        {"zone":"hall-4","rack":"D01","inlets":1,"missing":2,"inlet_sum":20.0}]}"#;
    let _: () = redis.hset("rackwatch:layout", "partitions", 2).unwrap();
    let _: () = redis.set_ex("rackwatch:{0}:racks", racks, KEPT).unwrap();
    let _: () = redis.set_ex("rackwatch:{1}:racks", other, KEPT).unwrap();
    let site = r#"{"v":1,"site":{"racks":[{"rack":["B*"],"row":"B"}]}}"#;
    let _: () = redis
        .hset_multiple("rackwatch:site", &[("version", "1"), ("site", site)])
        .unwrap();
}

async fn check(url: &str, points: impl Fn(&mut redis::Connection, &str) -> Vec<f64>) {
    let redis = &mut connect(url);
    prepare(redis);
    let config = RedisConfig {
        url: url.into(),
        ..RedisConfig::default()
    };
    let stop = CancellationToken::new();
    let made = tokio::spawn(indices::run(
        Connector::new(&config).unwrap(),
        SeriesConfig::default(),
        Profile::default().envelope(),
        Duration::from_secs(1),
        stop.clone(),
    ));
    let redis = std::sync::Mutex::new(connect(url));
    wait_until(DEADLINE, "a series has several points", || async {
        let mut redis = redis.lock().unwrap();
        (points(&mut redis, "rackwatch:index:row:B:rci_hi").len() > 1).then_some(())
    })
    .await
    .unwrap();
    stop.cancel();
    made.await.unwrap().unwrap();
    let redis = &mut redis.into_inner().unwrap();
    for (series, value) in [
        // Two kelvin over, of four times five.
        ("row:B:rci_hi", 90.0),
        ("rack:B01:rci_hi", 80.0),
        ("room:hall-2:delta_t", 12.0),
        ("room:hall-3:n", 1.0),
    ] {
        let first = points(redis, &format!("rackwatch:index:{series}"))[0];
        assert!((first - value).abs() < 1e-6, "{series}: {first}");
    }
    let json: String = redis.hget("rackwatch:indices", "row B").unwrap();
    let newest: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&newest["class"], &newest["n"]), (&"A1".into(), &4.into()));
    assert_eq!(
        (&newest["gradient"], &newest["outside"]),
        (&3.0.into(), &0.25.into())
    );
    let newest = |redis: &mut redis::Connection, scope: &str| -> Value {
        let json: String = redis.hget("rackwatch:indices", scope).unwrap();
        serde_json::from_str(&json).unwrap()
    };
    let few = newest(redis, "room hall-4");
    assert_eq!(
        (&few["n"], &few["missing"], &few["rci_hi"]),
        (&1.into(), &2.into(), &Value::Null)
    );
    let mut program = collector(&["indices", "--redis", url]);
    assert!(program.wait_exit(DEADLINE).unwrap().success());
    let report = program.stdout();
    let line = report.lines().find(|line| line.starts_with("room hall-4"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(
        words[3..8],
        ["1", "of", "3", "unknown", "unknown"],
        "{report}"
    );
    past_is_averaged(&config, url, redis).await;
}

/// Reads a row's indices with two minutes per point, and those of an unknown row.
async fn past_is_averaged(config: &RedisConfig, url: &str, redis: &mut redis::Connection) {
    let minute = |n: u64| 1_795_438_800_000 + n * 60_000;
    let has_time_series = redis::cmd("TS.INFO").arg("none").query::<()>(redis);
    let has_time_series = !format!("{has_time_series:?}").contains("unknown command");
    for (n, value) in [(0, 100.0), (1, 90.0), (2, 80.0), (7, 60.0)] {
        let key = "rackwatch:index:row:P:rci_hi";
        let add = if has_time_series {
            let mut add = redis::cmd("TS.ADD");
            add.arg(key).arg(minute(n)).arg(value).clone()
        } else {
            let mut add = redis::cmd("XADD");
            add.arg(key).arg(minute(n)).arg("v").arg(value).clone()
        };
        let _: redis::Value = add.query(redis).unwrap();
    }
    let connector = Connector::new(config).unwrap();
    let mut connection = connector.open(Purpose::Commands).await.unwrap();
    let series = SeriesConfig::default();
    let mut read = async |name: &str| {
        let stretch = past::SeriesRange {
            scope: "row",
            name,
            from: Timestamp::from_millis(minute(0)).unwrap(),
            to: Timestamp::from_millis(minute(60)).unwrap(),
            width: Duration::from_secs(120),
        };
        let all = past::read(&mut connection, &series, stretch).await.unwrap();
        assert_eq!(all.len(), 7);
        let (name, points) = all.into_iter().next().unwrap();
        assert_eq!(name, "rci_hi");
        let points = points.into_iter().map(|(at, value)| (at.millis(), value));
        points.collect::<Vec<_>>()
    };
    let averages = [(minute(0), 95.0), (minute(2), 80.0), (minute(6), 60.0)];
    assert_eq!(read("P").await, averages);
    assert_eq!(read("nowhere").await, []);
    // As people ask for it, here a minute a point.
    let hour = [
        "--from",
        "2026-11-23T13:00:00Z",
        "--to",
        "2026-11-23T14:00:00Z",
    ];
    let asked = ["indices", "row", "P", "--redis", url];
    let mut program = collector(&[&asked[..], &hour].concat());
    assert!(program.wait_exit(DEADLINE).unwrap().success());
    let report = program.stdout();
    let line = report.lines().find(|line| line.starts_with("RCI high"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[2..], ["82.5", "%", "60.0", "%", "100.0", "%", "█▇▅▁"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_minute_has_a_point_as_a_stream() {
    let server = RedisServer::start().unwrap();
    check(&server.url(), |redis, key| {
        let all: redis::streams::StreamRangeReply = redis.xrange_all(key).unwrap();
        all.ids
            .iter()
            .map(|entry| entry.get("v").unwrap())
            .collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_minute_has_a_point_as_a_time_series() {
    let server = TimeSeriesServer::start().unwrap();
    check(&server.url(), |redis, key| {
        let range = redis::cmd("TS.RANGE").arg(key).arg(&["-", "+"]).clone();
        let points: redis::RedisResult<Vec<(u64, f64)>> = range.query(redis);
        points
            .unwrap_or_default()
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    })
    .await;
}

#[test]
fn an_owner_writes_the_aggregates_of_its_racks() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut client = Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let _collector = running(&server.url());
    let start = 1_795_438_931_000;
    send(redis, "inlet-B01-1", start, "29.0");
    send(redis, "inlet-B01-2", start, "24.0");
    wait_all_done(redis);
    rackwatch_testing::wait_until_sync(DEADLINE, "the report has a rack", || {
        let json: Option<String> = client.get("rackwatch:racks").ok()?;
        let report: Value = serde_json::from_str(&json?).ok()?;
        let rack = report["racks"].get(0)?;
        (rack["rack"] == "B01" && rack["inlets"] == 2 && rack["above"] == 2.0).then_some(())
    })
    .unwrap();
}
