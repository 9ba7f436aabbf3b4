//! The sources: on trees of files like the kernel's, and on simulated racks.
//!
//! In: fake `/sys/class/hwmon` trees, built as the kernel builds them (links into a tree of
//! devices) and flat as a copy of one may be. Out: what the sources make of them. Nothing outside
//! temporary directories is touched; one test mounts its tree, in a mount namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests, which clippy does not see"
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

/// What a source said, by id, as text: `41.5` or `!sensor_fault`.
type Said = BTreeMap<String, String>;

fn said(outcomes: &[Outcome]) -> Said {
    let text = |outcome: &Outcome| match &outcome.1 {
        Ok(temperature) => temperature.to_string(),
        Err(fault) => format!("!{fault}"),
    };
    let said: Said = outcomes
        .iter()
        .map(|outcome| (outcome.0.to_string(), text(outcome)))
        .collect();
    assert_eq!(
        said.len(),
        outcomes.len(),
        "two devices share an id: {outcomes:?}"
    );
    said
}

/// What a target over the network says at a tick, as lines: `inlet-a-1 41.5`.
/// Only what stands for the target was found: it never answered, and says so at each tick.
async fn only_stands_in(source: &mut dyn Source) {
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
    let said = lines(source).await;
    assert!(faults.contains(&said), "{said:?}");
}

async fn lines(source: &mut dyn Source) -> Vec<String> {
    let at = Timestamp::from_millis(1_800_000_000_000).unwrap();
    let said = said(&source.read(at).await);
    said.into_iter()
        .map(|(device, text)| format!("{device} {text}"))
        .collect()
}

/// Looks for devices, reads them once, and checks that each gave one result.
async fn read(source: &mut dyn Source) -> Said {
    let found = source.discover().await;
    let said = said(&source.read(Timestamp::default()).await);
    let mut ids: Vec<_> = found.iter().map(|f| f.device.to_string()).collect();
    ids.sort();
    assert_eq!(said.keys().cloned().collect::<Vec<_>>(), ids);
    said
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
