//! Golden files of the JSON that collectors keep in Redis, and what happens to values of other versions.

use std::fmt::Debug;
use std::time::Duration;

use rackwatch_collector::incidents::resolve_request::ResolveRequest;
use rackwatch_collector::incidents::windows::{Window, WindowTimes};
use rackwatch_collector::indices::{NewestIndices, RackAggregate, RackAggregates};
use rackwatch_collector::notify::delivery_log::{Delivery, State};
use rackwatch_collector::notify::published::PublishedNotifier;
use rackwatch_collector::peers::Announcement;
use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::silence::Matcher;
use rackwatch_core::indices::{Aggregate, Envelope};
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::partition::PartitionId;
use rackwatch_core::stored::{StoredValue, decode, encode};
use rackwatch_core::time::Timestamp;
use rackwatch_testing::{RedisServer, wait_until_sync};
use redis::Commands as _;

use crate::incidents::{command, now, wait_notified};
use crate::rig::{DEADLINE, connect, running, send};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000).unwrap()
}

/// Checks that a value is written as its file says, and read back from it.
fn assert_golden<T: StoredValue + Debug + PartialEq>(value: &T, golden: &str) {
    assert_eq!(encode(value), golden.trim_end());
    assert_eq!(&decode::<T>(golden.as_bytes()).unwrap(), value);
}

fn window(when: WindowTimes) -> Window {
    Window {
        id: "fb6020".to_owned(),
        matcher: Matcher {
            rack: Some("A*".to_owned()),
            ..Matcher::default()
        },
        when,
        reason: "updates".to_owned(),
        by: "ann".to_owned(),
    }
}

#[test]
fn maintenance_windows_are_pinned() {
    let once = window(WindowTimes::Once {
        from: at(0),
        until: at(3600),
    });
    assert_golden(&once, include_str!("../golden/stored/window_once.v1.json"));
    let again = window(WindowTimes::Scheduled {
        cron: "0 22 * * SUN".to_owned(),
        length: Duration::from_hours(4),
        zone: "Europe/Berlin".to_owned(),
    });
    assert_golden(
        &again,
        include_str!("../golden/stored/window_scheduled.v1.json"),
    );
}

#[test]
fn resolutions_are_pinned() {
    let request = ResolveRequest {
        subject: DeviceId::new("inlet-B07-1").unwrap().into(),
        by: "ann".to_owned(),
        at: at(0),
        note: "sensor was removed".to_owned(),
        lost: None,
    };
    assert_golden(
        &request,
        include_str!("../golden/stored/resolution.v1.json"),
    );
}

#[test]
fn deliveries_are_pinned() {
    let delivery = Delivery {
        notifier: "ops".to_owned(),
        recipient: None,
        key: "2647846df3c1ceb9-1".to_owned(),
        incident_id: "2647846df3c1ceb9".to_owned(),
        event: "opened".to_owned(),
        title: "too hot: rack A1, 2 sensors".to_owned(),
        state: State::Retrying,
        attempts: 2,
        at_ms: at(0).millis(),
        reason: "timeout".to_owned(),
    };
    assert_golden(&delivery, include_str!("../golden/stored/delivery.v1.json"));
}

#[test]
fn published_notifiers_are_pinned() {
    let notifier = PublishedNotifier {
        notifier: "team".to_owned(),
        recipient: Some("ops@example.org".to_owned()),
        failing_since: Some(at(0)),
        reason: "550 no such user".to_owned(),
        blocked: false,
    };
    assert_golden(
        &notifier,
        include_str!("../golden/stored/published_notifier.v1.json"),
    );
}

#[test]
fn announcements_are_pinned() {
    let announcement = Announcement {
        version: "0.1.0".to_owned(),
        rules: "6916ce8b48d4bc55".to_owned(),
        site: "none".to_owned(),
        notifiers: "85944171f73967e8".to_owned(),
        incidents: "cbf29ce484222325".to_owned(),
    };
    assert_golden(
        &announcement,
        include_str!("../golden/stored/announcement.v1.json"),
    );
}

