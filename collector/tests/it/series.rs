//! The same scenarios over all three places where series live: a real Redis without time series,
//! a stand-in with them, and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rackwatch_collector::series::{
    Aggregate, Backend, Point, Resolution, Series, SeriesConfig, SeriesError, open,
};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_testing::{RedisServer, TimeSeriesServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};

/// A full minute in 2026.
const START: u64 = 1_790_000_040_000;

enum Server {
    TimeSeries(TimeSeriesServer),
    Plain(RedisServer),
    Memory,
}

struct Place {
    server: Server,
    config: SeriesConfig,
}

impl Place {
    fn time_series() -> Self {
        Self::of(Server::TimeSeries(TimeSeriesServer::start().unwrap()))
    }

    fn plain() -> Self {
        Self::of(Server::Plain(RedisServer::start().unwrap()))
    }

    fn memory() -> Self {
        Self::of(Server::Memory)
    }

    fn of(server: Server) -> Self {
        let config = SeriesConfig {
            raw_retention: Some(Duration::from_hours(2)),
            ..SeriesConfig::default()
        };
        Self { server, config }
    }

    fn url(&self) -> Option<String> {
        match &self.server {
            Server::TimeSeries(server) => Some(server.url()),
            Server::Plain(server) => Some(server.url()),
            Server::Memory => None,
        }
    }

    async fn connect(&self) -> Option<MultiplexedConnection> {
        Some(connect(&self.url()?).await)
    }

    /// The series as a collector that starts finds them.
    async fn open(&self) -> Series {
        match self.connect().await {
            Some(connection) => open(connection, &self.config).await.unwrap(),
            None => Series::in_memory(&self.config),
        }
    }
}

async fn connect(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
    Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap()
}

macro_rules! everywhere {
    ($($scenario:ident),* $(,)?) => {
        mod on_time_series {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(super::Place::time_series()).await;
            })*
        }
        mod on_plain_redis {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(super::Place::plain()).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(super::Place::memory()).await;
            })*
        }
    };
}

everywhere!(
    the_right_place_is_found,
    the_first_value_of_a_time_stays,
    late_readings_are_merged_in_order,
    what_is_older_than_the_retention_is_refused,
    a_key_of_another_type_does_not_stop_the_others,
    series_come_back_after_flushall,
    minutes_are_rolled_up,
    a_late_reading_changes_its_minute,
    a_restart_in_the_middle_of_a_minute_loses_nothing_of_it,
    ranges_come_in_the_asked_resolution,
    large_batches_are_stored_whole,
    a_sweep_keeps_what_is_young,
);

fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000).unwrap()
}

fn celsius(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

fn point(name: &str, seconds: u64, degrees: f64) -> Point {
    Point {
        device: device(name),
        at: at(seconds),
        value: celsius(degrees),
    }
}

/// All of a device's samples, as seconds and degrees.
async fn all(series: &mut Series, name: &str, resolution: Resolution) -> Vec<(u64, f64)> {
    let end = Timestamp::MAX;
    let samples = series
        .range(&device(name), Timestamp::default(), end, resolution)
        .await
        .unwrap();
    samples
        .into_iter()
        .map(|(at, value)| ((at.millis() - START) / 1000, value.degrees()))
        .collect()
}

async fn minutes(series: &mut Series, name: &str) -> [Vec<(u64, f64)>; 3] {
    let [average, minimum, maximum] = Aggregate::ALL.map(Resolution::Minutes);
    [
        all(series, name, average).await,
        all(series, name, minimum).await,
        all(series, name, maximum).await,
    ]
}

async fn the_right_place_is_found(place: Place) {
    let series = place.open().await;
    let expected = match place.server {
        Server::TimeSeries(_) => "timeseries",
        Server::Plain(_) => "plain",
        Server::Memory => "memory",
    };
    assert_eq!(series.name(), expected);
    // 20,000 devices each second: hundreds of megabytes at least, and less than a terabyte.
    let bytes = series.project(20_000, Duration::from_secs(1));
    assert!((300 << 20..1 << 40).contains(&bytes), "{bytes}");
}

async fn the_first_value_of_a_time_stays(place: Place) {
    let mut series = place.open().await;
    let batch = [
        point("a", 1, 20.1),
        point("b", 1, -5.0),
        point("a", 2, 20.2),
    ];
    let stored = series.store(&batch).await.unwrap();
    assert_eq!((stored.written, stored.duplicates), (3, 0));
    assert_eq!((stored.refused.len(), stored.minutes_refused), (0, 0));

    let again = [
        point("a", 1, 99.0),
        point("b", 1, -5.0),
        point("a", 2, 20.2),
    ];
    let stored = series.store(&again).await.unwrap();
    assert_eq!(stored.written + stored.duplicates, 3);
    assert_eq!(stored.refused, []);

    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(1, 20.1), (2, 20.2)]);
    assert_eq!(all(&mut series, "b", Resolution::Raw).await, [(1, -5.0)]);
    assert_eq!(all(&mut series, "c", Resolution::Raw).await, []);
}

