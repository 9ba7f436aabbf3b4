//! Incidents: which alerts join them, and which notifications they cause.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_core::alert::{
    AlertId, AlertKind, AlertRecord, Detail, EndedBy, Extras, Resolution, Severity,
};
use rackwatch_core::detect::runaway::RunawayPayload;
use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{
    Ack, Cause, Changes, Event, Incident, IncidentId, IncidentRecord, IncidentTiming, Incidents,
    StoredMember,
};
use rackwatch_core::site::Spot;
use rackwatch_core::stored;
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_core::wire;

const START: u64 = 1_800_000_000_000;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000).unwrap()
}

fn alert(device: &str, kind: AlertKind, severity: Severity, seconds: u64) -> AlertRecord {
    let id = Subject::from(DeviceId::new(device).unwrap());
    AlertRecord {
        temperature: Some(Celsius::new(33.0).unwrap()),
        at: at(seconds),
        threshold: 32.0,
        severity,
        id: AlertId::of(&id, kind.name(), at(seconds)),
        rule: kind.name().to_owned(),
        rack: String::new(),
        u: None,
        role: Role::Inlet,
        started: at(seconds),
        rate: None,
        detail: Detail::new(kind, Extras::default()),
        resolution: None,
        historical: false,
        subject: id,
    }
}

pub(crate) fn hot(device: &str, severity: Severity, seconds: u64) -> AlertRecord {
    alert(device, AlertKind::HighTemp, severity, seconds)
}

pub(crate) fn resolved(record: &AlertRecord, seconds: u64) -> AlertRecord {
    AlertRecord {
        resolution: Some(Resolution {
            duration: at(seconds).since(record.started),
            peak: None,
            ended_by: EndedBy::Readings,
        }),
        at: at(seconds),
        ..record.clone()
    }
}

/// Racks A1, A2 are in row A behind cooler 1, B1 and B2 in row B behind coolers 1 and 2; C1 is in
/// another room.
pub(crate) fn spot(device: &DeviceId) -> Spot {
    let rack = device.rack_part().unwrap_or_default();
    let (row, room, coolers) = match &rack[..rack.len().min(1)] {
        "A" => ("A", "hall", vec!["crah-1"]),
        "B" => ("B", "hall", vec!["crah-1", "crah-2"]),
        _ => ("C", "annex", vec!["crah-9"]),
    };
    Spot {
        rack: rack.to_owned(),
        row: row.to_owned(),
        room: room.to_owned(),
        coolers: coolers.into_iter().map(str::to_owned).collect(),
    }
}

/// Drives incidents, and stores what they want stored.
pub(crate) struct Correlator {
    pub(crate) incidents: Incidents,
    stored: BTreeMap<IncidentId, String>,
    members: BTreeMap<AlertId, StoredMember>,
}

pub(crate) const TIMING: IncidentTiming = IncidentTiming {
    group_wait: Duration::from_secs(10),
    group_window: Duration::from_mins(5),
    resolve_after: Duration::ZERO,
    repeat_interval_critical: Duration::from_mins(30),
    repeat_interval_warning: Duration::from_hours(4),
};

