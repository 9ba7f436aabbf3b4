//! A collector over a real Redis, with something of everything: what is in Redis, what the commands print,
//! what the API answers, and what is scraped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use rackwatch_testing::{
    Program, RedisServer, WebhookReceiver, assert_golden, free_port, http_get, http_post,
    wait_until_sync,
};
use redis::{Commands as _, Connection};
use serde_json::Value;
use tempfile::TempDir;

use super::shape;
use crate::rig::{DEADLINE, connect, xadd};

const INCIDENTS: &str = "rackwatch:incidents";

fn now() -> u64 {
    rackwatch_runtime::clock::now().millis()
}

/// A running site, and the values that golden files mask.
struct Site {
    server: RedisServer,
    redis: Connection,
    folder: TempDir,
    port: u16,
    receiver: WebhookReceiver,
    start: u64,
}

impl Site {
    fn new() -> Self {
        let server = RedisServer::start().unwrap();
        let redis = connect(&server.url());
        Self {
            server,
            redis,
            folder: tempfile::tempdir().unwrap(),
            port: free_port().unwrap(),
            receiver: WebhookReceiver::start(0).unwrap(),
            start: now(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn spawn(&self, args: &[&str]) -> Program {
        let url = self.server.url();
        let env = [
            ("RACKWATCH_REDIS_URL", url.as_str()),
            ("RACKWATCH_PARTITION__SAVE_EVERY", "1s"),
            ("TZ", "UTC"),
        ];
        Program::spawn(env!("CARGO_BIN_EXE_rackwatch-collector"), args, &env).unwrap()
    }

    /// Returns the output of a command.
    fn command(&self, args: &[&str]) -> String {
        let mut program = self.spawn(args);
        let code = program.wait_exit(DEADLINE).unwrap().code();
        // The site has critical alerts.
        let expected = if args.contains(&"status") { 3 } else { 0 };
        assert_eq!(
            code,
            Some(expected),
            "{args:?}: {}{}",
            program.stdout(),
            program.stderr()
        );
        program.stdout()
    }

    /// Starts the collector, with one notifier.
    fn start(&self) -> Program {
        let url = self.receiver.url();
        let config = format!("[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{url}\"\n");
        let config = self.file("collector.toml", &config);
        let listen = format!("127.0.0.1:{}", self.port);
        let program = self.spawn(&["run", "--config", &config, "--listen", &listen]);
        wait_until_sync(DEADLINE, "it is ready", || {
            (http_get(self.port, "/readyz").ok()?.0 == 200).then_some(())
        })
        .unwrap();
        program
    }

    /// Applies a site, silences and maintenance windows.
    fn prepare(&mut self) {
        // Intervals so long that no `no_data` alert fires during the test.
        let warm = r#"{"agent":"host7","zone":"hall-1","host":"host7","target":"host7","source":"hwmon","name":"Inlet",
            "role":"inlet","rack":"B07","u":42,"interval_ms":600000,"limits":{"high_critical":42.0}}"#;
        let other = r#"{"role":"inlet","interval_ms":600000}"#;
        for (device, described) in [("inlet-B07-1", warm), ("inlet-B08-1", other)] {
            let () = self
                .redis
                .hset("rackwatch:devices", device, described)
                .unwrap();
        }
        let () = self.redis.incr("rackwatch:devices:revision", 1).unwrap();
        let site = "[[racks]]\nrack = [\"B*\"]\nrow = \"B\"\nroom = \"hall-1\"\ncooler = [\"crah-1\"]\n\
            [[devices]]\nhost = [\"host9\"]\nrack = \"C01\"\n";
        let site = self.file("site.toml", site);
        self.command(&["site", "apply", &site]);
        self.command(&[
            "silence", "add", "--rack", "Z9", "--for", "48h", "--reason", "cabling", "--by", "ann",
        ]);
        self.command(&[
            "maintenance",
            "add",
            "--room",
            "hall-9",
            "--cron",
            "0 22 * * SUN",
            "--zone",
            "Europe/Berlin",
            "--for",
            "4h",
            "--by",
            "ann",
        ]);
        self.command(&[
            "maintenance",
            "add",
            "--rack",
            "Z8",
            "--from",
            "2036-12-01T22:00",
            "--for",
            "4h",
            "--by",
            "ann",
        ]);
    }

    /// Writes a reading of the agent, with additional fields.
    fn reading(&mut self, at: u64, degrees: &str, seq: &str, more: &[(&str, &str)]) {
        let at = at.to_string();
        let fields = [
            ("device_id", "inlet-B07-1"),
            ("temperature", degrees),
            ("timestamp", &at),
            ("agent", "host7"),
            ("seq", seq),
        ];
        xadd(&mut self.redis, &[&fields[..], more].concat());
    }

    /// Writes readings of a warm rack with a gap, an invalid entry, and a reading of a plain client.
    fn readings(&mut self) {
        let start = self.start;
        self.reading(start - 60_000, "24", "r1-1", &[]);
        self.reading(start, "33", "r1-2", &[]);
        self.reading(start + 1000, "33.5", "r1-5", &[("gap", "spool_full")]);
        let at = start.to_string();
        let plain = [
            ("device_id", "inlet-B08-1"),
            ("temperature", "22.5"),
            ("timestamp", at.as_str()),
        ];
        xadd(&mut self.redis, &plain);
        xadd(&mut self.redis, &[("device_id", "inlet-B08-1")]);
    }

    fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&mut Connection) -> Option<T>) -> T {
        wait_until_sync(DEADLINE, what, || look(&mut self.redis)).unwrap()
    }

