//! Incidents: what joins them, and what people are told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_core::alert::{
    AlertId, AlertKind, AlertRecord, Detail, Extras, Resolution, Runaway, Severity,
};
use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{
    Ack, Cause, Changes, Event, Incident, IncidentId, IncidentRecord, Incidents, Stored, Timing,
};
use rackwatch_core::site::Spot;
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_core::wire;

const START: u64 = 1_800_000_000_000;

fn at(seconds: u64) -> Timestamp {
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

fn hot(device: &str, severity: Severity, seconds: u64) -> AlertRecord {
    alert(device, AlertKind::HighTemp, severity, seconds)
}

fn over(record: &AlertRecord, seconds: u64) -> AlertRecord {
    AlertRecord {
        resolution: Some(Resolution {
            duration: at(seconds).since(record.started),
            peak: None,
        }),
        at: at(seconds),
        ..record.clone()
    }
}

/// Racks A1, A2 are in row A behind cooler 1, B1 and B2 in row B behind coolers 1 and 2; C1 is in
/// another room.
fn spot(device: &DeviceId) -> Spot {
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

/// Drives incidents, and keeps what they want kept.
struct Desk {
    incidents: Incidents,
    stored: BTreeMap<IncidentId, String>,
    members: BTreeMap<AlertId, Stored>,
}

const TIMING: Timing = Timing {
    wait: Duration::from_secs(10),
    companions: Duration::from_mins(5),
    hold: Duration::ZERO,
    remind_critical: Duration::from_mins(30),
    remind_warning: Duration::from_hours(4),
};

impl Default for Desk {
    fn default() -> Self {
        Self {
            incidents: Incidents::new(TIMING),
            stored: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

impl Desk {
    fn take(&mut self, record: &AlertRecord, seconds: u64) {
        self.incidents
            .take(record, spot(record.subject.as_id()), at(seconds));
    }

    fn settle(&mut self, seconds: u64) -> Vec<IncidentRecord> {
        let Changes {
            records,
            incidents,
            members,
            closed,
            gone,
        } = self.incidents.settle(at(seconds));
        self.stored.extend(incidents);
        self.members.extend(members);
        self.stored.retain(|id, _| !closed.contains(id));
        self.members.retain(|id, _| !gone.contains(id));
        records
    }

    /// What people are told by then, looked at every second.
    fn told(&mut self, seconds: std::ops::Range<u64>) -> Vec<IncidentRecord> {
        let records: Vec<_> = seconds.flat_map(|second| self.settle(second)).collect();
        records.into_iter().filter(|r| r.tell.is_some()).collect()
    }

    fn step(&mut self, records: &[AlertRecord], seconds: u64) -> Vec<Event> {
        for record in records {
            self.take(record, seconds);
        }
        let settled = self.settle(seconds);
        let told = settled.iter().filter(|record| record.tell.is_some());
        told.map(|record| record.event).collect()
    }

    fn restart(&mut self) {
        let mut incidents = Incidents::new(TIMING);
        let stored = self.stored.values();
        let stored: Vec<Incident> = stored
            .map(|json| serde_json::from_str(json).unwrap())
            .collect();
        incidents.restore(stored, self.members.clone().into_iter().collect());
        self.incidents = incidents;
    }
}

#[test]
fn a_critical_is_told_at_once_and_companions_join_silently() {
    let mut desk = Desk::default();
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(desk.step(std::slice::from_ref(&first), 1), [Event::Opened]);
    let second = hot("inlet-A2-1", Severity::Critical, 60);
    let third = hot("inlet-B1-1", Severity::Warning, 200);
    assert!(desk.step(&[second.clone(), third.clone()], 200).is_empty());
    assert_eq!(desk.incidents.len(), 1);
    // Once it has spread it takes in what comes later too.
    let late = hot("inlet-B2-1", Severity::Critical, 3000);
    assert!(desk.step(std::slice::from_ref(&late), 1000).is_empty());
    let ends = [over(&first, 1500), over(&second, 1500), over(&third, 1500)];
    assert!(desk.step(&ends, 1500).is_empty());
    assert_eq!(desk.step(&[over(&late, 1510)], 1510), [Event::Resolved]);
    assert!(desk.incidents.is_empty() && desk.members.is_empty() && desk.stored.is_empty());
}

#[test]
fn a_warning_waits_for_companions_and_speaks_for_all() {
    let mut desk = Desk::default();
    desk.take(&hot("inlet-A1-1", Severity::Warning, 0), 0);
    assert!(desk.told(0..9).is_empty());
    desk.take(&hot("inlet-A2-1", Severity::Warning, 9), 9);
    let told = desk.told(9..100);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].alerts, told[0].severity), (2, Severity::Warning));
    assert_eq!(told[0].title, "too hot: cooler crah-1, 2 sensors in A1, A2");
    assert_eq!(told[0].at, at(10));
}

#[test]
fn what_is_soft_opens_nothing_but_is_the_first_to_have_moved() {
    let mut desk = Desk::default();
    let soft = alert("inlet-A1-1", AlertKind::Spike, Severity::Info, 0);
    desk.take(&soft, 0);
    assert!(desk.told(0..30).is_empty() && desk.incidents.is_empty());
    desk.take(&hot("inlet-A1-2", Severity::Critical, 30), 30);
    let told = desk.told(30..60);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].first.as_str(), "inlet-A1-1");
    assert_eq!((told[0].alerts, told[0].since), (2, at(0)));
}