impl Default for Correlator {
    fn default() -> Self {
        Self {
            incidents: Incidents::new(TIMING),
            stored: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

impl Correlator {
    pub(crate) fn observe(&mut self, record: &AlertRecord, seconds: u64) {
        self.incidents
            .observe(record, spot(record.subject.as_id()), at(seconds));
    }

    pub(crate) fn advance(&mut self, seconds: u64) -> Vec<IncidentRecord> {
        let Changes {
            records,
            incidents,
            members,
            resolved,
            removed_members,
        } = self.incidents.advance(at(seconds));
        self.stored.extend(incidents);
        self.members.extend(members);
        self.stored.retain(|id, _| !resolved.contains(id));
        self.members.retain(|id, _| !removed_members.contains(id));
        records
    }

    /// Returns the notifications of that time, stepping every second.
    fn notified(&mut self, seconds: std::ops::Range<u64>) -> Vec<IncidentRecord> {
        let records: Vec<_> = seconds.flat_map(|second| self.advance(second)).collect();
        records
            .into_iter()
            .filter(|r| r.notification_id.is_some())
            .collect()
    }

    pub(crate) fn step(&mut self, records: &[AlertRecord], seconds: u64) -> Vec<Event> {
        for record in records {
            self.observe(record, seconds);
        }
        let records = self.advance(seconds);
        let notified = records
            .iter()
            .filter(|record| record.notification_id.is_some());
        notified.map(|record| record.event).collect()
    }

    pub(crate) fn restart(&mut self) {
        let mut incidents = Incidents::new(TIMING);
        let stored = self.stored.values();
        let stored: Vec<Incident> = stored
            .map(|json| stored::decode(json.as_bytes()).unwrap())
            .collect();
        incidents.restore(stored, self.members.clone());
        self.incidents = incidents;
    }
}

#[test]
fn a_critical_alert_notifies_at_once_and_related_alerts_join() {
    let mut correlator = Correlator::default();
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(
        correlator.step(std::slice::from_ref(&first), 1),
        [Event::Opened]
    );
    // A few more in the same minutes are no news.
    let second = hot("inlet-A1-2", Severity::Critical, 60);
    let third = hot("inlet-B1-1", Severity::Warning, 200);
    assert!(
        correlator
            .step(&[second.clone(), third.clone()], 200)
            .is_empty()
    );
    assert_eq!(correlator.incidents.len(), 1);
    // An incident that covers several racks takes in later alerts too.
    let late = hot("inlet-B2-1", Severity::Critical, 3000);
    assert_eq!(
        correlator.step(std::slice::from_ref(&late), 1000),
        [Event::Worse],
        "critical in another row"
    );
    let ends = [
        resolved(&first, 1500),
        resolved(&second, 1500),
        resolved(&third, 1500),
    ];
    assert!(correlator.step(&ends, 1500).is_empty());
    assert_eq!(
        correlator.step(&[resolved(&late, 1510)], 1510),
        [Event::Resolved]
    );
    assert!(
        correlator.incidents.is_empty()
            && correlator.members.is_empty()
            && correlator.stored.is_empty()
    );
}

#[test]
fn a_warning_waits_for_related_alerts_and_notifies_once() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", Severity::Warning, 0), 0);
    assert!(correlator.notified(0..9).is_empty());
    correlator.observe(&hot("inlet-A2-1", Severity::Warning, 9), 9);
    let notified = correlator.notified(9..100);
    assert_eq!(notified.len(), 1, "{notified:?}");
    assert_eq!(
        (notified[0].alerts, notified[0].severity),
        (2, Severity::Warning)
    );
    assert_eq!(
        notified[0].title,
        "too hot: cooler crah-1, 2 sensors in A1, A2"
    );
    assert_eq!(notified[0].at, at(10));
}

#[test]
fn an_info_alert_opens_nothing_but_may_be_the_first_sensor() {
    let mut correlator = Correlator::default();
    let soft = alert("inlet-A1-1", AlertKind::Spike, Severity::Info, 0);
    correlator.observe(&soft, 0);
    assert!(correlator.notified(0..30).is_empty() && correlator.incidents.is_empty());
    correlator.observe(&hot("inlet-A1-2", Severity::Critical, 30), 30);
    let notified = correlator.notified(30..60);
    assert_eq!(notified.len(), 1);
    assert_eq!(notified[0].first.as_str(), "inlet-A1-1");
    assert_eq!((notified[0].alerts, notified[0].since), (2, at(0)));
}

#[test]
fn a_rise_in_severity_notifies_and_a_fall_does_not() {
    let mut correlator = Correlator::default();
    let warning = hot("inlet-A1-1", Severity::Warning, 0);
    assert!(
        correlator
            .step(std::slice::from_ref(&warning), 0)
            .is_empty()
    );
    assert_eq!(correlator.step(&[], 10), [Event::Opened]);
    let critical = hot("inlet-A1-2", Severity::Critical, 20);
    assert_eq!(
        correlator.step(std::slice::from_ref(&critical), 20),
        [Event::Worse]
    );
    assert!(correlator.step(&[resolved(&critical, 30)], 30).is_empty());
    let again = hot("inlet-A1-3", Severity::Critical, 40);
    assert!(correlator.step(std::slice::from_ref(&again), 40).is_empty());
    assert_eq!(
        correlator.step(&[resolved(&warning, 50), resolved(&again, 50)], 50),
        [Event::Resolved]
    );
}

#[test]
fn notifications_repeat_until_the_incident_is_acknowledged() {
    let mut correlator = Correlator::default();
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(
        correlator.step(std::slice::from_ref(&first), 0),
        [Event::Opened]
    );
    assert!(correlator.step(&[], 1799).is_empty());
    assert_eq!(correlator.step(&[], 1800), [Event::Repeat]);
    let id = IncidentId::of(&first.id);
    let ack = |seconds| Ack {
        by: "ann".to_owned(),
        at: at(seconds),
        note: String::new(),
    };
    assert!(
        !correlator.incidents.acknowledge(&id, ack(1700)),
        "older than the last notification"
    );
    assert!(correlator.incidents.acknowledge(&id, ack(1900)));
    assert!(!correlator.incidents.acknowledge(&id, ack(1900)), "known");
    assert!(correlator.notified(1900..20_000).is_empty());
    // The same rack is not worse, another one is.
    let same = hot("inlet-A1-2", Severity::Critical, 1950);
    assert!(correlator.step(&[same], 20_000).is_empty());
    let other = hot("inlet-A2-2", Severity::Critical, 1960);
    assert_eq!(correlator.step(&[other], 20_001), [Event::Worse]);
    assert_eq!(
        correlator.step(&[], 22_000),
        [Event::Repeat],
        "no longer acknowledged"
    );
}

#[test]
fn a_silenced_alert_is_recorded_and_notifies_when_the_silence_ends() {
    let mut correlator = Correlator::default();
    let silence = Silence {
        id: "s1".to_owned(),
        matcher: Matcher {
            rack: Some("A1".to_owned()),
            ..Matcher::default()
        },
        from: at(0),
        until: at(600),
        reason: "patching".to_owned(),
        by: "ann".to_owned(),
    };
    correlator.incidents.set_silences(vec![silence]);
    let record = hot("inlet-A1-1", Severity::Critical, 10);
    correlator.observe(&record, 10);
    let records = correlator.advance(10);
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0].event, &records[0].notification_id),
        (Event::Pending, &None)
    );
    assert!(correlator.notified(11..600).is_empty());
    let notified = correlator.notified(600..610);
    assert_eq!((notified.len(), notified[0].event), (1, Event::Opened));
    // An alert that ends before the silence does causes no notification.
    let mut correlator = Correlator::default();
    let silence = Silence {
        id: "s2".to_owned(),
        matcher: Matcher {
            kind: Some(AlertKind::HighTemp),
            ..Matcher::default()
        },
        from: at(0),
        until: at(600),
        reason: String::new(),
        by: String::new(),
    };
    correlator.incidents.set_silences(vec![silence]);
    correlator.observe(&record, 10);
    assert!(correlator.notified(10..100).is_empty());
    correlator.observe(&resolved(&record, 100), 100);
    assert!(correlator.notified(100..700).is_empty());
    assert!(correlator.incidents.is_empty());
}