async fn late_readings_are_merged_in_order(place: Place) {
    let mut series = place.open().await;
    series.store(&[point("a", 10, 1.0)]).await.unwrap();
    let late = [
        point("a", 5, 2.0),
        point("a", 3, 3.0),
        point("a", 5, 4.0),
        point("a", 12, 5.0),
    ];
    let stored = series.store(&late).await.unwrap();
    assert_eq!(stored.written + stored.duplicates, 4);
    if series.name() != "timeseries" {
        assert_eq!(stored.duplicates, 1);
    }
    assert_eq!(
        all(&mut series, "a", Resolution::Raw).await,
        [(3, 3.0), (5, 2.0), (10, 1.0), (12, 5.0)]
    );
}

async fn what_is_older_than_the_retention_is_refused(place: Place) {
    let mut series = place.open().await;
    series.store(&[point("a", 8000, 1.0)]).await.unwrap();
    let stored = series
        .store(&[point("a", 700, 2.0), point("a", 8001, 3.0)])
        .await
        .unwrap();
    assert_eq!(stored.written, 1);
    let [(0, reason)] = stored.refused.as_slice() else {
        panic!("{stored:?}");
    };
    assert!(reason.contains("older than"), "{reason}");
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(8000, 1.0), (8001, 3.0)]);
}

async fn a_key_of_another_type_does_not_stop_the_others(place: Place) {
    let Some(mut admin) = place.connect().await else {
        return;
    };
    let mut series = place.open().await;
    let _: () = cmd("SET")
        .arg(&["sensor:bad:temp", "x"])
        .query_async(&mut admin)
        .await
        .unwrap();
    for second in [1, 2] {
        let batch = [
            point("a", second, 20.0),
            point("bad", second, 21.0),
            point("c", second, 22.0),
        ];
        let stored = series.store(&batch).await.unwrap();
        assert_eq!(stored.written, 2);
        let [(1, reason)] = stored.refused.as_slice() else {
            panic!("{stored:?}");
        };
        assert!(reason.contains("WRONGTYPE"), "{reason}");
    }
    let raw = all(&mut series, "c", Resolution::Raw).await;
    assert_eq!(raw, [(1, 22.0), (2, 22.0)]);
    let end = Timestamp::MAX;
    let error = series
        .range(&device("bad"), Timestamp::default(), end, Resolution::Raw)
        .await
        .unwrap_err();
    assert!(matches!(error, SeriesError::Unreadable { .. }), "{error}");
}

async fn series_come_back_after_flushall(place: Place) {
    let Some(mut admin) = place.connect().await else {
        return;
    };
    let mut series = place.open().await;
    series
        .store(&[point("a", 1, 20.0), point("a", 65, 21.0)])
        .await
        .unwrap();
    let _: () = cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
    let stored = series.store(&[point("a", 66, 22.0)]).await.unwrap();
    assert_eq!((stored.written, stored.refused.len()), (1, 0));
    // Late, so that the script is needed, which FLUSHALL leaves and SCRIPT FLUSH does not.
    if series.name() == "plain" {
        let _: () = cmd("SCRIPT")
            .arg("FLUSH")
            .query_async(&mut admin)
            .await
            .unwrap();
    }
    series.store(&[point("a", 64, 23.0)]).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(64, 23.0), (66, 22.0)]);
}

