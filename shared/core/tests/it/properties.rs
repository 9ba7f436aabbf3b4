//! Properties that hold for any readings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

use crate::trace::{START, engine, input, inputs, reading, traces};

/// Seconds that are enough for every hold, and for flapping.
const GOOD: u64 = 3 * 3600;
/// Seconds until the distances from the neighbours in the trace are usual no more. Drift is not evaluated yet.
const FORGOTTEN: u64 = 116 * 3600;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_episode_resolves_once_when_all_readings_are_normal(trace in traces()) {
        let mut engine = engine();
        let mut records = engine.step(inputs(&trace)).alerts;
        let last = trace.iter().map(|reading| reading.at).max().unwrap();
        for second in (10..GOOD).step_by(10).chain((GOOD..FORGOTTEN).step_by(110)) {
            for reading in devices(&trace) {
                let at = last.plus(Duration::from_secs(second));
                let value = Ok(Celsius::new(22.0 + (second % 30) as f64 / 100.0).unwrap());
                let good = Reading { device: reading, at, value };
                records.extend(engine.step([input(usize::try_from(second).unwrap(), &good)]).alerts);
            }
        }
        let mut resolved: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for record in &records {
            let key = format!("{} {}", record.rule, record.id);
            let (fired, over) = resolved.entry(key).or_default();
            match record.state() {
                AlertState::Firing => *fired += 1,
                AlertState::Resolved => *over += 1,
            }
        }
        for (id, (fired, over)) in resolved {
            prop_assert!(fired >= 1 && over == 1, "{id}: {fired} firing, {over} resolved");
        }
        prop_assert_eq!(engine.open(), 0);
    }

    /// A rule finds the same whether the others are there or not. Only the words differ: the time until the critical
    /// limit comes from that limit.
    #[test]
    fn rules_do_not_influence_each_other(trace in prop_oneof![traces(), calm()]) {
        let found = |engine: &mut Engine, kind: AlertKind| {
            let records = engine.step(inputs(&trace)).alerts.into_iter();
            let of_kind = records.filter(|record| record.kind() == kind);
            let facts = |r: AlertRecord| (r.subject, r.at, r.severity, r.started, r.id, r.temperature, r.resolution);
            of_kind.map(facts).collect::<Vec<_>>()
        };
        for kind in AlertKind::RULES {
            let rules = RuleSet::with_defaults(&[]).unwrap().of(&[kind]);
            let alone = found(&mut Engine::new(Arc::new(rules)), kind);
            prop_assert_eq!(alone, found(&mut engine(), kind), "{}", kind);
        }
    }

    /// Two zones with racks of the same name: the order of their readings changes nothing.
    #[test]
    fn the_order_between_zones_changes_nothing(
        steps in prop::collection::vec((-1.5f64..2.5, -1.5f64..2.5), 60..200),
        swapped in prop::collection::vec(any::<bool>(), 200),
    ) {
        let evaluated = |swap: &dyn Fn(usize) -> bool| {
            let mut engine = of_two_zones();
            let mut levels = [22.0, 22.0];
            let mut records: Vec<AlertRecord> = Vec::new();
            for (n, (east, west)) in steps.iter().enumerate() {
                for (level, change) in levels.iter_mut().zip([east, west]) {
                    *level = (*level + change).clamp(16.0, 40.0);
                }
                let mut zones = [("e", levels[0]), ("w", levels[1])];
                if swap(n) {
                    zones.reverse();
                }
                for (zone, level) in zones {
                    records.extend(engine.step(tick(zone, n, level)).alerts);
                }
            }
            records.sort_by(|a, b| (&a.subject, &a.rule, a.at).cmp(&(&b.subject, &b.rule, b.at)));
            records
        };
        let one = evaluated(&|_| false);
        let other = evaluated(&|n| swapped[n % swapped.len()]);
        prop_assert_eq!(one, other);
    }
}

fn devices(trace: &[Reading]) -> Vec<DeviceId> {
    let mut devices: Vec<_> = trace.iter().map(|reading| reading.device.clone()).collect();
    devices.sort();
    devices.dedup();
    devices
}

/// Four sensors of whole degrees that seldom change, each read at its own second.
fn calm() -> impl Strategy<Value = Vec<Reading>> {
    let step = (0..4usize, 1u64..40, 0..12u8);
    prop::collection::vec(step, 400..900).prop_map(|steps| {
        let (mut now, mut levels) = (600, [22.0f64; 4]);
        let one = |(device, gap, change): (usize, u64, u8)| {
            now += gap;
            let change = match change {
                0 => 1.0,
                1 => -1.0,
                _ => 0.0,
            };
            levels[device] = (levels[device] + change).clamp(18.0, 27.0);
            reading(&format!("inlet-R1-{device}"), now, levels[device])
        };
        steps.into_iter().map(one).collect()
    })
}

fn of_two_zones() -> Engine {
    let mut engine = engine();
    for zone in ["e", "w"] {
        for n in 1..=3 {
            let description = Description {
                agent: format!("node-{zone}"),
                zone: zone.into(),
                role: Role::Inlet,
                rack: Some("R1".into()),
                interval: Duration::from_secs(10),
                ..Description::default()
            };
            let id = DeviceId::new(&format!("inlet-{zone}-{n}")).unwrap();
            engine.step([Input::Describe(id, Some(Box::new(description)))]);
        }
    }
    engine
}

fn tick(zone: &str, n: usize, level: f64) -> Vec<Input> {
    let at = Timestamp::from_millis(START + n as u64 * 10_000).unwrap();
    let read = |k: usize| Input::Reading {
        entry: StreamId {
            ms: at.millis(),
            seq: k as u64,
        },
        by_agent: true,
        reading: Reading {
            device: DeviceId::new(&format!("inlet-{zone}-{k}")).unwrap(),
            at,
            value: Ok(Celsius::new(level + k as f64 / 10.0).unwrap()),
        },
    };
    (1..=3).map(read).collect()
}
