//! Servers that ask for a client certificate, and Sentinels that ask for a user.

use rackwatch_runtime::config::{RedisConfig, Secret};
use rackwatch_runtime::redis::ConnectError;
use rackwatch_testing::{Certificates, SENTINEL_USER, SecuredRedis};

use crate::connecting::{ping, with_url};

fn with_certificate(url: &str, certificates: &Certificates) -> RedisConfig {
    RedisConfig {
        ca_file: Some(certificates.ca()),
        client_cert_file: Some(certificates.certificate()),
        client_key_file: Some(certificates.key()),
        ..with_url(url)
    }
}

/// Checks that only a client with a certificate of this authority is let in.
async fn asks_for_a_certificate(config: &RedisConfig, url: &str) {
    let without = RedisConfig {
        client_cert_file: None,
        client_key_file: None,
        ..config.clone()
    };
    let other = Certificates::create().unwrap();
    let foreign = RedisConfig {
        client_cert_file: Some(other.certificate()),
        client_key_file: Some(other.key()),
        ..config.clone()
    };
    for refused in [without, foreign] {
        let error = ping(&refused).await.unwrap_err();
        let certificate = matches!(error, ConnectError::ClientCertificate { .. });
        assert!(certificate, "{url}: {error:?}");
    }
    ping(config).await.unwrap();
}

#[tokio::test]
async fn client_certificates_open_a_single_server() {
    let certificates = Certificates::create().unwrap();
    let server = SecuredRedis::single(&certificates).unwrap();
    let config = with_certificate(server.url(), &certificates);
    asks_for_a_certificate(&config, server.url()).await;
}

#[tokio::test]
async fn client_certificates_open_a_cluster() {
    let certificates = Certificates::create().unwrap();
    let cluster = SecuredRedis::cluster(&certificates).unwrap();
    let config = with_certificate(cluster.url(), &certificates);
    asks_for_a_certificate(&config, cluster.url()).await;
}

#[tokio::test]
async fn sentinels_have_a_user_of_their_own_and_ask_for_certificates() {
    let certificates = Certificates::create().unwrap();
    let sentinel = SecuredRedis::sentinel(&certificates).unwrap();
    let (user, password) = SENTINEL_USER;
    let mut config = with_certificate(sentinel.url(), &certificates);
    ping(&config).await.unwrap_err();

    config.sentinel_username = Some(user.to_owned());
    config.sentinel_password = Some(Secret::from(password.to_owned()));
    ping(&config).await.unwrap();

    config.client_cert_file = None;
    config.client_key_file = None;
    ping(&config).await.unwrap_err();
}

#[tokio::test]
async fn a_key_of_another_certificate_is_an_error() {
    let [one, other] = [(); 2].map(|()| Certificates::create().unwrap());
    let mut config = with_certificate("rediss://rack", &one);
    config.client_key_file = Some(other.key());
    let error = ping(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::ClientKey { .. }), "{error:?}");
    config.client_key_file = Some(other.certificate());
    let error = ping(&config).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot use redis.client_key_file "),
        "{error}"
    );
}