#[test]
fn worse_is_told_and_better_is_not() {
    let mut desk = Desk::default();
    let warning = hot("inlet-A1-1", Severity::Warning, 0);
    assert!(desk.step(std::slice::from_ref(&warning), 0).is_empty());
    assert_eq!(desk.step(&[], 10), [Event::Opened]);
    let critical = hot("inlet-A1-2", Severity::Critical, 20);
    assert_eq!(
        desk.step(std::slice::from_ref(&critical), 20),
        [Event::Worse]
    );
    assert!(desk.step(&[over(&critical, 30)], 30).is_empty());
    let again = hot("inlet-A1-3", Severity::Critical, 40);
    assert!(desk.step(std::slice::from_ref(&again), 40).is_empty());
    assert_eq!(
        desk.step(&[over(&warning, 50), over(&again, 50)], 50),
        [Event::Resolved]
    );
}

#[test]
fn people_are_reminded_until_somebody_takes_it_on() {
    let mut desk = Desk::default();
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(desk.step(std::slice::from_ref(&first), 0), [Event::Opened]);
    assert!(desk.step(&[], 1799).is_empty());
    assert_eq!(desk.step(&[], 1800), [Event::Reminder]);
    let id = IncidentId::of(&first.id);
    let ack = |seconds| Ack {
        by: "ann".to_owned(),
        at: at(seconds),
        note: String::new(),
    };
    assert!(!desk.incidents.ack(&id, ack(1700)), "before the last time");
    assert!(desk.incidents.ack(&id, ack(1900)));
    assert!(!desk.incidents.ack(&id, ack(1900)), "known");
    assert!(desk.told(1900..20_000).is_empty());
    // The same rack is no news, another one is.
    let same = hot("inlet-A1-2", Severity::Critical, 1950);
    assert!(desk.step(&[same], 20_000).is_empty());
    let other = hot("inlet-A2-2", Severity::Critical, 1960);
    assert_eq!(desk.step(&[other], 20_001), [Event::Worse]);
    assert_eq!(
        desk.step(&[], 22_000),
        [Event::Reminder],
        "it is open again"
    );
}

#[test]
fn what_is_silenced_is_recorded_and_told_when_the_silence_ends() {
    let mut desk = Desk::default();
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
    desk.incidents.silences(vec![silence]);
    let record = hot("inlet-A1-1", Severity::Critical, 10);
    desk.take(&record, 10);
    let settled = desk.settle(10);
    assert_eq!(settled.len(), 1);
    assert_eq!(
        (settled[0].event, &settled[0].tell),
        (Event::Pending, &None)
    );
    assert!(desk.told(11..600).is_empty());
    let told = desk.told(600..610);
    assert_eq!((told.len(), told[0].event), (1, Event::Opened));
    // Another one, that is over before the silence is: nobody hears of it.
    let mut desk = Desk::default();
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
    desk.incidents.silences(vec![silence]);
    desk.take(&record, 10);
    assert!(desk.told(10..100).is_empty());
    desk.take(&over(&record, 100), 100);
    assert!(desk.told(100..700).is_empty());
    assert!(desk.incidents.is_empty());
}