    /// Waits until all stages have written their keys, and returns the id of the incident.
    fn settle(&mut self) -> String {
        let id = self.wait("the incident is sent", |redis| {
            let all: redis::streams::StreamRangeReply =
                redis.xrange_all("rackwatch:deliveries").ok()?;
            let mut deliveries = all.ids.iter().filter_map(|entry| {
                let json: String = entry.get("delivery")?;
                let delivery: Value = serde_json::from_str(&json).ok()?;
                (delivery["state"] == "sent")
                    .then(|| delivery["incident_id"].as_str().map(str::to_owned))?
            });
            deliveries.next()
        });
        self.command(&["ack", &id, "--by", "ann", "--note", "on my way"]);
        for key in [
            "raw_sensor_data:dead",
            "rackwatch:losses",
            "rackwatch:snapshot",
            "rackwatch:racks",
        ] {
            self.wait(key, |redis| redis.exists(key).ok().filter(|is: &bool| *is));
        }
        self.wait("the incident is acknowledged", |redis| {
            let all: redis::streams::StreamRangeReply = redis.xrange_all(INCIDENTS).ok()?;
            let mut by = all
                .ids
                .iter()
                .rev()
                .filter_map(|entry| entry.get::<String>("acked_by"));
            by.next().filter(|by| by == "ann")
        });
        wait_until_sync(DEADLINE, "the page shows it", || {
            let all = self.api(&format!("/incidents/{id}")).1;
            (all["incident"]["acked_by"] == "ann").then_some(())
        })
        .unwrap();
        id
    }

