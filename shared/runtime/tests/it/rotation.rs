//! Passwords and certificates that are replaced while the program runs.

use std::fs;

use rackwatch_runtime::config::{RedisConfig, Secret};
use rackwatch_runtime::redis::{Connector, Purpose};
use rackwatch_testing::{Certificates, RedisServer, SENTINEL_USER, SecuredRedis};
use tempfile::TempDir;

use crate::connecting::with_url;

/// Sets the password of a server.
fn set_password(server: &RedisServer, old: &str, new: &str) {
    let url = format!("redis://:{old}@127.0.0.1:{}", server.port());
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut command = redis::cmd("CONFIG");
    command.arg(&["SET", "requirepass", new]);
    command.exec(&mut connection).unwrap();
}

#[tokio::test]
async fn a_rotated_password_needs_no_restart() {
    let server = RedisServer::start_with(&["--requirepass", "old"]).unwrap();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "old\n").unwrap();
    let config = RedisConfig {
        password_file: Some(file.clone()),
        ..with_url(&server.url())
    };
    let connector = Connector::new(&config).unwrap();
    connector.open(Purpose::Commands).await.unwrap();

    set_password(&server, "old", "new");
    connector.open(Purpose::Commands).await.unwrap_err();
    fs::write(&file, "new\n").unwrap();
    connector.open(Purpose::Commands).await.unwrap();

    // A rotation may delete the file before it writes another.
    fs::remove_file(&file).unwrap();
    connector.open(Purpose::Commands).await.unwrap();
}

#[tokio::test]
async fn replaced_certificates_need_no_restart() {
    let [old, new] = [(); 2].map(|()| Certificates::create().unwrap());
    // The authority, the certificate and the key of both sides are copies in one folder.
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    let put = |certificates: &Certificates| {
        fs::copy(certificates.ca(), file("ca.pem")).unwrap();
        fs::copy(certificates.certificate(), file("cert.pem")).unwrap();
        fs::copy(certificates.key(), file("key.pem")).unwrap();
    };
    put(&old);
    let mut server = SecuredRedis::single(&old).unwrap();
    let config = RedisConfig {
        ca_file: Some(file("ca.pem")),
        client_cert_file: Some(file("cert.pem")),
        client_key_file: Some(file("key.pem")),
        ..with_url(server.url())
    };
    let connector = Connector::new(&config).unwrap();
    connector.open(Purpose::Commands).await.unwrap();

    old.become_copy_of(&new).unwrap();
    server.server().restart().unwrap();
    connector.open(Purpose::Commands).await.unwrap_err();
    put(&new);
    connector.open(Purpose::Commands).await.unwrap();

    // Half of a rotation: the key of another certificate.
    fs::copy(Certificates::create().unwrap().key(), file("key.pem")).unwrap();
    connector.open(Purpose::Commands).await.unwrap();
}

#[tokio::test]
async fn sentinels_and_clusters_take_rotated_passwords() {
    let certificates = Certificates::create().unwrap();
    let servers = [
        SecuredRedis::sentinel(&certificates).unwrap(),
        SecuredRedis::cluster(&certificates).unwrap(),
    ];
    let (user, sentinel_password) = SENTINEL_USER;
    for mut server in servers {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("password");
        fs::write(&file, "old\n").unwrap();
        let is_sentinel = server.url().contains("+sentinel");
        let config = RedisConfig {
            ca_file: Some(certificates.ca()),
            client_cert_file: Some(certificates.certificate()),
            client_key_file: Some(certificates.key()),
            password_file: Some(file.clone()),
            sentinel_username: is_sentinel.then(|| user.to_owned()),
            sentinel_password: is_sentinel.then(|| Secret::from(sentinel_password.to_owned())),
            ..with_url(server.url())
        };
        set_password(server.server(), "", "old");
        let connector = Connector::new(&config).unwrap();
        connector.open(Purpose::Commands).await.unwrap();
        set_password(server.server(), "old", "new");
        fs::write(&file, "new\n").unwrap();
        connector.open(Purpose::Commands).await.unwrap();
    }
}