#[test]
fn the_cause_is_the_smallest_thing_that_all_alerts_share() {
    let cause = |devices: &[&str]| {
        let mut correlator = Correlator::default();
        for device in devices {
            correlator.observe(&hot(device, Severity::Critical, 0), 0);
        }
        let mut records = correlator.advance(0);
        assert_eq!(records.len(), 1, "{devices:?}: {records:?}");
        records.remove(0).cause
    };
    let named = |kind, name| Cause::from_parts(kind, name).unwrap();
    assert_eq!(cause(&["inlet-A1-1"]), named("sensor", "inlet-A1-1"));
    assert_eq!(cause(&["inlet-A1-1", "inlet-A1-2"]), named("rack", "A1"));
    // One cooler alone feeds row A, and it feeds row B too.
    assert_eq!(
        cause(&["inlet-A1-1", "inlet-B1-1"]),
        named("cooler", "crah-1")
    );
    // Two coolers feed row B, so neither is the cause for sure.
    assert_eq!(cause(&["inlet-B1-1", "inlet-B2-1"]), named("row", "B"));
}

#[test]
fn alerts_elsewhere_or_later_or_of_another_family_open_another_incident() {
    let opened = |first: &AlertRecord, second: &AlertRecord| {
        let mut correlator = Correlator::default();
        correlator.observe(first, 0);
        correlator.observe(second, 1);
        correlator.incidents.len()
    };
    let here = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(opened(&here, &hot("inlet-C1-1", Severity::Critical, 0)), 2);
    assert_eq!(
        opened(&here, &hot("inlet-B1-1", Severity::Critical, 301)),
        2
    );
    assert_eq!(
        opened(&here, &hot("inlet-B1-1", Severity::Critical, 300)),
        1
    );
    let of = |device, kind| alert(device, kind, Severity::Warning, 0);
    assert_eq!(opened(&here, &of("inlet-A1-2", AlertKind::LowTemp)), 2);
    assert_eq!(opened(&here, &of("inlet-A1-2", AlertKind::StuckSensor)), 2);
    // Servers that were too hot switch off.
    assert_eq!(opened(&here, &of("inlet-A1-2", AlertKind::NoData)), 1);
    let stuck = of("inlet-A1-1", AlertKind::StuckSensor);
    assert_eq!(opened(&stuck, &of("inlet-A1-2", AlertKind::StuckSensor)), 2);
}

