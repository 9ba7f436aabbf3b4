//! Changes of the access file and the certificate while the collector runs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rackwatch_testing::{Certificates, Program, RedisServer, free_port, http_get};
use tempfile::TempDir;

use super::wait;
use crate::rig::{DEADLINE, collector};

/// Starts a collector with these settings.
fn with(redis: &str, settings: &str) -> (Program, u16, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    fs::write(&config, settings).unwrap();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let config = config.display().to_string();
    let args = ["run", "--redis", redis, "--listen", &listen, "--config"];
    let program = collector(&[&args[..], &[&config]].concat());
    (program, port, folder)
}

/// Adds a user, and returns the new token.
fn add(name: &str, file: &Path) -> String {
    let file = file.display().to_string();
    let mut add = collector(&["access", "add", name, "--file", &file]);
    assert!(add.wait_exit(DEADLINE).unwrap().success());
    add.stdout().lines().next().unwrap().to_owned()
}

fn asked(port: u16, path: &str, token: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let ask =
        format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    BufReader::new(stream)
}

fn status(port: u16, token: &str) -> u16 {
    let mut line = String::new();
    let mut answer = asked(port, "/api/v1/silences", token);
    answer.read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_deleted_token_ends_access_and_open_streams() {
    let server = RedisServer::start().unwrap();
    let names = tempfile::tempdir().unwrap();
    let file = names.path().join("access");
    let ann = add("ann", &file);
    let settings = format!("[web]\naccess_file = \"{}\"\n", file.display());
    let (collector, port, _folder) = with(&server.url(), &settings);
    wait("she is let in", || {
        http_get(port, "/healthz").ok()?;
        (status(port, &ann) == 200).then_some(())
    });
    let mut listening = asked(port, "/api/v1/events", &ann);
    let mut heard = String::new();
    while !heard.contains("event: hello") {
        assert!(listening.read_line(&mut heard).unwrap() > 0, "{heard}");
    }

    fs::write(&file, "ann viewer sha256:12\n").unwrap();
    wait("the invalid line is logged", || {
        collector.stderr().contains("access:1: ").then_some(())
    });
    assert_eq!(status(port, &ann), 200, "the users before stay");

    fs::remove_file(&file).unwrap();
    let bob = add("bob", &file);
    // Asking meanwhile would be ten wrong tokens, and a minute of patience.
    wait("the file is reloaded", || {
        collector
            .stderr()
            .contains("access file reloaded")
            .then_some(())
    });
    assert_eq!((status(port, &bob), status(port, &ann)), (200, 401));
    // To its end: a stream that stays open would be read until the deadline.
    listening.read_to_string(&mut heard).unwrap();
    let log = collector.stderr();
    assert!(!log.contains(&ann) && !log.contains(&bob), "{log}");
}

#[tokio::test]
async fn a_replaced_certificate_takes_effect() {
    let server = RedisServer::start().unwrap();
    let [old, new] = [(), ()].map(|()| Certificates::create().unwrap());
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let put = |certificates: &Certificates| {
        fs::copy(certificates.key(), &key).unwrap();
        fs::copy(certificates.certificate(), &cert).unwrap();
    };
    put(&old);
    let settings = format!(
        "[web]\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n",
        cert.display(),
        key.display()
    );
    let (_collector, port, _folder) = with(&server.url(), &settings);
    rackwatch_runtime::tls::install_provider();
    let trusts = async |certificates: &Certificates| {
        let authority = fs::read(certificates.ca()).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let page = format!("https://127.0.0.1:{port}/healthz");
        client.get(page).send().await.ok().map(|_| ())
    };
    rackwatch_testing::wait_until(DEADLINE, "it answers", async || trusts(&old).await)
        .await
        .unwrap();
    assert_eq!(trusts(&new).await, None);
    put(&new);
    rackwatch_testing::wait_until(DEADLINE, "it shows the new one", async || {
        trusts(&new).await
    })
    .await
    .unwrap();
    assert_eq!(trusts(&old).await, None);
}
