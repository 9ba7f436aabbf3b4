//! Every way to connect, and what is said when it fails.

use std::fs;
use std::time::Duration;

use rackwatch_runtime::config::{RedisConfig, Secret};
use rackwatch_runtime::redis::{ConnectError, Connector, Purpose};
use rackwatch_testing::{Certificates, RedisServer, free_port};
use redis::AsyncCommands;
use tempfile::TempDir;

pub(crate) fn with_url(url: &str) -> RedisConfig {
    RedisConfig {
        url: url.into(),
        ..RedisConfig::default()
    }
}

pub(crate) async fn ping(config: &RedisConfig) -> Result<(), ConnectError> {
    let mut connection = Connector::new(config)?.open(Purpose::Commands).await?;
    let answer: String = connection.ping().await.unwrap();
    assert_eq!(answer, "PONG");
    Ok(())
}

#[tokio::test]
async fn tcp_and_unix_sockets_work_in_both_protocols() {
    let server = RedisServer::start().unwrap();
    ping(&with_url(&server.url())).await.unwrap();
    ping(&with_url(&server.unix_url())).await.unwrap();
    ping(&with_url(&format!("{}/?protocol=resp3", server.url())))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_password_comes_from_a_file() {
    let server = RedisServer::start_with(&["--requirepass", "4711"]).unwrap();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "4711\n").unwrap();
    let mut config = with_url(&server.url());
    config.password_file = Some(file);
    ping(&config).await.unwrap();
    config.url = server.unix_url().into();
    ping(&config).await.unwrap();
}

#[tokio::test]
async fn a_missing_and_a_wrong_password_are_distinguished() {
    let server = RedisServer::start_with(&["--requirepass", "4711"]).unwrap();
    let mut config = with_url(&server.url());
    let error = ping(&config).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("asks for a password: set redis.password_file"),
        "{error}"
    );

    config.password = Some(Secret::from("4712".to_owned()));
    let error = ping(&config).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("refuses the user or the password"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("4712"), "{error:?}");

    // The same in the protocol that logs in with HELLO.
    config.url = format!("{}/?protocol=resp3", server.url()).as_str().into();
    let error = ping(&config).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("refuses the user or the password"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_names_the_endpoint() {
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    let error = ping(&with_url(&url)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot reach Redis at {url}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn a_blocking_command_may_take_its_time() {
    let server = RedisServer::start().unwrap();
    let mut config = with_url(&server.url());
    config.response_timeout = Duration::from_millis(200);
    let connector = Connector::new(&config).unwrap();
    let block = Duration::from_millis(400);
    let mut read = redis::cmd("XREAD");
    read.arg(&["BLOCK", "400", "STREAMS", "s", "$"]);

    let mut connection = connector.open(Purpose::Blocking(block)).await.unwrap();
    assert_eq!(
        read.query_async::<redis::Value>(&mut connection).await,
        Ok(redis::Value::Nil)
    );

    let mut connection = connector.open(Purpose::Commands).await.unwrap();
    let error = read
        .query_async::<redis::Value>(&mut connection)
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn tls_trusts_the_private_authority_alone() {
    let certificates = Certificates::create().unwrap();
    let port = free_port().unwrap().to_string();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let (certificate, key) = (path(certificates.certificate()), path(certificates.key()));
    let _server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        &path(certificates.ca()),
    ])
    .unwrap();

    let mut config = with_url(&format!("rediss://127.0.0.1:{port}"));
    let error = ping(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");

    config.ca_file = Some(certificates.ca());
    ping(&config).await.unwrap();

    config.ca_file = None;
    config.tls_insecure = true;
    ping(&config).await.unwrap();
}