#[test]
fn indices_and_their_aggregates_are_pinned() {
    let envelope = Envelope {
        class: "A1",
        recommended: (18.0, 27.0),
        allowable: (15.0, 32.0),
    };
    let mut aggregate = Aggregate::default();
    aggregate.inlet(29.5, Some(2), &envelope);
    aggregate.inlet(31.0, Some(40), &envelope);
    aggregate.exhaust(36.0);
    // The heights are not stored: the owner of the partition has completed the rack.
    let stored = encode(&RackAggregates {
        racks: vec![RackAggregate {
            zone: "hall".to_owned(),
            rack: "A1".to_owned(),
            aggregate: aggregate.of_rack(),
        }],
    });
    let golden = include_str!("../golden/stored/rack_aggregates.v1.json");
    assert_eq!(stored, golden.trim_end());
    let aggregates: RackAggregates = decode(golden.as_bytes()).unwrap();
    assert_eq!(encode(&aggregates), golden.trim_end());
    let newest = NewestIndices {
        at_ms: at(0).millis(),
        class: "A1".to_owned(),
        indices: aggregates.racks[0].aggregate.indices(&envelope),
    };
    assert_golden(&newest, include_str!("../golden/stored/indices.v1.json"));
}

/// Values that operators wrote with another version of Rackwatch.
const FOREIGN: [(&str, &str, &str); 3] = [
    (
        "rackwatch:silences",
        "aaaaaa",
        r#"{"id":"aaaaaa","matcher":{"rack":"A1"},"from_ms":0,"until_ms":1,"reason":"","by":"ann"}"#,
    ),
    ("rackwatch:windows", "bbbbbb", r#"{"v":99,"id":"bbbbbb"}"#),
    ("rackwatch:site", "site", r#"{"v":99,"halls":[]}"#),
];

#[test]
fn values_of_other_versions_are_reported_and_never_changed() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    for (key, field, json) in FOREIGN {
        let _: () = redis.hset(key, field, json).unwrap();
    }
    let _: () = redis.hset("rackwatch:site", "version", 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    std::fs::write(&file, "[[racks]]\nrack = ['A*']\nrow = 'A'\n").unwrap();
    let file = file.display().to_string();

    let (code, out, _) = command(&url, &["status"]);
    assert_eq!(code, Some(1));
    for reason in [
        "1 silence in rackwatch:silences has no effect (no version found, version 1 understood): use the version \
         of Rackwatch that wrote it, or add it again",
        "1 maintenance window in rackwatch:windows has no effect (version 99 found, version 1 understood)",
        "1 site in rackwatch:site has no effect (version 99 found, version 1 understood)",
        "rackwatch-collector site apply --replace",
        "0 open, 0 acknowledged, 0 silences",
    ] {
        assert!(out.contains(reason), "{reason}: {out}");
    }
    let (code, out, err) = command(&url, &["silence", "list"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!out.contains("aaaaaa"), "{out}");
    assert!(err.contains("stored state refused"), "{err}");
    assert_eq!(command(&url, &["maintenance", "list"]).0, Some(0));
    let (code, _, err) = command(&url, &["site", "show"]);
    assert_eq!(code, Some(1), "{err}");
    let (code, _, err) = command(&url, &["site", "apply", &file]);
    assert_eq!(code, Some(1));
    assert!(err.contains("--replace"), "{err}");
    for (key, field, json) in FOREIGN {
        assert_eq!(redis.hget::<_, _, String>(key, field).unwrap(), json);
    }

    let (code, _, err) = command(&url, &["site", "apply", "--replace", &file]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = command(&url, &["site", "show"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("row = \"A\""), "{out}");
}

const OPEN: &str = "{rackwatch:incidents}:open";
const MEMBERS: &str = "{rackwatch:incidents}:members";

/// Replaces the version of all values of a hash by 2.
fn refuse_all(redis: &mut redis::Connection, key: &str) {
    let all: Vec<(String, String)> = redis.hgetall(key).unwrap();
    assert!(!all.is_empty(), "{key}");
    for (field, json) in all {
        let json = json.replacen(r#""v":1"#, r#""v":2"#, 1);
        let _: () = redis.hset(key, field, json).unwrap();
    }
}

fn stop(collector: &mut rackwatch_testing::Program) {
    collector.term().unwrap();
    collector.wait_exit(DEADLINE).unwrap();
}

/// Returns how many lines contain all `parts`.
fn lines_with(text: &str, parts: &[&str]) -> usize {
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    text.lines().filter(has_all).count()
}

#[test]
fn open_alerts_of_refused_incidents_are_grouped_and_notified_again() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let mut first = running(&url);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    send(redis, "inlet-R1-2", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    stop(&mut first);
    refuse_all(redis, OPEN);
    refuse_all(redis, MEMBERS);
    let (_, out, _) = command(&url, &["status"]);
    assert!(out.contains("0 open, 0 acknowledged"), "{out}");
    assert!(
        out.contains("1 incident in {rackwatch:incidents}:open is not taken over (version 2 found, version 1 understood)"),
        "{out}"
    );

    let mut second = running(&url);
    wait_notified(redis, &[("opened", "critical"), ("repeat", "critical")]);
    for key in [OPEN, MEMBERS] {
        second.wait_stderr_contains(key, DEADLINE).unwrap();
        let log = second.stderr();
        let refused = ["stored state refused", key, "version 2", "version 1"];
        assert_eq!(lines_with(&log, &refused), 1, "{log}");
    }
    let (_, out, _) = command(&url, &["incidents"]);
    assert!(out.contains("2 sensors"), "{out}");
    let (_, out, _) = command(&url, &["status"]);
    assert!(out.contains("1 open, 0 acknowledged"), "{out}");
    assert!(!out.contains("not taken over"), "{out}");
    // The next start finds nothing to refuse, and nothing to group.
    stop(&mut second);
    let third = running(&url);
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    send(redis, "inlet-R1-2", start + 1000, "24.0");
    wait_notified(
        redis,
        &[
            ("opened", "critical"),
            ("repeat", "critical"),
            ("resolved", "critical"),
        ],
    );
    assert!(!third.stderr().contains("refused"), "{}", third.stderr());
    assert!(!third.stderr().contains("grouped"), "{}", third.stderr());
    let ids: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:incidents").unwrap();
    let ids = ids
        .ids
        .iter()
        .filter_map(|entry| entry.get::<String>("notification_id"));
    let ids: std::collections::BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), 3, "each notification has its own id: {ids:?}");
}

#[test]
fn a_refused_incident_whose_alerts_have_ended_is_resolved() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let mut first = running(&url);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    stop(&mut first);
    refuse_all(redis, OPEN);
    refuse_all(redis, MEMBERS);
    let _: () = redis.del("rackwatch:episodes").unwrap();
    let _: () = redis.hset(OPEN, "0000000000000000", "{}").unwrap();
    let _second = running(&url);
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    for key in [OPEN, MEMBERS] {
        assert_eq!(redis.hlen::<_, u64>(key).unwrap(), 0, "{key}");
    }
}

#[test]
fn refused_members_return_to_their_incident() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let mut first = running(&url);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    send(redis, "inlet-R1-2", start + 1000, "33.0");
    wait_until_sync(DEADLINE, "both are members", || {
        (redis.hlen::<_, u64>(MEMBERS).ok()? == 2).then_some(())
    })
    .unwrap();
    stop(&mut first);
    let all: Vec<(String, String)> = redis.hgetall(MEMBERS).unwrap();
    let _: () = redis.hset(MEMBERS, &all[0].0, r#"{"v":2}"#).unwrap();
    let _second = running(&url);
    wait_until_sync(DEADLINE, "the member is stored again", || {
        let json: String = redis.hget(MEMBERS, &all[0].0).ok()?;
        json.starts_with(r#"{"v":1,"#).then_some(())
    })
    .unwrap();
    assert_eq!(redis.hlen::<_, u64>(OPEN).unwrap(), 1);
    send(redis, "inlet-R1-1", start + 2000, "24.0");
    send(redis, "inlet-R1-2", start + 2000, "24.0");
    // It was notified before, so that nothing but its end is news.
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
}

#[test]
fn refused_descriptions_are_one_line_and_a_problem() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    for n in 0..300 {
        let device = format!("inlet-R1-{n}");
        let _: () = redis
            .hset("rackwatch:devices", &device, r#"{"v":2}"#)
            .unwrap();
    }
    let _: () = redis.set("rackwatch:devices:revision", 1).unwrap();
    let collector = running(&url);
    for n in 0..300 {
        send(redis, &format!("inlet-R1-{n}"), now(), "22.0");
    }
    let refused = ["stored state refused", "rackwatch:devices"];
    wait_until_sync(DEADLINE, "the descriptions are logged", || {
        (lines_with(&collector.stderr(), &refused) > 0).then_some(())
    })
    .unwrap();
    let log = collector.stderr();
    assert_eq!(lines_with(&log, &refused), 1, "{log}");
    assert!(log.contains("300 device descriptions"), "{log}");
    let (code, out, _) = command(&url, &["status"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains(
            "300 device descriptions in rackwatch:devices have no effect (version 2 found"
        ),
        "{out}"
    );
    assert!(out.contains("0 known, 0 without a rack"), "{out}");
}

#[test]
fn status_reports_refused_state_of_partitions() {
    let keys = PartitionKeys::of(PartitionId::PLAIN);
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    for key in [keys.episodes, keys.loss_ledger, keys.snapshot] {
        for field in ["a", "b"] {
            let _: () = redis.hset(&key, field, r#"{"v":2}"#).unwrap();
        }
    }
    let (_, out, _) = command(&url, &["status", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let warnings = report["pipeline"]["warnings"].to_string();
    for line in [
        "2 episodes in rackwatch:episodes are not taken over (version 2 found, version 1 understood)",
        "2 loss ledger entries in rackwatch:ledger are not taken over",
        "2 detector state slices in rackwatch:snapshot are not taken over",
    ] {
        assert!(warnings.contains(line), "{line}: {warnings}");
    }
}

/// One bad field is found by name, and the command that is named clears it.
#[test]
fn garbage_in_a_field_is_named_with_the_command_that_clears_it() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server.url());
    let run = |command: &str| {
        let mut program = crate::rig::collector(&[command, "--redis", &server.url()]);
        let code = program.wait_exit(DEADLINE).unwrap().code();
        (code, program.stdout())
    };
    for (key, field) in [
        ("rackwatch:devices", "inlet-R1-1"),
        ("rackwatch:resolutions", "deadbeef"),
        ("rackwatch:silences", "x"),
    ] {
        let hset = ["HSET", key, field, "{\"nonsense"];
        let () = redis::cmd(hset[0])
            .arg(&hset[1..])
            .query::<u64>(&mut redis)
            .map(|_| ())
            .unwrap();
        let remedy = format!("HDEL {key} {field}");
        for command in ["status", "check"] {
            let (code, text) = run(command);
            assert_eq!(code, Some(1), "{command}: {text}");
            assert!(text.contains(&remedy), "{command}: {text}");
            assert!(!text.contains("all checks passed"), "{text}");
        }
        let words: Vec<_> = remedy.split(' ').collect();
        let mut clear = redis::cmd(words[0]);
        let cleared: u64 = clear.arg(&words[1..]).query(&mut redis).unwrap();
        assert_eq!(cleared, 1);
        let (_, text) = run("status");
        assert!(!text.contains("HDEL"), "{text}");
    }
}
