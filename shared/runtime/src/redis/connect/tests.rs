//! Settings that never reach a server.

use super::credentials::Credentials;
use super::settings::connection_info;
use super::*;
use crate::config::Secret;

fn with_url(url: &str) -> RedisConfig {
    RedisConfig {
        url: url.into(),
        ..RedisConfig::default()
    }
}

#[test]
fn the_endpoint_shows_no_secret() {
    for (url, endpoint) in [
        ("redis://user:4711@rack:1/2", "redis://rack:1"),
        ("rediss://:4711@rack:1", "rediss://rack:1"),
        (
            "redis+unix:///run/redis.sock?pass=4711",
            "redis+unix:///run/redis.sock",
        ),
    ] {
        let connector = Connector::new(&with_url(url)).unwrap();
        assert_eq!(connector.endpoint(), endpoint);
        assert!(!format!("{connector:?}").contains("4711"), "{connector:?}");
    }
}

#[test]
fn settings_override_the_login_in_the_address() {
    let mut config = with_url("redis://a:b@rack");
    config.username = Some("user".to_owned());
    config.password = Some(Secret::from("word".to_owned()));
    let credentials = Credentials::read(&config).unwrap();
    let info = connection_info(&config, &credentials).unwrap();
    let login = info.redis_settings();
    assert_eq!(
        (login.username(), login.password()),
        (Some("user"), Some("word"))
    );
    assert!(info.tcp_settings().nodelay());
}

#[test]
fn wrong_settings_are_errors_that_say_what_to_do() {
    let ca = |url: &str, file: &str| RedisConfig {
        ca_file: Some(file.into()),
        ..with_url(url)
    };
    for (config, says) in [
        (
            with_url("http://user:4711@rack"),
            "cannot use http://***@rack as redis.url: write",
        ),
        (with_url("4711@rack"), "as redis.url: write"),
        (
            ca("redis://rack", "/ca.pem"),
            "redis.ca_file is set but redis.url (redis://rack)",
        ),
        (
            ca("rediss://rack", "/nowhere/ca.pem"),
            "cannot read redis.ca_file /nowhere/ca.pem",
        ),
        (
            RedisConfig {
                sentinel_username: Some("ada".to_owned()),
                ..with_url("redis+cluster://rack")
            },
            "redis.sentinel_username is set but redis.url (redis+cluster://rack) names no Sentinels",
        ),
        (
            RedisConfig {
                tls_insecure: true,
                ..with_url("redis://rack")
            },
            "redis.tls_insecure is",
        ),
        (
            RedisConfig {
                tls_insecure: true,
                ..ca("rediss+cluster://rack", "/ca.pem")
            },
            "redis.ca_file has no effect",
        ),
    ] {
        let error = Connector::new(&config).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.remedy(), crate::redis::Remedy::Fatal);
        if config.url.expose().starts_with("http") {
            assert!(!format!("{error:?} {error}").contains("4711"), "{error:?}");
        }
    }
}
