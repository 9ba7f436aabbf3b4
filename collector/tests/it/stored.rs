//! Golden files of the JSON that collectors keep in Redis, and what happens to values of other versions.

use std::fmt::Debug;
use std::time::Duration;

use rackwatch_collector::incidents::windows::{Window, WindowTimes};
use rackwatch_collector::indices::{NewestIndices, RackAggregate, RackAggregates};
use rackwatch_collector::notify::delivery_log::{Delivery, State};
use rackwatch_core::incident::silence::Matcher;
use rackwatch_core::indices::{Aggregate, Envelope};
use rackwatch_core::stored::{StoredValue, decode, encode};
use rackwatch_core::time::Timestamp;
use rackwatch_testing::RedisServer;
use redis::Commands as _;

use crate::incidents::{command, now, wait_notified};
use crate::rig::{connect, running, send};

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
fn deliveries_are_pinned() {
    let delivery = Delivery {
        notifier: "ops".to_owned(),
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
        "1 of rackwatch:silences without effect: stored silence has no version, this program understands version 1",
        "1 of rackwatch:windows without effect: stored maintenance window has version 99",
        "1 of rackwatch:site without effect: stored site has version 99",
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

#[test]
fn incidents_of_another_version_start_cold() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    let open = "{rackwatch:incidents}:open";
    let newer = r#"{"v":99,"id":"2647846df3c1ceb9"}"#;
    let _: () = redis.hset(open, "2647846df3c1ceb9", newer).unwrap();
    let _: () = redis.hset(open, "0000000000000000", "{}").unwrap();
    let _collector = running(&url);
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    assert_eq!(
        redis
            .hget::<_, _, String>(open, "2647846df3c1ceb9")
            .unwrap(),
        newer
    );
    let outdated: Option<String> = redis.hget(open, "0000000000000000").unwrap();
    assert_eq!(outdated, None);
}