async fn minutes_are_rolled_up(place: Place) {
    let mut series = place.open().await;
    let values = [(0, 20.0), (30, 26.0), (59, 23.0), (60, 30.0), (61, 31.0)];
    for (second, value) in values {
        series.store(&[point("a", second, value)]).await.unwrap();
    }
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 23.0)]);
    assert_eq!(minimum, [(0, 20.0)]);
    assert_eq!(maximum, [(0, 26.0)]);

    series.close_idle(at(239)).await.unwrap();
    assert_eq!(minutes(&mut series, "a").await[0].len(), 1, "not yet");
    series.close_idle(at(240)).await.unwrap();
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 23.0), (60, 30.5)]);
    assert_eq!(minimum, [(0, 20.0), (60, 30.0)]);
    assert_eq!(maximum, [(0, 26.0), (60, 31.0)]);
}

async fn a_late_reading_changes_its_minute(place: Place) {
    let mut series = place.open().await;
    let batch = [
        point("a", 0, 20.0),
        point("a", 70, 30.0),
        point("a", 130, 40.0),
    ];
    series.store(&batch).await.unwrap();
    assert_eq!(minutes(&mut series, "a").await[0], [(0, 20.0), (60, 30.0)]);
    // Of a closed minute, of one that had none, and of the open one.
    for (second, value) in [(10, 10.0), (10, 99.0), (125, 42.0)] {
        series.store(&[point("a", second, value)]).await.unwrap();
    }
    series.store(&[point("a", 200, 50.0)]).await.unwrap();
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 15.0), (60, 30.0), (120, 41.0)]);
    assert_eq!(minimum, [(0, 10.0), (60, 30.0), (120, 40.0)]);
    assert_eq!(maximum, [(0, 20.0), (60, 30.0), (120, 42.0)]);

    // The same again changes nothing.
    series.store(&batch).await.unwrap();
    series.store(&[point("a", 10, 98.0)]).await.unwrap();
    assert_eq!(
        minutes(&mut series, "a").await[0],
        [(0, 15.0), (60, 30.0), (120, 41.0)]
    );
}

async fn a_restart_in_the_middle_of_a_minute_loses_nothing_of_it(place: Place) {
    if matches!(place.server, Server::Memory) {
        return;
    }
    let mut first = place.open().await;
    first
        .store(&[point("a", 5, 10.0), point("b", 5, 1.0)])
        .await
        .unwrap();
    drop(first);
    let mut second = place.open().await;
    // The one comes back in the same minute, the other two minutes later.
    second
        .store(&[point("a", 50, 20.0), point("a", 61, 30.0)])
        .await
        .unwrap();
    second.store(&[point("b", 130, 2.0)]).await.unwrap();
    assert_eq!(minutes(&mut second, "a").await[0], [(0, 15.0)]);
    assert_eq!(minutes(&mut second, "b").await[0], [(0, 1.0)]);
}

async fn ranges_come_in_the_asked_resolution(place: Place) {
    let mut series = place.open().await;
    let batch: Vec<_> = (0..40)
        .map(|n| point("a", n, f64::from(u32::try_from(n).unwrap())))
        .collect();
    series.store(&batch).await.unwrap();
    let ten = Duration::from_secs(10);
    let maximum = Resolution::Buckets(ten, Aggregate::Maximum);
    assert_eq!(
        all(&mut series, "a", maximum).await,
        [(0, 9.0), (10, 19.0), (20, 29.0), (30, 39.0)]
    );
    let average = Resolution::Buckets(ten, Aggregate::Average);
    let part = series
        .range(&device("a"), at(5), at(14), average)
        .await
        .unwrap();
    assert_eq!(part, [(at(0), celsius(7.0)), (at(10), celsius(12.0))]);
    let raw = series
        .range(&device("a"), at(5), at(6), Resolution::Raw)
        .await
        .unwrap();
    assert_eq!(raw, [(at(5), celsius(5.0)), (at(6), celsius(6.0))]);
}

async fn large_batches_are_stored_whole(mut place: Place) {
    place.config.max_batch = 7.try_into().unwrap();
    let mut series = place.open().await;
    let names: Vec<_> = (0..20).map(|n| format!("inlet-B07-{n}")).collect();
    for second in [10, 20, 70, 130] {
        let batch: Vec<_> = names.iter().map(|name| point(name, second, 20.5)).collect();
        let stored = series.store(&batch).await.unwrap();
        assert_eq!((stored.written, stored.refused.len()), (20, 0));
    }
    for name in &names {
        assert_eq!(all(&mut series, name, Resolution::Raw).await.len(), 4);
        let [average, ..] = minutes(&mut series, name).await;
        assert_eq!(average, [(0, 20.5), (60, 20.5)]);
    }
}

