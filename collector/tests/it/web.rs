//! The dashboard of the real program with a real Redis: data, operator actions, access, and stalled clients.

mod connections;
mod proxy;
mod renewal;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rackwatch_testing::{
    Certificates, Program, RedisServer, free_port, http_get, http_post, wait_until_sync,
};
use redis::Commands;
use serde_json::{Value, json};

use crate::rig::{DEADLINE, collector, connect, send, wait_all_done};

fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}

/// Starts a collector, and returns it with the port of its page.
fn running(redis: &str) -> (Program, u16) {
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let program = collector(&["run", "--redis", redis, "--listen", &listen]);
    wait_until_sync(DEADLINE, "it is ready", || {
        (http_get(port, "/readyz").ok()?.0 == 200).then_some(())
    })
    .unwrap();
    (program, port)
}

fn get(port: u16, path: &str) -> Value {
    let (status, body) = http_get(port, path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_until_sync(DEADLINE, what, look).unwrap()
}

#[test]
fn data_is_shown_and_operator_actions_take_effect() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let (_collector, port) = running(&server.url());
    let start = now();
    send(redis, "inlet-R1-1", start - 30_000, "24.0");
    wait("the rack is shown", || {
        let site = get(port, "/api/v1/site");
        (site["racks"][0]["inlet_max"] == 24.0).then_some(())
    });
    send(redis, "inlet-R1-1", start, "33.0");
    let incident = wait("the incident is shown", || {
        let all = get(port, "/api/v1/incidents");
        let one = all["open"].get(0)?.clone();
        (one["event"] == "opened").then_some(one)
    });
    let id = incident["incident_id"].as_str().unwrap();
    let (status, reply) = http_post(
        port,
        &format!("/api/v1/incidents/{id}/ack"),
        r#"{"by": "ann"}"#,
    )
    .unwrap();
    assert_eq!(status, 200, "{reply}");
    wait("it is acknowledged", || {
        let one = get(port, &format!("/api/v1/incidents/{id}"));
        (one["incident"]["acked_by"] == "ann").then_some(())
    });
    let silence = r#"{"matcher": {"rack": "R1"}, "minutes": 10, "reason": "seen", "by": "ann"}"#;
    assert_eq!(http_post(port, "/api/v1/silences", silence).unwrap().0, 201);
    let window = r#"{"matcher": {"rack": "R1"}, "minutes": 60, "cron": "0 3 * * *"}"#;
    assert_eq!(http_post(port, "/api/v1/windows", window).unwrap().0, 201);
    wait("they are shown", || {
        let silences = get(port, "/api/v1/silences");
        let windows = get(port, "/api/v1/windows");
        let both = silences["silences"][0]["by"] == "ann" && windows["windows"][0]["next"].is_u64();
        both.then_some(())
    });
    let series = get(
        port,
        &format!(
            "/api/v1/devices/inlet-R1-1/series?from={}&to={}",
            start - 120_000,
            start + 1000
        ),
    );
    assert_eq!(
        series["points"],
        json!([
            [start - 30_000, 24.0, 24.0, 24.0],
            [start, 33.0, 33.0, 33.0]
        ])
    );
    let fired: Vec<_> = series["episodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["rule"])
        .collect();
    assert!(fired.contains(&&json!("high_temp")), "{series}");
    assert_eq!(
        get(port, "/api/v1/status")["verdict"]["problems"],
        json!([])
    );
    assert_eq!(
        get(port, "/api/v1/racks/R1")["sensors"][0]["severity"],
        "critical"
    );
}

/// Rules look at no reading of a device whose role is unknown, so nothing may show it as well.
#[test]
fn devices_that_nothing_describes_are_shown_as_not_evaluated() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut describe = |device: &str, json: &str| {
        let _: () = redis.hset("rackwatch:devices", device, json).unwrap();
        let _: () = redis.incr("rackwatch:devices:revision", 1).unwrap();
    };
    let good = r#"{"v":1,"agent":"host7","role":"inlet","rack":"R1","interval_ms":1000}"#;
    describe("inlet-R1-1", good);
    describe("inlet-R1-2", r#"{"v":9,"agent":"host7","role":"inlet"}"#);
    let (_collector, port) = running(&server.url());
    let redis = &mut connect(&server.url());
    for device in ["inlet-R1-1", "inlet-R1-2", "inlet-R1-3"] {
        let fields = [
            ("device_id", device.to_owned()),
            ("temperature", "22.0".to_owned()),
            ("timestamp", now().to_string()),
            ("agent", "host7".to_owned()),
        ];
        let _: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
    }
    let states = |live: u64, not_evaluated: u64| {
        let what = format!("{live} live, {not_evaluated} not evaluated");
        wait(&what, || {
            let site = get(port, "/api/v1/site");
            let states = &site["states"];
            (states["live"] == live && states["not_evaluated"] == not_evaluated).then_some(site)
        })
    };
    let site = states(1, 2);
    assert_eq!(site["racks"][0]["not_evaluated"], 2, "{site}");
    let metrics = http_get(port, "/metrics").unwrap().1;
    let of = |name: &str, device: &str| {
        let label = format!("device=\"{device}\"");
        let mut lines = metrics.lines().filter(|line| line.starts_with(name));
        let line = lines.find(|line| line.contains(&label))?;
        line.rsplit_once(' ').map(|(_, value)| value.to_owned())
    };
    assert_eq!(
        of("rackwatch_sensor_up", "inlet-R1-1").as_deref(),
        Some("1")
    );
    for device in ["inlet-R1-2", "inlet-R1-3"] {
        assert_eq!(of("rackwatch_sensor_up", device).as_deref(), Some("0"));
        assert_eq!(of("rackwatch_temperature", device), None);
        assert_eq!(of("rackwatch_sensor_severity", device), None);
    }
    // A description that was valid and is replaced by one that is not says nothing any more.
    let mut describe = |device: &str, json: &str| {
        let _: () = redis.hset("rackwatch:devices", device, json).unwrap();
        let _: () = redis.incr("rackwatch:devices:revision", 1).unwrap();
    };
    describe("inlet-R1-1", r#"{"v":9}"#);
    states(0, 3);
}

#[test]
fn any_collector_shows_all_partitions() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let partitioning = [("partitions", "4"), ("state", "set")];
    let _: () = redis
        .hset_multiple("rackwatch:layout", &partitioning)
        .unwrap();
    let two = [(); 2].map(|()| running(&server.url()));
    for number in 0..4 {
        let stream = format!("raw_sensor_data:{{{number}}}");
        let device = format!("inlet-P{number}-1");
        let at = now().to_string();
        let fields = [
            ("device_id", device.as_str()),
            ("temperature", "22.5"),
            ("timestamp", &at),
        ];
        let _: String = redis.xadd(stream, "*", &fields).unwrap();
    }
    for (_, port) in &two {
        wait("all racks are shown", || {
            let site = get(*port, "/api/v1/site");
            (site["racks"].as_array()?.len() == 4).then_some(())
        });
    }
}

#[test]
fn stalled_clients_hold_up_nobody() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let (_collector, port) = running(&server.url());
    send(redis, "inlet-R1-1", now() - 600_000, "22.0");
    let mut stuck: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let ask = "GET /api/v1/events?racks=true&rack=R1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(ask.as_bytes()).unwrap();
        stuck.push(stream);
    }
    // They have begun.
    for stream in &mut stuck {
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    let begin = now() - 500_000;
    for frame in 0..500 {
        let readings: Vec<_> = (0..200)
            .map(|n| format!("inlet-R1-{n}=22.{}", (frame + n) % 10))
            .collect();
        let at = (begin + frame * 1000).to_string();
        let fields = [
            ("agent", "test"),
            ("timestamp", at.as_str()),
            ("readings", &readings.join(",")),
        ];
        let _: String = redis.xadd("raw_sensor_data", "*", &fields).unwrap();
    }
    wait_all_done(redis);
    let site = get(port, "/api/v1/site");
    assert_eq!(site["racks"][0]["sensors"], 200, "and the page answers");
    assert_eq!(http_get(port, "/healthz").unwrap().0, 200);
}

