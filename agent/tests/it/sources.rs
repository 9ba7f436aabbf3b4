//! The sources: on file trees like the kernel's, on test servers, and on simulated racks.
//!
//! In: fake `/sys/class/hwmon` trees, with links into a tree of devices as the kernel creates them,
//! and flat as a copy may be. Out: the devices and outcomes of the sources. The tests write only to
//! temporary directories; one of them mounts its tree in its own mount namespace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "clippy does not recognise the helpers of tests as tests"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_agent::source::simulated::{Simulated, SimulatedConfig};
use rackwatch_agent::source::{Outcome, Source};
use rackwatch_core::device::Role;
use rackwatch_core::time::Timestamp;

#[cfg(target_os = "linux")]
mod fake_hwmon;
#[cfg(target_os = "linux")]
mod hwmon;
#[cfg(unix)]
mod ipmi;
#[cfg(target_os = "linux")]
mod nvidia;
mod redfish;
mod snmp;
#[cfg(target_os = "linux")]
mod sysinfo;

/// Outcomes by device id, as text: `41.5` or `!sensor_fault`.
type Outcomes = BTreeMap<String, String>;

fn texts(outcomes: &[Outcome]) -> Outcomes {
    let text = |outcome: &Outcome| match &outcome.1 {
        Ok(temperature) => temperature.to_string(),
        Err(fault) => format!("!{fault}"),
    };
    let texts: Outcomes = outcomes
        .iter()
        .map(|outcome| (outcome.0.to_string(), text(outcome)))
        .collect();
    assert_eq!(
        texts.len(),
        outcomes.len(),
        "two devices share an id: {outcomes:?}"
    );
    texts
}

/// Checks that a source has only the placeholder of its target, which has a fault at each tick.
async fn assert_only_placeholder(source: &mut dyn Source) {
    let found = source.discover().await;
    let [only] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        only.device.as_str(),
        format!("target-{}", only.description.target)
    );
    let device = only.device.clone();
    let faults = ["unreachable", "timeout"].map(|fault| vec![format!("{device} !{fault}")]);
    let read = lines(source).await;
    assert!(faults.contains(&read), "{read:?}");
}

/// Reads a source once, and returns its outcomes as lines such as `inlet-a-1 41.5`.
async fn lines(source: &mut dyn Source) -> Vec<String> {
    let at = Timestamp::from_millis(1_800_000_000_000).unwrap();
    let texts = texts(&source.read(at).await);
    texts
        .into_iter()
        .map(|(device, text)| format!("{device} {text}"))
        .collect()
}

/// Discovers and reads devices, and checks that each has one outcome.
async fn read(source: &mut dyn Source) -> Outcomes {
    let found = source.discover().await;
    let texts = texts(&source.read(Timestamp::default()).await);
    let mut ids: Vec<_> = found.iter().map(|f| f.device.to_string()).collect();
    ids.sort();
    assert_eq!(texts.keys().cloned().collect::<Vec<_>>(), ids);
    texts
}

#[tokio::test]
async fn simulated_racks_are_a_source() {
    let config = SimulatedConfig::default();
    let mut source = Simulated::new(&config).unwrap();
    let found = source.discover().await;
    assert_eq!(found.len(), 8);
    assert_eq!(found[0].device.as_str(), "inlet-R1-1");
    assert_eq!(found[7].device.as_str(), "inlet-R2-4");
    assert_eq!(found[0].description.role, Role::Inlet);
    assert_eq!(found[0].description.interval, Duration::from_secs(1));
    let mut hottest = f64::MIN;
    let start = Timestamp::from_millis(1_795_000_000_000).unwrap();
    for tick in 0..20 {
        let outcomes = source.read(start.plus(Duration::from_secs(tick))).await;
        assert_eq!(outcomes.len(), 8);
        let readings = outcomes.iter().filter_map(|o| o.1.as_ref().ok());
        hottest = readings.fold(hottest, |hottest, t| hottest.max(t.degrees()));
    }
    assert!(hottest > 32.0, "{hottest}");
    let wrong = SimulatedConfig {
        scenario: "fire".to_owned(),
        ..config
    };
    assert!(Simulated::new(&wrong).is_err());
}
