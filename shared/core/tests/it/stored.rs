//! Stored state: its format is pinned, other versions are refused, and a cold start repeats alerts under the same
//! id.

use std::time::Duration;

use rackwatch_core::alert::{AlertState, Severity};
use rackwatch_core::clock_offsets::{ClockObservation, ClockOffsets, Sender, SenderOffsets};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{ColdStart, Effects, Engine, EpisodeChange, Input, Slice};
use rackwatch_core::episode::Episode;
use rackwatch_core::loss_ledger::{LossLedger, ReportedSequence, Runs};
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::{RuleSet, parse};
use rackwatch_core::stored::{self, DecodeError, StoredValue};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, entry, inputs, reading};

/// Compares `actual` with a golden file; `RACKWATCH_UPDATE_GOLDEN=1` writes the file instead.
fn assert_golden(name: &str, actual: &str) {
    let path = format!("{}/tests/golden/stored/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("RACKWATCH_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{actual}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(actual, expected.trim_end(), "{name}");
}

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/stored/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

fn read(second: u64, degrees: f64) -> Input {
    read_late(second, second, degrees)
}

fn read_late(arrived: u64, second: u64, degrees: f64) -> Input {
    Input::Reading {
        entry: StreamId {
            ms: START + arrived * 1000,
            seq: 0,
        },
        by_agent: true,
        reading: Reading {
            device: DeviceId::new("inlet-R1-1").unwrap(),
            at: at(second),
            value: Ok(Celsius::new(degrees).unwrap()),
        },
    }
}

/// Returns an engine with one device that is too hot, and whose last reading was late.
fn hot() -> (Engine, Effects) {
    let mut engine = engine();
    let description = Description {
        agent: "node7".into(),
        target: "bmc-7".into(),
        role: Role::Inlet,
        rack: Some("R1".into()),
        interval: Duration::from_secs(10),
        ..Description::default()
    };
    let id = DeviceId::new("inlet-R1-1").unwrap();
    let describe = Input::Describe(id, Some(Box::new(description)));
    let readings = [
        read(0, 22.0),
        read(10, 30.0),
        read(20, 30.5),
        read_late(21, 15, 30.2),
    ];
    let effects = engine.step([describe].into_iter().chain(readings));
    (engine, effects)
}

fn last_entry() -> StreamId {
    StreamId {
        ms: START + 21_000,
        seq: 0,
    }
}

fn episodes(effects: &Effects) -> Vec<Episode> {
    let opened = effects.episodes.iter().filter_map(|change| match change {
        EpisodeChange::Open(episode) => Some((**episode).clone()),
        EpisodeChange::Close { .. } => None,
    });
    opened.collect()
}

fn runs() -> Runs {
    let mut loss_ledger = LossLedger::default();
    loss_ledger.observe(&ReportedSequence {
        agent: "node7".to_owned(),
        seq: "a1b2-12".parse().unwrap(),
        readings: 12,
        at: at(0),
        prev: None,
        gap: None,
        skew: None,
        arrived: at(0),
    });
    loss_ledger.take_progress().remove(0).1
}

fn offsets() -> ClockOffsets {
    let mut offsets = ClockOffsets::default();
    let mut observe = |second: u64, at: Timestamp, skew: Option<i64>| {
        let entry = entry(usize::try_from(second).unwrap() * 1000);
        let arrived = self::at(second);
        let seen = ClockObservation {
            entry,
            arrived,
            at,
            skew,
        };
        let limit = Duration::from_mins(1);
        offsets.observe(Sender::Agent("node7", "a1b2"), &seen, limit);
        offsets.observe(
            Sender::Agent("node7", "c3d4"),
            &ClockObservation { skew: None, ..seen },
            limit,
        );
    };
    observe(1, at(3601), Some(3_600_200));
    observe(2, at(3602), Some(0));
    offsets
}

#[test]
fn stored_formats_are_pinned() {
    let offsets = offsets();
    let (_, changed) = offsets.changes().next().unwrap();
    assert_golden("clock_offset.v1.json", &stored::encode(changed));
    let again: SenderOffsets = stored::decode(&golden("clock_offset.v1.json")).unwrap();
    assert_eq!(&again, changed);
    let (engine, effects) = hot();
    let slices: Vec<Slice> = engine.snapshot(last_entry()).collect();
    assert_golden("slice.v1.json", &stored::encode(&slices[0]));
    let episodes = episodes(&effects);
    assert_golden("episode.v1.json", &stored::encode(&episodes[0]));
    assert_golden("loss_ledger_entry.v1.json", &stored::encode(&runs()));
}

/// The golden files alone restore the state, whatever the fields are called in Rust.
#[test]
fn state_survives_in_the_golden_files() {
    let (before, effects) = hot();
    let slice: Slice = stored::decode(&golden("slice.v1.json")).unwrap();
    let episode: Episode = stored::decode(&golden("episode.v1.json")).unwrap();
    let runs_before: Runs = stored::decode(&golden("loss_ledger_entry.v1.json")).unwrap();
    let again = before.snapshot(last_entry()).next().unwrap();
    assert_eq!(stored::encode(&slice), stored::encode(&again));
    let mut all = episodes(&effects);
    assert_eq!(episode, all[0]);
    all[0] = episode;
    assert_eq!(runs_before, runs());

    let mut after = engine();
    assert_eq!(after.restore(slice).iter().count(), 0);
    after.resume(all, vec![("node7".to_owned(), runs_before)]);
    assert_eq!(after.step([read(30, 30.4)]).alerts, []);
    let resolved = after.step([read(40, 22.0)]).alerts;
    let high = resolved.iter().find(|record| record.rule == "high_temp");
    let high = high.unwrap();
    assert_eq!(
        (high.state(), &high.id),
        (AlertState::Resolved, &effects.alerts[0].id)
    );
    assert_eq!(high.resolution.unwrap().duration, Duration::from_secs(30));
}

/// Decodes the golden file with its version taken out or raised.
fn refused<T: StoredValue>(name: &str) -> [DecodeError; 2] {
    let json = String::from_utf8(golden(name)).unwrap();
    let [unversioned, newer] = [
        json.replace(r#""v":1,"#, ""),
        json.replace(r#""v":1,"#, r#""v":2,"#),
    ];
    [unversioned, newer].map(|json| stored::decode::<T>(json.as_bytes()).err().unwrap())
}

#[test]
fn other_versions_are_refused() {
    let all = [
        refused::<Slice>("slice.v1.json"),
        refused::<Episode>("episode.v1.json"),
        refused::<Runs>("loss_ledger_entry.v1.json"),
        refused::<SenderOffsets>("clock_offset.v1.json"),
    ];
    for [unversioned, newer] in all {
        assert!(
            matches!(unversioned, DecodeError::Unversioned { understood: 1, .. }),
            "{unversioned}"
        );
        let is_newer = |error: &DecodeError| {
            matches!(
                error,
                DecodeError::OtherVersion {
                    found: 2,
                    understood: 1,
                    ..
                }
            )
        };
        assert!(is_newer(&newer), "{newer}");
    }
    // The format before versions.
    let former = br#"[{"name":"a1b2","last":12,"at":1700000000000}]"#;
    assert!(stored::decode::<Runs>(former).is_err());
}

/// The saved state is refused, and the stream still has the beginning of the episode.
#[test]
fn after_a_cold_start_an_open_alert_repeats_under_the_same_id() {
    let readings: Vec<_> = (0..6)
        .map(|n| reading("inlet-R1-1", n * 10, if n < 2 { 22.0 } else { 30.0 }))
        .collect();
    let mut before = engine();
    let fired = before.step(inputs(&readings[..5])).alerts;
    let mut after = engine();
    after.resume(Vec::new(), Vec::new());
    after.catch_up(inputs(&readings[..5]));
    let repeated = after.step(inputs(&readings)[5..].to_vec()).alerts;
    let identity = |record: &rackwatch_core::alert::AlertRecord| {
        (record.id.clone(), record.state(), record.severity)
    };
    let high = |records: &[rackwatch_core::alert::AlertRecord]| {
        let high = records.iter().filter(|record| record.rule == "high_temp");
        high.map(identity).collect::<Vec<_>>()
    };
    assert_eq!(high(&fired).len(), 1);
    assert_eq!(high(&fired)[0].2, Severity::Warning);
    assert_eq!(high(&repeated), high(&fired));
}

#[test]
fn rules_that_changed_or_are_gone_start_cold_and_are_counted() {
    let (before, _) = hot();
    let warmer = parse("[[rules]]\ntype = 'high_temp'\nwarning = 29.0").unwrap();
    let rules = RuleSet::with_defaults(&warmer).unwrap();
    let mut changed = Engine::new(rules.into());
    let cold = changed.restore(before.snapshot(last_entry()).next().unwrap());
    let cold: Vec<_> = cold.iter().collect();
    assert_eq!(cold, [("high_temp", ColdStart::RuleChanged, 1)]);

    let mut removed = Engine::new(RuleSet::only(&warmer).unwrap().into());
    let cold = removed.restore(before.snapshot(last_entry()).next().unwrap());
    let gone: Vec<_> = cold
        .iter()
        .filter(|(_, reason, _)| *reason == ColdStart::RuleRemoved)
        .map(|(rule, ..)| rule.to_owned())
        .collect();
    assert!(gone.contains(&"low_temp".to_owned()), "{gone:?}");
}

#[test]
fn a_rule_that_no_longer_matches_the_device_is_not_called_removed() {
    let (before, _) = hot();
    let elsewhere = parse("[[rules]]\ntype = 'high_temp'\nwarning = 29.0\nrack = ['R9']").unwrap();
    let mut after = Engine::new(RuleSet::only(&elsewhere).unwrap().into());
    let cold = after.restore(before.snapshot(last_entry()).next().unwrap());
    let of = |name| {
        let reasons = cold.iter().filter(|(rule, ..)| *rule == name);
        reasons
            .map(|(_, reason, devices)| (reason, devices))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("high_temp"), [(ColdStart::RuleNotApplicable, 1)]);
    assert_eq!(of("low_temp"), [(ColdStart::RuleRemoved, 1)]);
}

#[test]
fn cold_starts_of_several_slices_add_up_and_say_why() {
    let (before, _) = hot();
    let warmer = parse("[[rules]]\ntype = 'high_temp'\nwarning = 29.0").unwrap();
    let rules = RuleSet::with_defaults(&warmer).unwrap();
    let mut changed = Engine::new(rules.into());
    let slice = before.snapshot(last_entry()).next().unwrap();
    let mut cold = changed.restore(slice.clone());
    cold.merge(changed.restore(slice));
    let all: Vec<_> = cold.iter().collect();
    assert_eq!(all, [("high_temp", ColdStart::RuleChanged, 2)]);
    let reasons = [
        (ColdStart::RuleChanged, "rule changed"),
        (ColdStart::OtherVersion, "state has another version"),
        (ColdStart::Malformed, "state is malformed"),
        (
            ColdStart::RuleNotApplicable,
            "rule no longer applies to the device",
        ),
        (ColdStart::RuleRemoved, "rule removed"),
    ];
    for (reason, words) in reasons {
        assert_eq!(reason.to_string(), words);
    }
}
