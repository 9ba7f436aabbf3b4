//! The dashboard behind a real nginx: on a path of its own, with live events, and with the users of the proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use rackwatch_testing::{Nginx, Program, RedisServer, free_port, http_get};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use super::wait;
use crate::rig::{DEADLINE, collector, connect, send};

/// The address that people use.
const PUBLIC: &str = "https://rackwatch.example.org";

/// Starts a collector with these keys of `[web]`, and returns it with its port.
fn with_web(redis: &str, listen: &str, keys: &str) -> (Program, u16, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    std::fs::write(&file, format!("[web]\n{keys}")).unwrap();
    let port = free_port().unwrap();
    let listen = format!("{listen}:{port}");
    let file = file.display().to_string();
    let program = collector(&[
        "run", "--redis", redis, "--listen", &listen, "--config", &file,
    ]);
    wait("it is ready", || {
        (http_get(port, "/readyz").ok()?.0 == 200).then_some(())
    });
    (program, port, folder)
}

async fn json_of(client: &Client, url: Url) -> Value {
    let answer = client.get(url.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.unwrap()
}

/// Returns what the attributes `href` and `src` of a page name, and the page's own modules.
fn files_of(html: &str) -> Vec<String> {
    let quoted = html.split('"').collect::<Vec<_>>();
    let pairs = quoted.windows(2);
    let named = pairs.filter(|pair| pair[0].ends_with("href=") || pair[0].ends_with("src="));
    named
        .map(|pair| pair[1].to_owned())
        .filter(|name| !name.starts_with('#'))
        .collect()
}

#[tokio::test]
async fn the_dashboard_works_on_a_path_of_a_proxy() {
    rackwatch_runtime::tls::install_provider();
    let server = RedisServer::start().unwrap();
    let keys = format!("public_url = \"{PUBLIC}/rackwatch\"\n");
    let (_collector, port, _folder) = with_web(&server.url(), "127.0.0.1", &keys);
    send(
        &mut connect(&server.url()),
        "inlet-R1-1",
        super::now(),
        "22.0",
    );
    let client = Client::new();
    for (kind, to) in [("strips its path", "/"), ("passes its path on", "")] {
        let locations =
            format!("location /rackwatch/ {{ proxy_pass http://127.0.0.1:{port}{to}; }}");
        let nginx = Nginx::start(&locations).unwrap();
        let page = Url::parse(&format!("{}/rackwatch/", nginx.url())).unwrap();
        let answer = client.get(page.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "a proxy that {kind}");
        let html = answer.text().await.unwrap();
        let files = files_of(&html);
        assert!(files.len() >= 3, "{html}");
        for file in files {
            let file = page.join(&file).unwrap();
            let answer = client.get(file.clone()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "a proxy that {kind}: {file}");
        }
        let description = page.join("api/v1/openapi.json").unwrap();
        let document = json_of(&client, description.clone()).await;
        let base = document["servers"][0]["url"].as_str().unwrap();
        let base = description.join(base).unwrap();
        assert_eq!(base.path(), "/rackwatch/api/v1", "a proxy that {kind}");
        let site = json_of(&client, page.join("api/v1/site").unwrap()).await;
        assert_eq!(site["racks"][0]["rack"], "R1", "a proxy that {kind}");
    }
    // A proxy that passes the path on may omit the slash: the page's own addresses need it.
    let locations = format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}");
    let nginx = Nginx::start(&locations).unwrap();
    let page = format!("{}/rackwatch", nginx.url());
    let answer = client.get(page).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.url().path()),
        (200, "/rackwatch/")
    );
}

#[tokio::test]
async fn actions_from_the_public_address_are_admitted() {
    rackwatch_runtime::tls::install_provider();
    let server = RedisServer::start().unwrap();
    let keys = format!("public_url = \"{PUBLIC}/rackwatch\"\n");
    let (_collector, port, _folder) = with_web(&server.url(), "127.0.0.1", &keys);
    // The host name that nginx sends by default is the collector's, not the one in the browser.
    let locations = format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}");
    let nginx = Nginx::start(&locations).unwrap();
    let silence = async |origin: &str| {
        let body = json!({"matcher": {"rack": "R1"}, "minutes": 10, "by": "ann"});
        let url = format!("{}/api/v1/silences", nginx.url());
        let request = Client::new().request(Method::POST, url).json(&body);
        let request = request
            .header("origin", origin)
            .header("sec-fetch-site", "same-origin");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(silence(PUBLIC).await, 201);
    for other in [
        "https://evil.example",
        "http://rackwatch.example.org",
        "null",
    ] {
        assert_eq!(silence(other).await, 403, "{other}");
    }
}

#[test]
fn events_pass_a_proxy_that_buffers() {
    let server = RedisServer::start().unwrap();
    let (_collector, port, _folder) = with_web(&server.url(), "127.0.0.1", "");
    let locations = format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}");
    let nginx = Nginx::start(&locations).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", nginx.port())).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let ask = "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut heard = String::new();
    while !heard.contains("event: heartbeat") {
        assert!(
            stream.read_line(&mut heard).unwrap() > 0,
            "nothing more came: {heard}"
        );
    }
    let head = heard.to_ascii_lowercase();
    assert!(head.contains("cache-control: no-cache"), "{heard}");
    assert!(heard.contains("event: hello"), "{heard}");
}

/// Returns the names of those who silenced, as the API lists them.
fn authors(port: u16) -> Vec<String> {
    let (_, body) = http_get(port, "/api/v1/silences").unwrap();
    let all: Value = serde_json::from_str(&body).unwrap();
    let silences = all["silences"].as_array().into_iter().flatten();
    silences
        .filter_map(|one| Some(one["by"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn users_of_a_proxy_are_the_actors() {
    rackwatch_runtime::tls::install_provider();
    let server = RedisServer::start().unwrap();
    let keys = format!(
        "public_url = \"{PUBLIC}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         user_header = \"X-Remote-User\"\nuser_access = \"operator\"\n"
    );
    let (_collector, port, _folder) = with_web(&server.url(), "0.0.0.0", &keys);
    let locations = format!(
        "location / {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header X-Remote-User ann; \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}"
    );
    let nginx = Nginx::start(&locations).unwrap();
    let silence = async |base: String| {
        // The name in the body is another, and so is the header of the client.
        let body = json!({"matcher": {"rack": "R1"}, "minutes": 10, "by": "eve"});
        let request = Client::new().post(format!("{base}/api/v1/silences"));
        let request = request.json(&body).header("x-remote-user", "eve");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(silence(nginx.url()).await, 201);
    assert_eq!(authors(nginx.port()), ["ann"]);
    // Another host that names a user is not believed.
    let other = format!("http://127.0.0.1:{port}");
    let client = Client::builder()
        .local_address(std::net::IpAddr::from([127, 0, 0, 7]))
        .build()
        .unwrap();
    let asked = client
        .get(format!("{other}/api/v1/site"))
        .header("x-remote-user", "eve");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let text = answer.text().await.unwrap();
    assert!(text.contains("proxy"), "{text}");
}
