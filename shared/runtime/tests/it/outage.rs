//! Redis absent, back, gone again; and what is logged about it.

use std::time::Duration;

use rackwatch_runtime::config::{RedisConfig, Secret};
use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use rackwatch_testing::{RedisServer, wait_until};
use redis::AsyncCommands;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

use crate::logged::Logged;

const SOON: Duration = Duration::from_secs(10);

fn impatient(server: &RedisServer) -> RedisConfig {
    RedisConfig {
        url: server.url().as_str().into(),
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        ..RedisConfig::default()
    }
}

#[tokio::test]
async fn a_connection_opens_once_redis_is_there_and_each_change_is_logged_once() {
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let logged = Logged::default();
    let connector = Connector::new(&impatient(&server)).unwrap();
    let opening = tokio::spawn(
        async move {
            connector
                .open_until(Purpose::Commands, &CancellationToken::new())
                .await
        }
        .with_subscriber(logged.subscriber()),
    );
    wait_until(SOON, "the outage is logged", async || {
        logged.has("no connection").then_some(())
    })
    .await
    .unwrap();

    server.restart().unwrap();

    let mut connection = tokio::time::timeout(SOON, opening)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    connection.ping::<()>().await.unwrap();
    let lines = logged.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains(&server.url()),
        "{lines:?}"
    );
    assert!(lines[0].contains("check that it runs"), "{lines:?}");
    assert!(
        lines[1].contains("INFO") && lines[1].contains("outage="),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_refused_password_is_logged_once_and_tried_until_stopped() {
    let server = RedisServer::start_with(&["--requirepass", "4711"]).unwrap();
    let logged = Logged::default();
    let stop = CancellationToken::new();
    let mut config = impatient(&server);
    config.password = Some(Secret::from("4712".to_owned()));
    let connector = Connector::new(&config).unwrap();
    let until = stop.clone();
    let opening = tokio::spawn(
        async move {
            connector
                .open_until(Purpose::Commands, &until)
                .await
                .is_none()
        }
        .with_subscriber(logged.subscriber()),
    );
    let tries = "three tries reached redis";
    wait_until(SOON, tries, async || {
        (refused(&server).await >= 3).then_some(())
    })
    .await
    .unwrap();

    stop.cancel();

    assert!(tokio::time::timeout(SOON, opening).await.unwrap().unwrap());
    let lines = logged.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("refuses the user or the password"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("4712"), "{lines:?}");
}

/// Returns the number of logins that the server refused.
async fn refused(server: &RedisServer) -> u64 {
    let client = redis::Client::open(format!("redis://:4711@127.0.0.1:{}", server.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("errorstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    let count: String = info.get("errorstat_WRONGPASS").unwrap_or_default();
    count.trim_start_matches("count=").parse().unwrap_or(0)
}

#[tokio::test]
async fn a_restart_asks_for_another_connection() {
    let mut server = RedisServer::start().unwrap();
    let connector = Connector::new(&impatient(&server)).unwrap();
    let mut connection = connector.open(Purpose::Commands).await.unwrap();
    server.restart().unwrap();

    let error = connection.ping::<()>().await.unwrap_err();

    assert_eq!(remedy(&error), Remedy::Reconnect, "{error:?}");
    let opened = connector
        .open_until(Purpose::Commands, &CancellationToken::new())
        .await;
    opened.unwrap().ping::<()>().await.unwrap();
}

#[tokio::test]
async fn a_full_or_read_only_redis_is_waited_for() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).unwrap();
    let connector = Connector::new(&impatient(&server)).unwrap();
    let mut connection = connector.open(Purpose::Commands).await.unwrap();
    let set = async |connection: &mut Connection| {
        connection
            .set::<_, _, ()>("key", "value")
            .await
            .unwrap_err()
    };
    let error = set(&mut connection).await;
    assert_eq!(remedy(&error), Remedy::RetryLater, "{error:?}");
    let error = redis::pipe()
        .set("key", "value")
        .exec_async(&mut connection)
        .await
        .unwrap_err();
    assert_eq!(remedy(&error), Remedy::RetryLater, "{error:?}");
    let error = redis::pipe()
        .atomic()
        .set("key", "v")
        .exec_async(&mut connection)
        .await;
    assert_eq!(remedy(&error.unwrap_err()), Remedy::RetryLater);

    redis::cmd("REPLICAOF")
        .arg(&["127.0.0.1", "1"])
        .exec_async(&mut connection)
        .await
        .unwrap();
    let error = set(&mut connection).await;
    assert_eq!(remedy(&error), Remedy::RetryLater, "{error:?}");
}
