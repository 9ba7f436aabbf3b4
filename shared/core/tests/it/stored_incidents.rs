//! Golden files of incidents, silences, the site and descriptions, as Redis keeps them: `tests/golden/stored` has one for
//! each type and state.
//!
//! A changed file means that stored state of the version before is misread, unless its version counts up.

use std::fmt::Debug;
use std::time::Duration;

use rackwatch_core::alert::{
    AlertId, AlertKind, AlertRecord, Detail, EndedBy, Resolution, Severity,
};
use rackwatch_core::detect::runaway::RunawayPayload;
use rackwatch_core::device::{Description, DeviceId, HardwareLimits, Range, Role, Verdict};
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{
    Ack, Incident, IncidentId, IncidentTiming, Incidents, StoredMember,
};
use rackwatch_core::site::{RawDevices, RawRacks, RawSite, Spot, StoredSite};
use rackwatch_core::stored::{DecodeError, StoredValue, decode, encode};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::{Celsius, Kelvin};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000).unwrap()
}

fn celsius(degrees: f64) -> Celsius {
    Celsius::new(degrees).unwrap()
}

fn ack() -> Ack {
    Ack {
        by: "ann".to_owned(),
        at: at(60),
        note: "on my way".to_owned(),
    }
}

/// Checks that a file reads back into the same JSON, and that only its own version does.
fn assert_pinned<T: StoredValue + Debug>(golden: &str) {
    let golden = golden.trim_end();
    let value: T = decode(golden.as_bytes()).unwrap();
    assert_eq!(encode(&value), golden);
    let version = format!("\"v\":{}", T::VERSION);
    assert!(golden.starts_with(&format!("{{{version},")), "{golden}");
    let newer = golden.replacen(&version, &format!("\"v\":{}", T::VERSION + 1), 1);
    let refusal = decode::<T>(newer.as_bytes()).unwrap_err();
    assert!(
        matches!(refusal, DecodeError::OtherVersion { .. }),
        "{refusal}"
    );
    let unversioned = golden.replacen(&format!("{version},"), "", 1);
    let refusal = decode::<T>(unversioned.as_bytes()).unwrap_err();
    assert!(
        matches!(refusal, DecodeError::Unversioned { .. }),
        "{refusal}"
    );
}

/// Checks that a value is written as its file says.
fn assert_golden<T: StoredValue + Debug + PartialEq>(value: &T, golden: &str) {
    assert_eq!(encode(value), golden.trim_end());
    assert_eq!(&decode::<T>(golden.as_bytes()).unwrap(), value);
    assert_pinned::<T>(golden);
}

fn runaway() -> AlertRecord {
    let subject = Subject::from(DeviceId::new("inlet-A1-1").unwrap());
    AlertRecord {
        temperature: Some(celsius(33.5)),
        at: at(1),
        threshold: 32.0,
        severity: Severity::Critical,
        id: AlertId::of(&subject, "runaway", at(0)),
        rule: "runaway".to_owned(),
        rack: "A1".to_owned(),
        u: None,
        role: Role::Inlet,
        started: at(0),
        rate: None,
        detail: Detail::Runaway(Some(RunawayPayload {
            change: 2.0,
            window: Duration::from_secs(60),
            left: Some((Duration::from_secs(180), Duration::from_secs(240))),
        })),
        resolution: None,
        historical: true,
        subject,
    }
}

fn spot() -> Spot {
    Spot {
        rack: "A1".to_owned(),
        row: "A".to_owned(),
        room: "hall".to_owned(),
        coolers: vec!["crah-1".to_owned()],
    }
}

