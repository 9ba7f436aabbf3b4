//! Properties of a single backend, and failures of Redis as a whole.

use rackwatch_collector::series::{Point, SeriesBackend, SeriesConfig, SeriesError, open};
use rackwatch_core::device::{Description, Role};
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::Connection;
use rackwatch_testing::RedisServer;
use redis::cmd;

use super::place::{Place, START, connect, device, minutes, point};

#[tokio::test]
async fn labels_follow_the_description() {
    let place = Place::time_series();
    let mut admin = place.connect().await.unwrap();
    let mut series = place.open().await;
    series
        .store(&[point("inlet-B07-1", 1, 20.0)])
        .await
        .unwrap();
    let find = async |admin: &mut Connection, filter: &str| -> Vec<String> {
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
        backend: SeriesBackend::TimeSeries,
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