async fn a_sweep_keeps_what_is_young(place: Place) {
    let mut series = place.open().await;
    let batch: Vec<_> = (0..300).map(|n| point("a", n, 20.0)).collect();
    series.store(&batch).await.unwrap();
    series.store(&[point("a", 3, 20.0)]).await.unwrap();
    series.sweep(at(250 + 7200)).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    let seconds: BTreeSet<_> = raw.iter().map(|(second, _)| *second).collect();
    assert!((250..300).all(|second| seconds.contains(&second)));
    if series.name() != "timeseries" {
        assert!(raw.len() < 200, "{}", raw.len());
    }
    // Roll-ups live longer.
    assert_eq!(minutes(&mut series, "a").await[0].len(), 4);
    // The device is heard of again.
    series.store(&[point("a", 8000, 25.0)]).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw.last(), Some(&(8000, 25.0)));
}

/// What happens to the series of two devices.
#[derive(Clone, Debug)]
enum Step {
    /// A batch of (device, second, tenths of a degree).
    Store(Vec<(bool, u64, i32)>),
    /// The last batch is delivered once more.
    Again,
    /// Another collector takes over.
    Restart,
    /// Time goes on without readings.
    Idle(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reading = (any::<bool>(), 0_u64..400, 100..300);
    let step = prop_oneof![
        6 => prop::collection::vec(reading, 1..12).prop_map(Step::Store),
        1 => Just(Step::Again),
        1 => Just(Step::Restart),
        1 => (0_u64..700).prop_map(Step::Idle),
    ];
    prop::collection::vec(step, 1..10)
}

/// First value of a time by device.
type Model = BTreeMap<&'static str, BTreeMap<u64, f64>>;

async fn play(place: &Place, steps: &[Step]) -> Result<(), TestCaseError> {
    if let Some(mut admin) = place.connect().await {
        let _: () = cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
    }
    let mut series = place.open().await;
    let mut model = Model::new();
    let mut last = Vec::new();
    for step in steps {
        match step {
            Step::Store(readings) => {
                last = readings.iter().map(named).collect();
                store(&mut series, &last, &mut model).await;
            }
            Step::Again => store(&mut series, &last, &mut model).await,
            Step::Restart if matches!(place.server, Server::Memory) => {}
            Step::Restart => series = place.open().await,
            Step::Idle(second) => {
                series.close_idle(at(*second)).await.unwrap();
            }
        }
    }
    let end = [("a", 1000, 1.0), ("b", 1000, 1.0)];
    store(&mut series, &end, &mut model).await;
    for (name, readings) in &model {
        let raw = all(&mut series, name, Resolution::Raw).await;
        let expected: Vec<_> = readings.iter().map(|(at, value)| (*at, *value)).collect();
        prop_assert_eq!(&raw, &expected);
        let found = minutes(&mut series, name).await;
        prop_assert_eq!(found, expected_minutes(&expected));
    }
    Ok(())
}

fn named((a, second, tenths): &(bool, u64, i32)) -> (&'static str, u64, f64) {
    let name = if *a { "a" } else { "b" };
    (name, *second, f64::from(*tenths) / 10.0)
}

async fn store(series: &mut Series, readings: &[(&'static str, u64, f64)], model: &mut Model) {
    let mut points = Vec::new();
    for (name, second, degrees) in readings {
        points.push(point(name, *second, *degrees));
        let readings = model.entry(name).or_default();
        readings.entry(*second).or_insert(*degrees);
    }
    let stored = series.store(&points).await.unwrap();
    assert_eq!(stored.refused, []);
    assert_eq!(stored.minutes_refused, 0);
}

/// Average, minimum and maximum of every minute but the last.
fn expected_minutes(readings: &[(u64, f64)]) -> [Vec<(u64, f64)>; 3] {
    let mut found = [const { Vec::new() }; 3];
    for minute in readings.chunk_by(|a, b| a.0 / 60 == b.0 / 60) {
        let start = minute[0].0 / 60 * 60;
        if start == 960 {
            continue;
        }
        let values = || minute.iter().map(|(_, value)| *value);
        let minimum = values().fold(f64::MAX, f64::min);
        let maximum = values().fold(f64::MIN, f64::max);
        let average = values().reduce(|a, b| a + b).unwrap() / values().count() as f64;
        found[0].push((start, average.max(minimum).min(maximum)));
        found[1].push((start, minimum));
        found[2].push((start, maximum));
    }
    found
}

fn whatever_happens_raw_and_minutes_agree(place: &Place, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let played = runner.run(&steps(), |steps| runtime.block_on(play(place, &steps)));
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn whatever_happens_on_time_series() {
    whatever_happens_raw_and_minutes_agree(&Place::time_series(), 40);
}

#[test]
fn whatever_happens_on_plain_redis() {
    whatever_happens_raw_and_minutes_agree(&Place::plain(), 150);
}

#[test]
fn whatever_happens_in_memory() {
    whatever_happens_raw_and_minutes_agree(&Place::memory(), 500);
}

#[tokio::test]
async fn labels_follow_the_description() {
    let place = Place::time_series();
    let mut admin = place.connect().await.unwrap();
    let mut series = place.open().await;
    series
        .store(&[point("inlet-B07-1", 1, 20.0)])
        .await
        .unwrap();
    let find = async |admin: &mut MultiplexedConnection, filter: &str| -> Vec<String> {
        let mut command = cmd("TS.QUERYINDEX");
        command.arg(filter);
        command.query_async(admin).await.unwrap()
    };
    let key = ["sensor:inlet-B07-1:temp"];
    assert_eq!(find(&mut admin, "rack=B07").await, key);

    let description = Description {
        rack: Some("C01".to_owned()),
        role: Role::Inlet,
        ..Description::default()
    };
    let known = [(device("inlet-B07-1"), description)];
    series.describe(&known).await.unwrap();
    assert_eq!(find(&mut admin, "rack=C01").await, key);
    assert_eq!(find(&mut admin, "role=inlet").await, key);

    let _: () = cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
    series
        .store(&[point("inlet-B07-1", 2, 20.0)])
        .await
        .unwrap();
    assert_eq!(find(&mut admin, "rack=C01").await, key, "created again");
}

#[tokio::test]
async fn after_a_lost_connection_the_batch_is_stored_again() {
    let mut server = RedisServer::start().unwrap();
    let config = SeriesConfig::default();
    let mut series = open(connect(&server.url()).await, &config).await.unwrap();
    let batch = [point("a", 1, 20.0), point("a", 61, 21.0)];
    server.restart().unwrap();
    let error = series.store(&batch).await.unwrap_err();
    assert!(
        error.redis().is_some_and(redis::RedisError::is_io_error),
        "{error:?}"
    );

    series.reconnect(connect(&server.url()).await);
    assert_eq!(series.store(&batch).await.unwrap().written, 2);
    assert_eq!(minutes(&mut series, "a").await[0], [(0, 20.0)]);
}

#[tokio::test]
async fn a_full_redis_fails_the_batch_rather_than_refusing_readings() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).unwrap();
    let connection = connect(&server.url()).await;
    let mut series = open(connection, &SeriesConfig::default()).await.unwrap();
    let error = series.store(&[point("a", 1, 20.0)]).await.unwrap_err();
    assert_eq!(error.redis().and_then(redis::RedisError::code), Some("OOM"));
}

#[tokio::test]
async fn time_series_that_are_not_there_are_an_error_when_asked_for() {
    let server = RedisServer::start().unwrap();
    let config = SeriesConfig {
        backend: Backend::TimeSeries,
        ..SeriesConfig::default()
    };
    let error = open(connect(&server.url()).await, &config)
        .await
        .unwrap_err();
    assert!(matches!(error, SeriesError::NoTimeSeries));
}

#[tokio::test]
async fn a_plain_series_is_readable_by_anyone() {
    let place = Place::plain();
    let mut series = place.open().await;
    let zero = Point {
        at: Timestamp::default(),
        ..point("a", 0, 20.0)
    };
    let stored = series.store(&[zero, point("a", 1, 20.5)]).await.unwrap();
    assert_eq!(stored.refused.len(), 1, "no stream id for 1970 itself");
    let mut admin = place.connect().await.unwrap();
    let entries: Vec<(String, Vec<String>)> = cmd("XRANGE")
        .arg(&["sensor:a:temp", "-", "+"])
        .query_async(&mut admin)
        .await
        .unwrap();
    let id = format!("{}-0", START + 1000);
    assert_eq!(entries, [(id, vec!["t".to_owned(), "20.5".to_owned()])]);
}