#[test]
fn incidents_are_pinned_in_each_phase() {
    let record = runaway();
    let id = IncidentId::of(&record.id);
    let mut incidents = Incidents::new(IncidentTiming::default());
    let stored = |incidents: &mut Incidents, seconds, golden: &str| {
        let changes = incidents.advance(at(seconds));
        let (_, json) = changes.incidents.first().unwrap();
        assert_eq!(json, golden.trim_end());
        assert_pinned::<Incident>(golden);
        changes.members
    };
    incidents.observe(&record, spot(), at(1));
    let members = stored(
        &mut incidents,
        1,
        include_str!("../golden/stored/incident_pending.v1.json"),
    );
    let golden = include_str!("../golden/stored/incident_member.v1.json");
    assert_golden::<StoredMember>(&members[0].1, golden);
    // A minute later the historical alert counts.
    stored(
        &mut incidents,
        61,
        include_str!("../golden/stored/incident_open.v1.json"),
    );
    assert!(incidents.acknowledge(
        &id,
        Ack {
            at: at(70),
            ..ack()
        }
    ));
    let golden = include_str!("../golden/stored/incident_acknowledged.v1.json");
    stored(&mut incidents, 70, golden);
    let resolved = AlertRecord {
        resolution: Some(Resolution {
            duration: Duration::from_secs(80),
            peak: None,
            ended_by: EndedBy::Readings,
        }),
        at: at(80),
        ..record
    };
    incidents.observe(&resolved, spot(), at(80));
    stored(
        &mut incidents,
        80,
        include_str!("../golden/stored/incident_resolving.v1.json"),
    );
}

#[test]
fn acknowledgements_are_pinned() {
    assert_golden(
        &ack(),
        include_str!("../golden/stored/acknowledgement.v1.json"),
    );
}

#[test]
fn silences_are_pinned() {
    let silence = Silence {
        id: "fb6020".to_owned(),
        matcher: Matcher {
            device: Some("inlet-*".to_owned()),
            rack: Some("A1".to_owned()),
            row: Some("A".to_owned()),
            room: Some("hall".to_owned()),
            rule: Some("runaway".to_owned()),
            kind: Some(AlertKind::Runaway),
        },
        from: at(0),
        until: at(7200),
        reason: "patching".to_owned(),
        by: "ann".to_owned(),
    };
    assert_golden(&silence, include_str!("../golden/stored/silence.v1.json"));
}

#[test]
fn the_site_is_pinned() {
    let site = RawSite {
        racks: vec![RawRacks {
            rack: vec!["A*".to_owned()],
            row: Some("A".to_owned()),
            room: Some("hall".to_owned()),
            cooler: Some(vec!["crah-1".to_owned()]),
        }],
        devices: vec![RawDevices {
            host: vec!["web-*".to_owned()],
            agent: vec!["web-1".to_owned()],
            target: vec!["bmc-1".to_owned()],
            device: vec!["inlet-*".to_owned()],
            rack: Some("A1".to_owned()),
            u: Some(12),
            role: Some(Role::Inlet),
            name: Some("front".to_owned()),
            limits: Some(limits()),
            row: Some("A".to_owned()),
            room: Some("hall".to_owned()),
            cooler: Some(vec!["crah-1".to_owned()]),
        }],
    };
    assert_golden(
        &StoredSite { site },
        include_str!("../golden/stored/site.v1.json"),
    );
}

fn limits() -> HardwareLimits {
    HardwareLimits {
        low_critical: Some(celsius(5.0)),
        high_warning: Some(celsius(38.0)),
        high_critical: Some(celsius(42.0)),
        lasting: Duration::from_secs(10),
    }
}

#[test]
fn descriptions_are_pinned() {
    let description = Description {
        agent: "web-1".to_owned(),
        zone: "hall".to_owned(),
        host: "web-1".to_owned(),
        machine: Some("m1".to_owned()),
        boot: Some("b1".to_owned()),
        target: "bmc-1".to_owned(),
        source: "ipmi".to_owned(),
        name: "front".to_owned(),
        role: Role::Inlet,
        rack: Some("A1".to_owned()),
        u: Some(12),
        interval: Duration::from_secs(1),
        rereads: true,
        resolution: Some(Kelvin(0.5)),
        limits: limits(),
        verdict: Some(Verdict::Warning),
        range: Some(Range {
            least: celsius(-40.0),
            most: celsius(125.0),
        }),
        hardware: Some("SN-1".to_owned()),
        leaving: true,
    };
    let golden = include_str!("../golden/stored/description.v1.json");
    assert_golden(&description, golden);
    assert_eq!(description.to_json(), golden.trim_end());
}
