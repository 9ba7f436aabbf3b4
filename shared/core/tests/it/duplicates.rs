//! Two agents of one name: neither hides the other, and there is an alert.

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::engine::{Effects, Engine, Input};
use rackwatch_core::loss_ledger::ReportedSequence;
use rackwatch_core::reading::Fault;
use rackwatch_core::time::{StreamId, Timestamp};

use crate::trace::{START, engine, reading};

const DEVICE: &str = "inlet-R1-1";

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + second * 1000).unwrap()
}

/// Returns one entry of `run` that arrives at `second`, with a reading that is `age` seconds old.
fn entry(run: &str, second: u64, age: u64, degrees: f64) -> [Input; 2] {
    let sequence = ReportedSequence {
        agent: "host7".to_owned(),
        seq: format!("{run}-{}", second + 1).parse().unwrap(),
        readings: 1,
        at: at(second - age),
        prev: None,
        gap: None,
        skew: None,
        arrived: at(second),
    };
    let reading = Input::Reading {
        entry: StreamId {
            ms: START + second * 1000,
            seq: u64::from(run == "bbbb"),
        },
        by_agent: true,
        reading: reading(DEVICE, second - age, degrees),
    };
    [Input::Sequence(Box::new(sequence)), reading]
}

fn described() -> Engine {
    let mut engine = engine();
    let description = Description {
        agent: "host7".to_owned(),
        role: Role::Inlet,
        ..Description::default()
    };
    let id = DeviceId::new(DEVICE).unwrap();
    engine.step([Input::Describe(id, Some(Box::new(description)))]);
    engine
}

/// Steps two agents through these seconds, at 22 °C and at `hot`.
fn alternate(engine: &mut Engine, seconds: std::ops::Range<u64>, hot: f64) -> Effects {
    let both = |second| {
        let cool = entry("aaaa", second, 0, 22.0);
        cool.into_iter().chain(entry("bbbb", second, 0, hot))
    };
    engine.step(seconds.flat_map(both))
}

fn kinds(records: &[AlertRecord]) -> Vec<(AlertKind, AlertState)> {
    let each = records.iter().map(|record| (record.kind(), record.state()));
    each.collect()
}

#[test]
fn two_agents_of_one_name_are_an_alert_that_names_both_and_limits_take_the_worse_value() {
    let mut engine = described();
    let effects = alternate(&mut engine, 10_000..10_060, 60.0);
    let found = &effects.alerts[0];
    assert_eq!(found.kind(), AlertKind::DuplicateAgent);
    assert_eq!(found.subject.as_str(), "agent:host7");
    assert_eq!(found.severity, Severity::Warning);
    let reason = found.detail.extras().reason;
    assert_eq!(reason.as_deref(), Some("aaaa and bbbb"));
    assert!(found.at >= at(10_030), "not before it has lasted");
    assert_eq!(
        kinds(&effects.alerts)[1..],
        [(AlertKind::HighTemp, AlertState::Firing)],
        "60 °C does not hide behind 22 °C, and the difference is no spike"
    );
    assert_eq!(
        effects.tally.conflicting, 60,
        "each instant has one stored value"
    );
    // The hot host is switched off.
    let alone = (10_060..10_300).flat_map(|second| entry("aaaa", second, 0, 22.0));
    let ended = engine.step(alone).alerts;
    assert_eq!(
        kinds(&ended),
        [
            (AlertKind::HighTemp, AlertState::Resolved),
            (AlertKind::DuplicateAgent, AlertState::Resolved),
        ]
    );
    assert_eq!(ended[1].id, found.id);
}

#[test]
fn the_alert_goes_on_across_a_restart_of_the_collector() {
    let mut before = described();
    let effects = alternate(&mut before, 10_000..10_050, 22.5);
    assert_eq!(
        kinds(&effects.alerts),
        [(AlertKind::DuplicateAgent, AlertState::Firing)]
    );
    let through = StreamId {
        ms: START + 10_049_000,
        seq: 1,
    };
    let mut after = engine();
    for slice in before.snapshot(through) {
        after.restore(slice);
    }
    let open = effects
        .episodes
        .into_iter()
        .filter_map(|change| match change {
            rackwatch_core::engine::EpisodeChange::Open(episode) => Some(*episode),
            rackwatch_core::engine::EpisodeChange::Close { .. } => None,
        });
    after.resume(open.collect(), effects.agents);
    assert_eq!(alternate(&mut after, 10_050..10_100, 22.5).alerts, []);
    let alone = (10_100..10_300).flat_map(|second| entry("aaaa", second, 0, 22.0));
    let ended = after.step(alone).alerts;
    assert_eq!(
        kinds(&ended),
        [(AlertKind::DuplicateAgent, AlertState::Resolved)]
    );
}

