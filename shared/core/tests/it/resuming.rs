//! A restart must not show: state comes back exactly, and repeated readings change nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rackwatch_core::engine::Engine;
use rackwatch_core::engine::{EpisodeChange, Input, Slice};
use rackwatch_core::episode::Episode;
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::{RuleSet, parse};
use rackwatch_core::stored;

use crate::trace::{engine, entry, input, inputs, reading, traces};

/// Applies changes of episodes as the store does.
fn store(kept: &mut BTreeMap<(String, String), Episode>, changes: Vec<EpisodeChange>) {
    for change in changes {
        match change {
            EpisodeChange::Open(episode) => {
                kept.insert(
                    (episode.subject.to_string(), episode.rule.clone()),
                    *episode,
                );
            }
            EpisodeChange::Close { subject, rule } => {
                kept.remove(&(subject.to_string(), rule));
            }
        }
    }
}

fn through_json(slices: impl Iterator<Item = Slice>) -> Vec<Slice> {
    slices
        .map(|slice| stored::decode(stored::encode(&slice).as_bytes()).unwrap())
        .collect()
}

/// Returns the whole state of an engine as it is saved, with the devices in the order of their ids.
fn state(engine: &Engine, entries: usize) -> Vec<serde_json::Value> {
    let slices = engine.snapshot(entry(entries));
    let sorted = slices.map(|slice| {
        let mut json: serde_json::Value = serde_json::from_str(&stored::encode(&slice)).unwrap();
        let devices = json["devices"].as_array_mut().unwrap();
        devices.sort_by_key(|device| device["id"].to_string());
        json
    });
    sorted.collect()
}

fn newer_than_slice(from: usize, to: usize, readings: &[Reading]) -> Vec<Input> {
    inputs(readings).drain(from..to).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Snapshot at one point, acknowledge up to a later one, crash there: restored and caught up, the engine
    /// reports for the rest what the uninterrupted one reports.
    #[test]
    fn a_restored_engine_goes_on_as_if_nothing_happened(
        readings in traces(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()
    ) {
        let (a, b) = (a.index(readings.len() + 1), b.index(readings.len() + 1));
        let (snapshot_at, acknowledged) = (a.min(b), a.max(b));
        let mut uninterrupted = engine();
        let whole = uninterrupted.step(inputs(&readings));

        let mut first = engine();
        let mut episodes = BTreeMap::new();
        let before = first.step(inputs(&readings[..snapshot_at]));
        store(&mut episodes, before.episodes);
        let slices = through_json(first.snapshot(entry(snapshot_at)));
        let between = first.step(newer_than_slice(snapshot_at, acknowledged, &readings));
        store(&mut episodes, between.episodes);

        let mut second = engine();
        for slice in slices {
            second.restore(slice);
        }
        second.resume(episodes.into_values().collect(), Vec::new());
        second.catch_up(newer_than_slice(snapshot_at, acknowledged, &readings));
        let rest = second.step(newer_than_slice(acknowledged, readings.len(), &readings));

        let mut reported = before.alerts;
        reported.extend(between.alerts);
        reported.extend(rest.alerts);
        prop_assert_eq!(reported, whole.alerts);
        // Records show only a part of the state: the rest decides later ones.
        prop_assert_eq!(state(&second, readings.len()), state(&uninterrupted, readings.len()));
    }

    /// Entries that arrive twice (their agent missed the acknowledgement) change nothing.
    #[test]
    fn repeated_readings_change_nothing(readings in traces(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(readings.len());
        let once = engine().step(inputs(&readings)).alerts;
        let mut engine = engine();
        let mut twice = engine.step(inputs(&readings[..cut])).alerts;
        twice.extend(engine.step(inputs(&readings)).alerts);
        prop_assert_eq!(twice, once);
    }

    /// However the readings are cut into batches, the records are the same.
    #[test]
    fn batches_do_not_matter(readings in traces(), size in 1..50usize) {
        let whole = engine().step(inputs(&readings)).alerts;
        let mut engine = engine();
        let all = inputs(&readings);
        let batches = all.chunks(size).flat_map(|batch| engine.step(batch.to_vec()).alerts);
        prop_assert_eq!(batches.collect::<Vec<_>>(), whole);
    }
}

fn engine_with(rules: &str) -> Engine {
    Engine::new(RuleSet::only(&parse(rules).unwrap()).unwrap().into())
}

/// Returns (state, threshold, whether a change of the rule ended it) of the records that another collector with `rules`
/// writes for a reading of `degrees`, after one of 30 °C fired at a limit of 27 °C.
fn after_a_hand_over(rules: &str, degrees: f64) -> Vec<(String, f64, bool)> {
    let strict = "[[rules]]\ntype = 'high_temp'\nwarning = 27.0\ncritical = 'off'\nfor = '0s'";
    let mut first = engine_with(strict);
    let mut episodes = BTreeMap::new();
    let fired = first.step(inputs(&[reading("inlet-R1-1", 1, 30.0)]));
    assert_eq!(fired.alerts.len(), 1);
    store(&mut episodes, fired.episodes);
    let slices = through_json(first.snapshot(entry(1)));
    let mut second = engine_with(if rules.is_empty() { strict } else { rules });
    for slice in slices {
        second.restore(slice);
    }
    second.resume(episodes.into_values().collect(), Vec::new());
    let mut records = Vec::new();
    for n in 1..30 {
        let reading = reading("inlet-R1-1", 1 + n as u64 * 60, degrees);
        records.extend(second.step([input(n, &reading)]).alerts);
    }
    let summary = |record: &rackwatch_core::alert::AlertRecord| {
        let ended = record
            .resolution
            .is_some_and(|end| end.ended_by == rackwatch_core::alert::EndedBy::RuleChange);
        (record.state().to_string(), record.threshold, ended)
    };
    records.iter().map(summary).collect()
}

#[test]
fn an_episode_that_ends_because_the_rule_changed_says_so() {
    let resolved = |threshold, by_rule| [("resolved".to_owned(), threshold, by_rule)];
    let loose = "[[rules]]\ntype = 'high_temp'\nwarning = 35.0\ncritical = 'off'\nfor = '0s'";
    assert_eq!(after_a_hand_over(loose, 30.0), resolved(35.0, true));
    let gone = "[[rules]]\ntype = 'low_temp'\nwarning = 5.0";
    assert_eq!(after_a_hand_over(gone, 30.0), resolved(27.0, true));
    // The room is cool again, whatever the rule says.
    assert_eq!(after_a_hand_over(loose, 20.0), resolved(35.0, false));
    assert_eq!(after_a_hand_over("", 20.0), resolved(27.0, false));
    assert_eq!(after_a_hand_over("", 30.0), []);
}
