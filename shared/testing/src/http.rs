//! The plainest of HTTP clients, for servers on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// Status and body of a GET.
///
/// # Errors
///
/// When no server answers on that port.
pub fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    http(
        port,
        &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    )
}

/// Status and body of a POST of JSON.
///
/// # Errors
///
/// When no server answers on that port.
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
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer has a head and a body")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.context("an answer has a status")?, body.to_owned()))
}