    fn api(&self, path: &str) -> (u16, Value) {
        let (status, body) = http_get(self.port, &format!("/api/v1{path}")).unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Replaces ids, times, and the names of this computer and its user. The column `owner` is as wide as the name of
    /// the collector, whose length changes with the process id.
    fn masked(&mut self, text: &str) -> String {
        let by: String = self.redis.hget("rackwatch:site", "by").unwrap();
        let owner: String = self.redis.get("rackwatch:lease").unwrap();
        let text = text
            .replace(&format!("by {by} at"), "by <user> at")
            .replace(&owner, "<collector>")
            .replace(&self.server.url(), "<redis>");
        let lines = text
            .split('\n')
            .map(|line| match line.strip_suffix("owner") {
                Some(columns) if columns.ends_with(' ') => format!("{}  owner", columns.trim_end()),
                _ => line.to_owned(),
            });
        shape::of_text(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Returns every key with its type, groups and consumers, and the names of fields.
fn keys(site: &mut Site) -> (String, String) {
    let all: BTreeSet<String> = site.redis.keys("*").unwrap();
    let (mut keys, mut fields) = (String::new(), String::new());
    for key in all {
        // Written once a minute.
        if key.contains(":1m:") || key.starts_with("rackwatch:ind") {
            continue;
        }
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut site.redis).unwrap();
        writeln!(keys, "{key} {kind}").unwrap();
        let names: BTreeSet<String> = match kind.as_str() {
            "hash" => site.redis.hkeys(&key).unwrap(),
            "stream" => {
                groups(&mut site.redis, &key, &mut keys);
                let all: redis::streams::StreamRangeReply = site.redis.xrange_all(&key).unwrap();
                let entries = all.ids.into_iter();
                entries.flat_map(|entry| entry.map.into_keys()).collect()
            }
            _ => continue,
        };
        // The fields of raw entries are those that this test has written.
        if key != "raw_sensor_data" {
            let names: BTreeSet<_> = names.iter().map(|name| site.masked(name)).collect();
            let names: Vec<_> = names.iter().map(|name| name.trim()).collect();
            writeln!(fields, "{key}: {}", names.join(", ")).unwrap();
        }
    }
    (keys, fields)
}

fn groups(redis: &mut Connection, key: &str, text: &mut String) {
    let groups: redis::streams::StreamInfoGroupsReply = redis.xinfo_groups(key).unwrap();
    for group in groups.groups {
        let consumers: redis::streams::StreamInfoConsumersReply =
            redis.xinfo_consumers(key, &group.name).unwrap();
        let names: Vec<_> = consumers
            .consumers
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        writeln!(
            text,
            "  group {}, consumers {}",
            group.name,
            names.join(" ")
        )
        .unwrap();
    }
}

/// Compares the output of commands, as text and as JSON.
fn commands(site: &mut Site) {
    let commands: [(&str, &[&str]); 10] = [
        ("alerts", &[]),
        ("incidents", &[]),
        ("silence", &["list"]),
        ("maintenance", &["list"]),
        ("devices", &["list"]),
        ("devices", &["changes"]),
        ("site", &["show"]),
        ("partitions", &["show", "--zone", "hall-1"]),
        (
            "history",
            &["inlet-B07-1", "--from", "-10m", "--every", "raw"],
        ),
        ("status", &[]),
    ];
    let (mut words, mut format) = (String::new(), String::new());
    for (command, more) in commands {
        let args = [&[command], more].concat();
        let name = args.join(" ");
        let printed = site.command(&args);
        let mut printed = site.masked(&printed);
        if command == "status" {
            printed = shape::without_numbers(&printed);
        }
        writeln!(words, "==== {name}\n{printed}").unwrap();
        // Some print an object a line.
        let json = site.command(&[&args[..], &["--json"]].concat());
        let documents = serde_json::Deserializer::from_str(&json).into_iter();
        let documents: Vec<Value> = documents.map(Result::unwrap).collect();
        let shape: String = match documents.as_slice() {
            [one] => shape::of_json(one),
            several => shape::of_json(&Value::Array(several.to_vec())),
        };
        writeln!(format, "==== {name} --json\n{shape}").unwrap();
    }
    assert_golden!("words_commands.txt", words);
    assert_golden!("format_commands.txt", format);
}

/// Compares the structure of the replies of each route.
fn api(site: &Site, incident: &str) {
    let (from, to) = (site.start - 120_000, site.start + 60_000);
    let mut text = String::new();
    for path in [
        "/site".to_owned(),
        "/racks/B07".to_owned(),
        "/devices".to_owned(),
        "/devices/inlet-B07-1".to_owned(),
        format!("/devices/inlet-B07-1/series?from={from}&to={to}"),
        format!("/indices/rack/B07?from={from}&to={to}"),
        "/incidents".to_owned(),
        format!("/incidents/{incident}"),
        "/silences".to_owned(),
        "/windows".to_owned(),
        "/faults".to_owned(),
        "/status".to_owned(),
        "/deliveries".to_owned(),
        "/racks/none".to_owned(),
    ] {
        let (status, mut answer) = site.api(&path);
        if let Some(indices) = answer.get_mut("indices").and_then(Value::as_object_mut) {
            // A point a minute, or none yet.
            indices
                .values_mut()
                .for_each(|points| *points = Value::Array(Vec::new()));
        }
        let path = path.split('?').next().unwrap().replace(incident, "<id>");
        writeln!(text, "GET {path}: {status}\n{}", shape::of_json(&answer)).unwrap();
    }
    let silence = r#"{"matcher": {"rack": "Z9"}, "minutes": 10, "reason": "seen", "by": "ann"}"#;
    let window = r#"{"matcher": {"rack": "Z9"}, "minutes": 60, "cron": "0 3 * * *"}"#;
    let ack = format!("/incidents/{incident}/ack");
    for (path, body) in [
        ("/silences", silence),
        ("/windows", window),
        (&ack, r#"{"by": "ann"}"#),
        ("/silences", "{}"),
    ] {
        let (status, answer) = http_post(site.port, &format!("/api/v1{path}"), body).unwrap();
        let answer = serde_json::from_str(&answer).unwrap_or_default();
        let path = path.replace(incident, "<id>");
        writeln!(text, "POST {path}: {status}\n{}", shape::of_json(&answer)).unwrap();
    }
    assert_golden!("format_api.txt", text);
}

/// Compares names, types, help and labels of all metrics.
fn metrics(site: &Site) {
    let (_, scraped) = http_get(site.port, "/metrics").unwrap();
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for line in scraped.lines() {
        let line = if line.starts_with('#') {
            line.to_owned()
        } else {
            let (series, _value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.split("\",");
            let labels: Vec<_> = labels.filter_map(|l| Some(l.split_once('=')?.0)).collect();
            format!("{name} {}", labels.join(","))
        };
        if seen.insert(line.clone()) {
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
    }
    assert_golden!("format_metrics.txt", text);
}

#[test]
fn a_running_site() {
    let mut site = Site::new();
    site.prepare();
    let collector = site.start();
    site.readings();
    let incident = site.settle();
    let (keys, fields) = keys(&mut site);
    assert_golden!("contract_redis.txt", keys);
    assert_golden!("format_redis.txt", fields);
    metrics(&site);
    commands(&mut site);
    api(&site, &incident);
    for kind in ["high_temp", "spike", "incident"] {
        collector.wait_stdout_contains(kind, DEADLINE).unwrap();
    }
    // Alerts and incidents take separate paths, so their order varies.
    let console = site.masked(&collector.stdout());
    let mut console: Vec<_> = console.lines().collect();
    console.sort_unstable();
    assert_golden!("words_console.txt", console.join("\n") + "\n");
}
