//! Connections that take and take, and host names that are not this dashboard's.

use std::io::{Read as _, Write as _};

use rackwatch_testing::{RedisServer, free_port, http_get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{running, wait};
use crate::rig::{DEADLINE, collector};

/// Sends a request for the site with this host name. Returns the reply.
fn asked_as(port: u16, host: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let ask = format!("GET /api/v1/kinds HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// As in the Compose file: all addresses, no access file.
#[test]
fn foreign_host_names_are_refused_on_every_address() {
    let server = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    std::fs::write(&config, "[web]\nallow_unauthenticated = true\n").unwrap();
    let port = free_port().unwrap();
    let _collector = collector(&[
        "run",
        "--redis",
        &server.url(),
        "--listen",
        &format!("0.0.0.0:{port}"),
        "--config",
        &config.display().to_string(),
    ]);
    wait("it answers", || http_get(port, "/healthz").ok());
    for host in ["127.0.0.1", "localhost:8080", "192.0.2.7:8080", "[::1]"] {
        let reply = asked_as(port, host);
        assert!(reply.starts_with("HTTP/1.0 200"), "{host}: {reply}");
    }
    let reply = asked_as(port, "evil.example:8080");
    assert!(reply.starts_with("HTTP/1.0 403"), "{reply}");
    assert!(
        reply.contains("web.public_url") && reply.contains("web.hosts"),
        "{reply}"
    );
}

/// Opens a connection from this address of the machine, with the smallest buffer for replies.
async fn connected(from: [u8; 4], port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(1)?;
    socket.bind((from, 0).into())?;
    socket.connect(([127, 0, 0, 1], port).into()).await
}

/// Returns the reply that a client at this address gets, or none if it is not served in time.
async fn served(from: [u8; 4], port: u16) -> Option<String> {
    let ask = async {
        let mut stream = connected(from, port).await.ok()?;
        let request = b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    timeout(DEADLINE / 3, ask).await.ok()?
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let server = RedisServer::start().unwrap();
    let (_collector, port) = running(&server.url());
    // Replies to so many fill every buffer on the way.
    let requests = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let mut stuck = Vec::new();
    for _ in 0..1_040 {
        let opened = timeout(DEADLINE, connected([127, 0, 0, 1], port)).await;
        if let Ok(Ok(stream)) = opened {
            // What does not fit is not needed, and a closed connection is what is expected.
            let _sent = stream.try_write(requests.as_bytes());
            stuck.push(stream);
        }
    }
    let answer = served([127, 0, 0, 9], port).await;
    let answer = answer.expect("another address is served");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}
