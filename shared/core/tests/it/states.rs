//! Detector state in a snapshot: short, exact, and independent of the names of Rust fields.

use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_core::alert::AlertKind;
use rackwatch_core::detect::{
    DetectorSpec, DetectorState, DeviceTraits, Observation, RackPeer, SavedState,
};
use rackwatch_core::device::{DeviceId, HardwareLimits, Role};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_testing::assert_golden;

use crate::trace::START;

/// Returns one detector of each kind that a default rule enables, in the order of the registry: that of an
/// inlet, or else of the first role that has one.
fn detectors() -> Vec<DetectorSpec> {
    let rules = RuleSet::with_defaults(&[]).unwrap();
    let roles = [Role::Inlet].into_iter().chain(Role::ALL);
    let all = roles.flat_map(|role| {
        let plan = rules.plan(&DeviceTraits {
            device: &DeviceId::new("inlet-R1-1").unwrap(),
            role,
            rack: Some("R1"),
            limits: HardwareLimits::default(),
            resolution: None,
            interval: Duration::ZERO,
        });
        plan.rules.into_iter().map(|rule| rule.detector)
    });
    let all: Vec<_> = all.collect();
    let of_kind = |kind| all.iter().find(|detector| detector.kind() == kind).cloned();
    let detectors: Vec<_> = AlertKind::RULES.into_iter().filter_map(of_kind).collect();
    assert!(!detectors.is_empty());
    detectors
}

/// Returns the state after these readings: seconds since the one before, and degrees. Three other inlets of the rack
/// are a degree colder.
fn state(spec: &DetectorSpec, readings: impl IntoIterator<Item = (u64, f64)>) -> DetectorState {
    let (mut state, mut second) = (DetectorState::new(spec), 0);
    let mut peers = vec![DetectorState::new(spec); 3];
    for (gap, degrees) in readings {
        second += gap;
        let at = |degrees| Observation {
            at: Timestamp::from_millis(START + second * 1000).unwrap(),
            gap: Duration::from_secs(gap),
            value: Celsius::new(degrees).unwrap(),
            is_open: false,
            role: Role::Inlet,
            usual: None,
        };
        let (now, colder) = (at(degrees), at(degrees - 1.0));
        for peer in &mut peers {
            peer.observe(spec, &colder);
        }
        state.observe(spec, &now);
        let peers = peers.iter().map(|state| RackPeer {
            spec,
            state,
            role: Role::Inlet,
            value: colder.value,
        });
        state.observe_rack(spec, &now, &peers.collect::<Vec<_>>());
    }
    state
}

fn json(state: &DetectorState) -> String {
    serde_json::to_string(&SavedState::State(state.clone())).unwrap()
}

fn load(spec: &DetectorSpec, json: &str) -> Result<DetectorState, serde_json::Error> {
    serde_json::from_str::<SavedState>(json)?.load(spec)
}

/// Returns an hour of readings in a slowly warming room, ten seconds apart.
fn hour() -> impl Iterator<Item = (u64, f64)> {
    (0..360_u32).map(|n| {
        let cycle = (f64::from(n) / 40.0).sin() * 0.8;
        (
            10,
            ((22.0 + f64::from(n) / 90.0 + cycle) * 10.0).round() / 10.0,
        )
    })
}

/// Saved state must be readable by every later version that has the same state version.
#[test]
fn the_json_of_each_state_stays() {
    let mut text = String::new();
    for spec in detectors() {
        let kind = spec.kind();
        writeln!(text, "{kind}, new: {}", json(&DetectorState::new(&spec))).unwrap();
        writeln!(
            text,
            "{kind}, after an hour: {}",
            json(&state(&spec, hour()))
        )
        .unwrap();
        let jump = hour().take(50).chain([(10, 33.3), (600, 33.4), (900, 9.5)]);
        writeln!(text, "{kind}, after a jump: {}", json(&state(&spec, jump))).unwrap();
    }
    assert_golden!("detect/states.txt", text);
}

/// There is one of each for every sensor of a site.
#[test]
fn states_of_a_sensor_are_small() {
    let states: usize = detectors()
        .iter()
        .map(|spec| json(&state(spec, hour())).len() + 1)
        .sum();
    assert!(states <= 470, "{states} bytes");
}

#[test]
fn what_is_no_state_of_a_detector_is_an_error() {
    for spec in detectors() {
        for wrong in ["{}", "\"x\"", "[true]", "[1,2,\"!\"]"] {
            assert!(load(&spec, wrong).is_err(), "{} {wrong}", spec.kind());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A state that went through JSON is the same, to the last bit.
    #[test]
    fn a_state_survives_its_json(
        readings in prop::collection::vec((1_u64..400, -30.0..90.0_f64), 0..200)
    ) {
        for spec in detectors() {
            let state = state(&spec, readings.iter().copied());
            prop_assert_eq!(load(&spec, &json(&state)).unwrap(), state);
        }
    }

    #[test]
    fn no_text_makes_reading_a_runaway_panic(text in "[A-Z.0-9-]{0,80}", newest: u32) {
        let detectors = detectors();
        let spec = detectors.iter().find(|spec| spec.kind() == AlertKind::Runaway).unwrap();
        let json = format!("[{newest},1,\"{text}\"]");
        if let Ok(state) = load(spec, &json) {
            prop_assert!(load(spec, &serde_json::to_string(&state).unwrap()).unwrap() == state);
        }
    }
}

/// Sensors in still air move by hundredths.
#[test]
fn a_quiet_state_survives_its_json() {
    let quiet = (0..200_u32).map(|n| (5, 22.0 + (f64::from(n) / 7.0).sin() * 0.1));
    for spec in detectors() {
        let state = state(&spec, quiet.clone());
        assert_eq!(load(&spec, &json(&state)).unwrap(), state);
    }
}

#[test]
fn saved_states_are_equal_if_their_json_is() {
    for spec in detectors() {
        let (new, state) = (DetectorState::new(&spec), state(&spec, hour()));
        let decoded = |state| serde_json::from_str::<SavedState>(&json(state)).unwrap();
        let saved = |state: &DetectorState| SavedState::State(state.clone());
        let is_new = json(&new) == json(&state);
        assert_eq!(decoded(&new) == decoded(&state), is_new);
        assert_eq!(saved(&new) == saved(&state), is_new);
        assert_eq!(decoded(&state), decoded(&state));
        assert_eq!(saved(&state), saved(&state));
    }
}