/// Without the saved slice only the episode is known.
#[test]
fn the_alert_ends_after_a_cold_start_too() {
    let mut before = described();
    let effects = alternate(&mut before, 10_000..10_050, 22.5);
    let open = effects
        .episodes
        .into_iter()
        .filter_map(|change| match change {
            rackwatch_core::engine::EpisodeChange::Open(episode) => Some(*episode),
            rackwatch_core::engine::EpisodeChange::Close { .. } => None,
        });
    let mut after = described();
    after.resume(open.collect(), effects.agents);
    let alone = (10_050..10_300).flat_map(|second| entry("aaaa", second, 0, 22.0));
    let ended = after.step(alone).alerts;
    assert_eq!(
        kinds(&ended),
        [(AlertKind::DuplicateAgent, AlertState::Resolved)]
    );
    let after = ended[0].at.since(at(10_050)).as_secs();
    assert!(
        (180..=182).contains(&after),
        "the other may return, {after} s"
    );
}

#[test]
fn one_alert_says_nothing_about_another_agent() {
    let mut engine = described();
    let of_another = |input: Input| match input {
        Input::Sequence(sequence) => Input::Sequence(Box::new(ReportedSequence {
            agent: "host8".to_owned(),
            ..*sequence
        })),
        other => other,
    };
    alternate(&mut engine, 10_000..10_050, 22.5);
    let [sequence, _] = entry("cccc", 10_050, 0, 22.5);
    assert_eq!(engine.step([of_another(sequence)]).alerts, []);
}

/// The new process sends what the last one left in the spool, while its own readings go on.
#[test]
fn an_agent_that_restarts_and_drains_its_spool_is_one_agent() {
    let mut engine = described();
    let live = (10_000..10_030).flat_map(|second| entry("aaaa", second, 0, 22.0));
    assert_eq!(engine.step(live).alerts, []);
    let drained = (10_100..10_300).flat_map(|second| {
        let taken = 10_030 + (second - 10_100) / 5;
        let old = entry("aaaa", second, second - taken, 22.0);
        old.into_iter().chain(entry("bbbb", second, 0, 22.0))
    });
    assert_eq!(engine.step(drained).alerts, []);
}

#[test]
fn an_agent_that_restarts_again_and_again_is_one_agent() {
    let mut engine = described();
    let restarts = (10_000..10_400).flat_map(|second| {
        let run = format!("run{}", second / 4);
        entry(&run, second, 0, 22.0)
    });
    assert_eq!(engine.step(restarts).alerts, []);
}

/// Before it is known that there are two, and for plain clients always.
#[test]
fn another_value_of_the_same_instant_is_counted_as_a_conflict() {
    let mut engine = engine();
    let readings = [
        reading(DEVICE, 600, 22.0),
        reading(DEVICE, 600, 60.0),
        reading(DEVICE, 600, 22.0),
    ];
    let tally = engine.step(crate::trace::inputs(&readings)).tally;
    assert_eq!((tally.conflicting, tally.duplicate, tally.late), (1, 1, 0));
}

#[test]
fn readings_of_two_agents_are_counted_by_what_became_of_them() {
    let mut engine = described();
    alternate(&mut engine, 10_000..10_060, 22.0);
    let [_, mut fault] = entry("aaaa", 10_061, 0, 22.0);
    if let Input::Reading { reading, .. } = &mut fault {
        reading.value = Err(Fault::TIMEOUT);
    }
    let [sequence, _] = entry("aaaa", 10_061, 0, 22.0);
    let inputs = [
        // Taken in before, two old ones, a new one, and another value for its instant.
        entry("bbbb", 10_059, 0, 22.0),
        entry("bbbb", 10_050, 0, 22.0),
        entry("bbbb", 10_051, 0, 22.0),
        entry("bbbb", 10_060, 0, 22.0),
        entry("aaaa", 10_060, 0, 23.0),
        [sequence, fault],
    ];
    let tally = engine.step(inputs.into_iter().flatten()).tally;
    let counts = (tally.evaluated, tally.duplicate, tally.late);
    assert_eq!(counts, (2, 1, 2));
    assert_eq!((tally.conflicting, tally.faults), (1, 1));
}