#[test]
fn the_cause_is_the_smallest_thing_that_has_all() {
    let cause = |devices: &[&str]| {
        let mut desk = Desk::default();
        for device in devices {
            desk.take(&hot(device, Severity::Critical, 0), 0);
        }
        let mut records = desk.settle(0);
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
    // Two feed row B: which of them it is cannot be told.
    assert_eq!(cause(&["inlet-B1-1", "inlet-B2-1"]), named("row", "B"));
}

#[test]
fn what_is_elsewhere_or_later_or_of_another_kind_is_another_incident() {
    let opened = |first: &AlertRecord, second: &AlertRecord| {
        let mut desk = Desk::default();
        desk.take(first, 0);
        desk.take(second, 1);
        desk.incidents.len()
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
fn what_comes_back_soon_is_the_same_incident() {
    let mut desk = Desk {
        incidents: Incidents::new(Timing {
            hold: Duration::from_secs(600),
            ..TIMING
        }),
        ..Desk::default()
    };
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(desk.step(std::slice::from_ref(&first), 0), [Event::Opened]);
    desk.take(&over(&first, 60), 60);
    let quiet = desk.settle(60).remove(0);
    assert_eq!(
        (quiet.event, quiet.tell, quiet.open),
        (Event::Quiet, None, 0)
    );
    let again = hot("inlet-A1-2", Severity::Critical, 600);
    assert!(desk.step(std::slice::from_ref(&again), 600).is_empty());
    desk.take(&over(&again, 700), 700);
    assert!(desk.told(700..1300).is_empty());
    let told = desk.told(1300..1310);
    assert_eq!(
        (told[0].event, told[0].until),
        (Event::Resolved, Some(at(700)))
    );
}

#[test]
fn the_way_back_is_no_incident() {
    let mut desk = Desk::default();
    let drop = |device, seconds| alert(device, AlertKind::Drop, Severity::Warning, seconds);
    let hot = hot("inlet-A1-1", Severity::Critical, 0);
    assert_eq!(desk.step(std::slice::from_ref(&hot), 0), [Event::Opened]);
    assert!(desk.step(&[drop("inlet-A1-2", 100)], 100).is_empty());
    assert_eq!(desk.step(&[over(&hot, 200)], 200), [Event::Resolved]);
    desk.take(&drop("inlet-A1-3", 3700), 3700);
    assert!(desk.told(3700..3799).is_empty() && desk.incidents.is_empty());
    // Elsewhere, or later, it is something of its own.
    desk.take(&drop("inlet-A2-1", 3750), 3750);
    assert_eq!(desk.told(3750..3800).len(), 1);
    desk.take(&drop("inlet-A1-4", 4000), 4000);
    assert_eq!(desk.settle(4000)[0].alerts, 2);
}

#[test]
fn what_was_no_news_is_only_told_if_it_lasts() {
    let mut desk = Desk::default();
    let old = AlertRecord {
        historical: true,
        ..hot("inlet-A1-1", Severity::Critical, 0)
    };
    desk.take(&old, 5000);
    assert!(desk.told(5000..5060).is_empty());
    assert_eq!(desk.told(5060..5070).len(), 1);
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let mut desk = Desk::default();
    let runaway = AlertRecord {
        detail: Detail::Runaway(Some(Runaway {
            change: 2.0,
            window: Duration::from_secs(60),
            left: Some((Duration::from_secs(180), Duration::from_secs(240))),
        })),
        ..alert("inlet-A1-1", AlertKind::Runaway, Severity::Critical, 0)
    };
    desk.take(&runaway, 0);
    desk.take(&hot("inlet-A2-1", Severity::Warning, 0), 0);
    let record = desk.settle(1).remove(0);
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

/// Which device, how bad, whether it begins or ends, how long after the last one.
type Happening = (u8, Severity, bool, u64);

fn happenings(severities: &'static [Severity]) -> impl Strategy<Value = Vec<Happening>> {
    let severity = prop::sample::select(severities);
    prop::collection::vec((0..8u8, severity, any::<bool>(), 0..400u64), 1..60)
}

/// The records that come of it, each with its time: an episode has one id from its begin to its end.
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
            records.push((seconds, over(&record, seconds)));
        }
    }
    records.extend(
        open.into_values()
            .map(|record| (seconds, over(&record, seconds))),
    );
    records
}

proptest! {
    // What is soft and belongs to nothing is not stored: a restart forgets who moved first.
    #[test]
    fn a_restart_changes_nothing(
        happenings in happenings(&[Severity::Warning, Severity::Critical]),
        breaks in prop::collection::vec(any::<bool>(), 70),
    ) {
        let play = |restarts: bool| {
            let mut desk = Desk::default();
            let mut all = Vec::new();
            for ((seconds, record), stop) in records(&happenings).iter().zip(&breaks) {
                desk.take(record, *seconds);
                all.extend(desk.settle(*seconds));
                if restarts && *stop {
                    desk.restart();
                }
            }
            all
        };
        prop_assert_eq!(play(true), play(false));
    }

    #[test]
    fn whoever_is_told_that_it_is_there_is_told_that_it_is_over(
        happenings in happenings(&Severity::ALL)
    ) {
        let mut desk = Desk::default();
        let mut told: BTreeMap<IncidentId, Vec<Event>> = BTreeMap::new();
        for (seconds, record) in records(&happenings) {
            desk.take(&record, seconds);
            for record in desk.settle(seconds).into_iter().filter(|r| r.tell.is_some()) {
                told.entry(record.id).or_default().push(record.event);
            }
        }
        prop_assert!(desk.incidents.is_empty());
        for events in told.values() {
            prop_assert_eq!(events.first(), Some(&Event::Opened));
            prop_assert_eq!(events.iter().filter(|e| **e == Event::Opened).count(), 1);
            prop_assert_eq!(events.last(), Some(&Event::Resolved));
            prop_assert_eq!(events.iter().filter(|e| **e == Event::Resolved).count(), 1);
        }
    }
}