#[test]
fn an_alert_that_returns_soon_continues_the_incident() {
    let mut correlator = Correlator {
        incidents: Incidents::new(IncidentTiming {
            resolve_after: Duration::from_secs(600),
            ..TIMING
        }),
        ..Correlator::default()
    };
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(
        correlator.step(std::slice::from_ref(&first), 0),
        [Event::Opened]
    );
    correlator.observe(&resolved(&first, 60), 60);
    let resolving = correlator.advance(60).remove(0);
    assert_eq!(
        (resolving.event, resolving.notification_id, resolving.open),
        (Event::Resolving, None, 0)
    );
    let again = hot("inlet-A1-2", Severity::Critical, 600);
    assert!(
        correlator
            .step(std::slice::from_ref(&again), 600)
            .is_empty()
    );
    correlator.observe(&resolved(&again, 700), 700);
    assert!(correlator.notified(700..1300).is_empty());
    let notified = correlator.notified(1300..1310);
    assert_eq!(
        (notified[0].event, notified[0].until),
        (Event::Resolved, Some(at(700)))
    );
}

#[test]
fn recovery_is_not_an_incident() {
    let mut correlator = Correlator::default();
    let drop = |device, seconds| alert(device, AlertKind::Drop, Severity::Warning, seconds);
    let hot = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(
        correlator.step(std::slice::from_ref(&hot), 0),
        [Event::Opened]
    );
    assert!(correlator.step(&[drop("inlet-A1-2", 100)], 100).is_empty());
    assert_eq!(
        correlator.step(&[resolved(&hot, 200)], 200),
        [Event::Resolved]
    );
    correlator.observe(&drop("inlet-A1-3", 3700), 3700);
    assert!(correlator.notified(3700..3799).is_empty() && correlator.incidents.is_empty());
    // Elsewhere, or later, it opens an incident.
    correlator.observe(&drop("inlet-A2-1", 3750), 3750);
    assert_eq!(correlator.notified(3750..3800).len(), 1);
    correlator.observe(&drop("inlet-A1-4", 4000), 4000);
    assert_eq!(correlator.advance(4000)[0].alerts, 2);
}

