//! A collector with notifiers, and what its tests ask.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use rackwatch_core::alert::Severity;
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::{Cause, Event, IncidentId, IncidentRecord};
use rackwatch_core::subject::Subject;
use rackwatch_testing::{Program, free_port, wait_until_sync};
use redis::{Commands, Connection};
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::DEADLINE;

/// A collector with these notifiers.
pub struct Notifying {
    pub folder: TempDir,
    redis: String,
}

impl Notifying {
    pub fn new(redis: &str, notifiers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = "[partition]\nlease = \"1s\"\n[incidents]\nresolve_after = \"0s\"\n\
            [web]\npublic_url = \"https://rackwatch.example.org/\"\n"
            .to_owned();
        write!(config, "{notifiers}").unwrap();
        fs::write(folder.path().join("collector.toml"), config).unwrap();
        fs::write(folder.path().join("key"), "hunter2-routing-key\n").unwrap();
        let redis = redis.to_owned();
        Self { folder, redis }
    }

    pub fn run(&self, args: &[&str]) -> Program {
        let config = self.folder.path().join("collector.toml");
        Program::spawn(
            env!("CARGO_BIN_EXE_rackwatch-collector"),
            args,
            &[
                ("RACKWATCH_CONFIG", &config.display().to_string()),
                ("RACKWATCH_REDIS_URL", &self.redis),
            ],
        )
        .unwrap()
    }

    pub fn start(&self) -> Program {
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        self.run(&["run", "--listen", &listen])
    }
}

/// Returns a `[[notify]]` with additional keys.
pub fn notifier(kind: &str, more: &str) -> String {
    format!(
        "[[notify]]\nname = \"{kind}\"\ntype = \"{kind}\"\ntimeout = \"1s\"\nretry_max = \"1s\"\n{more}\n"
    )
}

pub fn mail(port: u16) -> String {
    let more = format!(
        "host = \"127.0.0.1\"\nport = {port}\nencryption = \"none\"\nfrom = \"Rackwatch <rackwatch@example.org>\"\n\
         to = [\"ops@example.org\", \"Ann <ann@example.org>\"]"
    );
    notifier("email", &more)
}

/// Returns the state of each delivery by notifier and key.
pub fn delivery_log(redis: &mut Connection) -> BTreeMap<(String, String), String> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:deliveries").unwrap();
    let entry = |entry: &redis::streams::StreamId| {
        let json: String = entry.get("delivery").unwrap();
        let delivery: Value = serde_json::from_str(&json).unwrap();
        let text = |name: &str| delivery[name].as_str().unwrap().to_owned();
        ((text("notifier"), text("key")), text("state"))
    };
    all.ids.iter().map(entry).collect()
}

pub fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_until_sync(DEADLINE, what, look).unwrap()
}

/// Waits until the notifier `name` is ready: an incident that is written from now on is sent.
pub fn wait_ready(redis: &mut Connection, name: &str) {
    let group = format!("alert_{name}_group");
    wait("its consumer group", || {
        let groups: redis::streams::StreamInfoGroupsReply =
            redis.xinfo_groups("rackwatch:incidents").ok()?;
        let mut names = groups.groups.iter().map(|group| group.name.as_str());
        names.any(|name| name == group).then_some(())
    });
}

/// Returns a warning number `n` of its own sensor, with the notification `count`.
pub fn incident(n: u32, count: u32) -> IncidentRecord {
    let now = rackwatch_runtime::clock::now();
    let first = Subject::from(DeviceId::new(&format!("inlet-R{n}-1")).unwrap());
    let id = format!("{n:016x}");
    IncidentRecord {
        event: if count == 1 {
            Event::Opened
        } else {
            Event::Repeat
        },
        notification_id: Some(format!("{id}-{count}")),
        id: IncidentId::from_wire(&id),
        severity: Severity::Warning,
        title: format!("too hot: sensor inlet-R{n}-1 in R{n}"),
        cause: Cause::Rack(format!("R{n}")),
        first: first.clone(),
        since: now,
        until: None,
        at: now,
        racks: vec![format!("R{n}")],
        rooms: Vec::new(),
        roles: Vec::new(),
        devices: vec![first],
        device_count: 1,
        alerts: 1,
        open: 1,
        stale: 0,
        peak: None,
        left_ms: None,
        acked_by: None,
    }
}

/// Writes incident records as the correlator does.
pub fn write(redis: &mut Connection, records: &[IncidentRecord]) {
    let mut pipe = redis::pipe();
    for record in records {
        let fields = rackwatch_core::wire::incident::encode(record);
        pipe.xadd("rackwatch:incidents", "*", &fields).ignore();
    }
    pipe.exec(redis).unwrap();
}