#[test]
fn addresses_beyond_loopback_need_an_access_file() {
    let server = RedisServer::start().unwrap();
    let listen = format!("0.0.0.0:{}", free_port().unwrap());
    let mut open = collector(&["run", "--redis", &server.url(), "--listen", &listen]);
    assert_eq!(open.wait_exit(DEADLINE).unwrap().code(), Some(2));
    assert!(
        open.stderr().contains("web.access_file"),
        "{}",
        open.stderr()
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access");
    let mut add = collector(&[
        "access",
        "add",
        "ann",
        "--operator",
        "--file",
        &file.display().to_string(),
    ]);
    assert_eq!(
        add.wait_exit(DEADLINE).unwrap().code(),
        Some(0),
        "{}",
        add.stderr()
    );
    let token = add.stdout().lines().next().unwrap().to_owned();
    assert!(
        !fs::read_to_string(&file).unwrap().contains(&token),
        "only its digest is kept"
    );
    let config = folder.path().join("collector.toml");
    fs::write(
        &config,
        format!("[web]\naccess_file = \"{}\"\n", file.display()),
    )
    .unwrap();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let _named = collector(&[
        "run",
        "--redis",
        &server.url(),
        "--listen",
        &listen,
        "--config",
        &config.display().to_string(),
    ]);
    wait("it answers", || http_get(port, "/healthz").ok());
    assert_eq!(http_get(port, "/api/v1/site").unwrap().0, 401);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let ask = format!(
        "GET /api/v1/site HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[tokio::test]
async fn a_certificate_enables_https() {
    let server = RedisServer::start().unwrap();
    let certificates = Certificates::create().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    let text = format!(
        "[web]\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n",
        certificates.certificate().display(),
        certificates.key().display()
    );
    fs::write(&config, text).unwrap();
    let port = free_port().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let _collector = collector(&[
        "run",
        "--redis",
        &server.url(),
        "--listen",
        &listen,
        "--config",
        &config.display().to_string(),
    ]);
    rackwatch_runtime::tls::install_provider();
    let authority = reqwest::Certificate::from_pem(&fs::read(certificates.ca()).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    let deadline = std::time::Instant::now() + DEADLINE;
    let answer = loop {
        match client
            .get(format!("https://127.0.0.1:{port}/healthz"))
            .send()
            .await
        {
            Ok(answer) => break answer,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error:?}"),
        }
    };
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));

    let half = folder.path().join("half.toml");
    fs::write(
        &half,
        format!(
            "[web]\ntls_cert_file = \"{}\"\n",
            certificates.certificate().display()
        ),
    )
    .unwrap();
    let mut half = collector(&[
        "run",
        "--redis",
        &server.url(),
        "--listen",
        "127.0.0.1:0",
        "--config",
        &half.display().to_string(),
    ]);
    assert_eq!(half.wait_exit(DEADLINE).unwrap().code(), Some(2));
    assert!(
        half.stderr().contains("belong together"),
        "{}",
        half.stderr()
    );
}

#[test]
fn an_outage_of_redis_marks_data_as_stale() {
    let mut server = RedisServer::start().unwrap();
    let (_collector, port) = running(&server.url());
    send(&mut connect(&server.url()), "inlet-R1-1", now(), "22.0");
    wait("the rack is shown", || {
        let (status, body) = http_get(port, "/api/v1/site").ok()?;
        (status == 200 && body.contains("R1")).then_some(())
    });
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let ask = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut heard = String::new();
    let mut hear = |word: &str| {
        let mut bytes = [0; 4096];
        while !heard.contains(word) {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the stream ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    hear("event: hello");
    server.stop().unwrap();
    hear("event: stale");
    assert_eq!(http_get(port, "/healthz").unwrap().0, 200);
    server.restart().unwrap();
    hear("event: reload");
    send(&mut connect(&server.url()), "inlet-R2-1", now(), "22.0");
    wait("it goes on", || {
        let (status, body) = http_get(port, "/api/v1/site").ok()?;
        (status == 200 && body.contains("R2")).then_some(())
    });
}
