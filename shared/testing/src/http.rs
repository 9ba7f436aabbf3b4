//! A minimal HTTP client for servers on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// Sends a GET. Returns the status and the body.
///
/// # Errors
///
/// When no server answers on that port, or not with HTTP.
pub fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    http(
        port,
        &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    )
}

/// Posts JSON. Returns the status and the body.
///
/// # Errors
///
/// When no server answers on that port, or not with HTTP.
pub fn http_post(port: u16, path: &str, body: &str) -> Result<(u16, String)> {
    let length = body.len();
    http(
        port,
        &format!(
            "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn http(port: u16, request: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let (head, body) = reply
        .split_once("\r\n\r\n")
        .context("reply without an end of its headers")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.context("reply without a status")?, body.to_owned()))
}