#[test]
fn a_historical_alert_notifies_only_if_it_lasts() {
    let mut correlator = Correlator::default();
    let old = AlertRecord {
        historical: true,
        ..hot("inlet-A1-1", Severity::Critical, 0)
    };
    correlator.observe(&old, 5000);
    assert!(correlator.notified(5000..5060).is_empty());
    assert_eq!(correlator.notified(5060..5070).len(), 1);
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let mut correlator = Correlator::default();
    let runaway = AlertRecord {
        detail: Detail::Runaway(Some(RunawayPayload {
            change: 2.0,
            window: Duration::from_secs(60),
            left: Some((Duration::from_secs(180), Duration::from_secs(240))),
        })),
        ..alert("inlet-A1-1", AlertKind::Runaway, Severity::Critical, 0)
    };
    correlator.observe(&runaway, 0);
    correlator.observe(&hot("inlet-A2-1", Severity::Warning, 0), 0);
    let record = correlator.advance(1).remove(0);
    assert_eq!(
        record.title,
        "cooling is failing: cooler crah-1, 2 sensors in A1, A2"
    );
    assert_eq!(record.left_ms, Some((180_000, 240_000)));
    let fields = wire::incident::encode(&record);
    let bytes = |(name, value): (&str, String)| (name.into(), value.into_bytes());
    let fields: wire::Fields = fields.into_iter().map(bytes).collect();
    assert_eq!(wire::incident::decode(&fields).unwrap(), record);
}

/// Device, severity, whether the alert begins, and seconds since the previous one.
type Happening = (u8, Severity, bool, u64);

fn happenings(severities: &'static [Severity]) -> impl Strategy<Value = Vec<Happening>> {
    let severity = prop::sample::select(severities);
    prop::collection::vec((0..8u8, severity, any::<bool>(), 0..400u64), 1..60)
}

/// Returns the records with their times. An episode keeps one id from start to end.
fn records(happenings: &[Happening]) -> Vec<(u64, AlertRecord)> {
    let mut open: BTreeMap<u8, AlertRecord> = BTreeMap::new();
    let mut seconds = 0;
    let mut records = Vec::new();
    for (device, severity, begins, later) in happenings {
        seconds += later;
        let names = [
            "A1-1", "A1-2", "A2-1", "B1-1", "B2-1", "C1-1", "C1-2", "C2-1",
        ];
        let fresh = || {
            hot(
                &format!("inlet-{}", names[usize::from(*device)]),
                *severity,
                seconds,
            )
        };
        if *begins {
            let record = open.entry(*device).or_insert_with(fresh);
            record.severity = record.severity.max(*severity);
            records.push((seconds, record.clone()));
        } else if let Some(record) = open.remove(device) {
            records.push((seconds, resolved(&record, seconds)));
        }
    }
    records.extend(
        open.into_values()
            .map(|record| (seconds, resolved(&record, seconds))),
    );
    records
}

proptest! {
    // Info alerts without an incident are not stored: a restart forgets the first sensor.
    #[test]
    fn a_restart_changes_nothing(
        happenings in happenings(&[Severity::Warning, Severity::Critical]),
        breaks in prop::collection::vec(any::<bool>(), 70),
    ) {
        let play = |restarts: bool| {
            let mut correlator = Correlator::default();
            let mut all = Vec::new();
            for ((seconds, record), stop) in records(&happenings).iter().zip(&breaks) {
                correlator.observe(record, *seconds);
                all.extend(correlator.advance(*seconds));
                if restarts && *stop {
                    correlator.restart();
                }
            }
            all
        };
        prop_assert_eq!(play(true), play(false));
    }

    #[test]
    fn every_opened_notification_is_followed_by_one_resolved(
        happenings in happenings(&Severity::ALL)
    ) {
        let mut correlator = Correlator::default();
        let mut notified: BTreeMap<IncidentId, Vec<Event>> = BTreeMap::new();
        for (seconds, record) in records(&happenings) {
            correlator.observe(&record, seconds);
            for record in correlator.advance(seconds).into_iter().filter(|r| r.notification_id.is_some()) {
                notified.entry(record.id).or_default().push(record.event);
            }
        }
        prop_assert!(correlator.incidents.is_empty());
        for events in notified.values() {
            prop_assert_eq!(events.first(), Some(&Event::Opened));
            prop_assert_eq!(events.iter().filter(|e| **e == Event::Opened).count(), 1);
            prop_assert_eq!(events.last(), Some(&Event::Resolved));
            prop_assert_eq!(events.iter().filter(|e| **e == Event::Resolved).count(), 1);
        }
    }
}
