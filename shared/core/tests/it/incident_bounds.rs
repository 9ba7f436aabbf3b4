//! Where incidents begin and end: what joins, what does not, and what the last record says.

use rackwatch_core::alert::{AlertId, AlertKind, AlertRecord, Detail, Extras, Severity};
use rackwatch_core::device::Role;
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{
    Ack, AlertPlace, Event, IncidentRecord, Incidents, LostIncidents, Missing,
};
use rackwatch_core::subject::Subject;
use rackwatch_core::units::Celsius;

use crate::incidents::{Correlator, TIMING, at, hot, resolved, spot};
use Severity::{Critical, Info, Warning};

/// Returns the same alert as one of another kind.
fn of_kind(record: &AlertRecord, kind: AlertKind) -> AlertRecord {
    AlertRecord {
        id: AlertId::of(&record.subject, kind.name(), record.started),
        rule: kind.name().to_owned(),
        detail: Detail::new(kind, Extras::default()),
        ..record.clone()
    }
}

fn of_subject(record: &AlertRecord, subject: Subject) -> AlertRecord {
    AlertRecord {
        id: AlertId::of(&subject, &record.rule, record.started),
        subject,
        ..record.clone()
    }
}

/// Returns the alert that a device, agent or target of rack A1 sends no data.
fn absent(subject: Subject, second: u64) -> AlertRecord {
    of_subject(
        &of_kind(&hot("inlet-A1-1", Warning, second), AlertKind::NoData),
        subject,
    )
}

/// Opens an incident and lets it resolve at second 20. Returns its alert and records.
fn over(correlator: &mut Correlator) -> (AlertRecord, Vec<IncidentRecord>) {
    let first = hot("inlet-A1-1", Critical, 0);
    correlator.observe(&first, 1);
    let mut records = correlator.advance(1);
    correlator.observe(&resolved(&first, 20), 20);
    records.extend(correlator.advance(20));
    records.extend(correlator.advance(21));
    (first, records)
}

#[test]
fn notifications_of_an_incident_are_numbered_to_the_last() {
    let mut correlator = Correlator::default();
    let (_, records) = over(&mut correlator);
    let sent = records.iter().filter_map(|record| {
        let id = record.notification_id.as_ref()?;
        Some((record.event, id.rsplit_once('-')?.1))
    });
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent, [(Event::Opened, "1"), (Event::Resolved, "2")]);
    assert!(correlator.incidents.is_empty());
}

#[test]
fn a_fast_change_back_within_an_hour_of_an_incident_is_its_recovery() {
    for (second, incidents) in [(3_000, 0), (3_700, 1)] {
        let mut correlator = Correlator::default();
        over(&mut correlator);
        // Each step forgets recoveries that have passed.
        correlator.advance(30);
        let drop = of_kind(&hot("inlet-A1-2", Warning, second), AlertKind::Drop);
        correlator.observe(&drop, second);
        assert_eq!(correlator.incidents.len(), incidents, "at {second} s");
        assert_eq!(correlator.incidents.is_empty(), incidents == 0);
    }
}

#[test]
fn an_alert_that_is_over_stays_over_when_its_records_come_again() {
    let mut correlator = Correlator::default();
    let (first, second) = (
        hot("inlet-A1-1", Critical, 0),
        hot("inlet-A1-2", Critical, 0),
    );
    correlator.step(&[first.clone(), second], 1);
    correlator.observe(&resolved(&first, 10), 10);
    assert_eq!(correlator.advance(10)[0].open, 1);
    correlator.observe(&first, 11);
    correlator.observe(&resolved(&first, 12), 12);
    assert_eq!(correlator.advance(12), [], "nothing is new");
}

#[test]
fn agents_that_vanish_join_only_a_rack_that_was_critically_hot() {
    let agent = |second| absent(Subject::agent("h"), second);
    for (severity, incidents) in [(Critical, 1), (Warning, 2)] {
        let mut correlator = Correlator::default();
        correlator.step(&[hot("inlet-A1-1", severity, 0)], 1);
        let place = spot(hot("inlet-A1-1", severity, 0).subject.as_id());
        correlator.incidents.observe(&agent(60), place, at(60));
        assert_eq!(correlator.incidents.len(), incidents, "{severity}");
    }
    // And no other trouble of a sensor there does.
    let mut correlator = Correlator::default();
    correlator.step(&[hot("inlet-A1-1", Critical, 0)], 1);
    let fault = of_kind(&hot("inlet-A1-2", Warning, 60), AlertKind::SensorFault);
    correlator.observe(&fault, 60);
    assert_eq!(correlator.incidents.len(), 2);
}

#[test]
fn a_spreading_incident_takes_in_late_warnings_and_no_late_infos() {
    let spread = || {
        let mut correlator = Correlator::default();
        let racks = ["inlet-A1-1", "inlet-A2-1"].map(|device| hot(device, Critical, 0));
        correlator.step(&racks, 1);
        correlator
    };
    for (severity, alerts) in [(Warning, 3), (Info, 2)] {
        let mut correlator = spread();
        // Long after the group window.
        correlator.observe(&hot("inlet-A3-1", severity, 1_000), 1_000);
        correlator.observe(&hot("inlet-A1-9", Critical, 1_001), 1_001);
        let records = correlator.advance(1_001);
        assert_eq!(records[0].alerts, alerts + 1, "{severity}");
    }
}

#[test]
fn an_incident_has_its_worst_temperature_while_alerts_are_open() {
    let with = |record: AlertRecord, degrees: f64| AlertRecord {
        temperature: Celsius::new(degrees).ok(),
        ..record
    };
    let peak = |kind: AlertKind| {
        let mut correlator = Correlator::default();
        let all = [
            ("inlet-A1-1", 12.5),
            ("inlet-A1-2", 11.5),
            ("inlet-A1-3", 12.0),
        ];
        let all =
            all.map(|(device, degrees)| with(of_kind(&hot(device, Critical, 0), kind), degrees));
        correlator.step(&all, 1);
        let records = correlator.incidents.clone().advance(at(2_000));
        records.records[0].peak.map(Celsius::degrees)
    };
    assert_eq!(peak(AlertKind::HighTemp), Some(12.5));
    assert_eq!(peak(AlertKind::LowTemp), Some(11.5));
    assert_eq!(peak(AlertKind::SensorFault), None);
}

#[test]
fn an_incident_that_ends_before_its_notification_has_its_end() {
    let mut correlator = Correlator::default();
    let first = hot("inlet-A1-1", Warning, 0);
    correlator.observe(&first, 1);
    assert_eq!(correlator.advance(1)[0].until, None, "pending");
    correlator.observe(&resolved(&first, 5), 5);
    let last = &correlator.advance(5)[0];
    assert_eq!((last.event, last.until), (Event::Resolved, Some(at(5))));
    assert_eq!(last.notification_id, None);
}

#[test]
fn an_info_beside_a_silenced_warning_is_no_reason_to_notify() {
    let mut correlator = Correlator::default();
    correlator.incidents.set_silences(vec![silence(Matcher {
        device: Some("inlet-A1-1".to_owned()),
        ..Matcher::default()
    })]);
    correlator.observe(&hot("inlet-A1-1", Critical, 0), 1);
    correlator.observe(&hot("inlet-A1-2", Info, 0), 1);
    let records: Vec<_> = (1..50)
        .flat_map(|second| correlator.advance(second))
        .collect();
    assert!(
        records
            .iter()
            .all(|record| record.notification_id.is_none())
    );
    assert_eq!(records[0].alerts, 2);
}

fn silence(matcher: Matcher) -> Silence {
    Silence {
        id: "fb6020".to_owned(),
        matcher,
        from: at(0),
        until: at(50),
        reason: "patching".to_owned(),
        by: "ann".to_owned(),
    }
}

/// Returns the second of the first notification of a critical alert under a silence.
fn notified(matcher: Matcher) -> Option<u64> {
    let mut correlator = Correlator::default();
    correlator.incidents.set_silences(vec![silence(matcher)]);
    correlator.observe(&hot("inlet-A1-1", Critical, 0), 1);
    let is_notified = |second: &u64| {
        correlator
            .advance(*second)
            .iter()
            .any(|r| r.notification_id.is_some())
    };
    (1..100).find(is_notified)
}

#[test]
fn a_silence_covers_its_rule_and_ends_at_its_end() {
    let rule = |rule: &str| Matcher {
        rule: Some(rule.to_owned()),
        ..Matcher::default()
    };
    assert_eq!(notified(rule("high_temp")), Some(50));
    assert_eq!(notified(rule("low_temp")), Some(1));
}

#[test]
fn a_silence_of_everything_is_refused() {
    assert!(Matcher::default().is_empty());
    Matcher::default().compile().unwrap_err();
    assert_eq!(notified(Matcher::default()), Some(1));
}

#[test]
fn a_title_names_up_to_four_racks_and_counts_targets() {
    let title = |records: &[AlertRecord]| {
        let mut correlator = Correlator::default();
        correlator.step(records, 1);
        let changes = correlator.incidents.clone().advance(at(2_000));
        changes.records[0].title.clone()
    };
    let racks = |count: u32| {
        let device = |n| hot(&format!("inlet-A{n}-1"), Critical, 0);
        title(&(1..=count).map(device).collect::<Vec<_>>())
    };
    assert!(racks(4).ends_with(" in A1, A2, A3, A4"), "{}", racks(4));
    assert!(racks(5).ends_with(" in 5 racks"), "{}", racks(5));
    let mut correlator = Correlator::default();
    for name in ["bmc-1", "bmc-2"] {
        let record = absent(Subject::target(name), 0);
        let place = spot(hot("inlet-A1-1", Warning, 0).subject.as_id());
        correlator.incidents.observe(&record, place, at(1));
    }
    let records = correlator.advance(30);
    assert!(
        records[0].title.contains(", 2 targets"),
        "{}",
        records[0].title
    );
}

/// A limit that flaps for weeks must not fill the memory.
#[test]
fn an_incident_forgets_ended_alerts_once_it_has_twenty_thousand() {
    let mut correlator = Correlator::default();
    let lasting = hot("inlet-A1-2", Critical, 0);
    correlator.observe(&lasting, 0);
    for second in 1..20_000 {
        let flapping = hot("inlet-A1-1", Critical, second);
        correlator.observe(&flapping, second);
        correlator.observe(&resolved(&flapping, second), second);
    }
    let full = correlator.incidents.clone().advance(at(20_000));
    assert_eq!(
        (full.records[0].alerts, full.removed_members.len()),
        (20_000, 0)
    );
    correlator.observe(&hot("inlet-A1-3", Critical, 20_000), 20_000);
    let after = correlator.incidents.advance(at(20_000));
    assert_eq!(after.removed_members.len(), 19_999);
    assert_eq!((after.records[0].alerts, after.records[0].open), (2, 2));
}

#[test]
fn a_recovery_is_regrouped_after_the_trouble_that_it_leads_from() {
    let mut incidents = Incidents::new(TIMING);
    let drop = of_kind(&hot("inlet-A1-2", Warning, 0), AlertKind::Drop);
    let heat = hot("inlet-A1-1", Warning, 10);
    let alerts = [drop, heat].map(|record| {
        let place = spot(record.subject.as_id()).into();
        (record, place)
    });
    incidents.regroup(alerts.into(), LostIncidents::default(), at(20));
    assert_eq!(incidents.len(), 1);
}

#[test]
fn the_last_record_of_a_lost_incident_is_of_now() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", Critical, 0), 1);
    let mut last = correlator.advance(1).remove(0);
    last.left_ms = Some((60_000, 90_000));
    assert!(LostIncidents::default().is_empty());
    let lost = LostIncidents {
        incidents: [(last.id.clone(), Some(last))].into(),
        members: Vec::new(),
    };
    assert!(!lost.is_empty());
    let members = LostIncidents {
        members: vec![hot("inlet-A1-1", Critical, 0).id],
        ..LostIncidents::default()
    };
    assert!(!members.is_empty());
    let mut incidents = Incidents::new(TIMING);
    incidents.regroup(Vec::new(), lost, at(100));
    let changes = incidents.advance(at(100));
    assert!(!changes.is_empty());
    let ended = &changes.records[0];
    assert_eq!((ended.at, ended.until), (at(100), Some(at(100))));
    assert_eq!((ended.left_ms, ended.open), (None, 0));
}

#[test]
fn an_acknowledgement_of_the_very_moment_of_the_notification_counts() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", Critical, 0), 10);
    let id = correlator.advance(10)[0].id.clone();
    let ack = |second| Ack {
        by: "ann".to_owned(),
        at: at(second),
        note: String::new(),
    };
    assert!(
        !correlator.incidents.acknowledge(&id, ack(9)),
        "of one before"
    );
    assert!(correlator.incidents.acknowledge(&id, ack(10)));
}

#[test]
fn a_matcher_has_up_to_two_hundred_bytes_and_a_title_does_not_count_to_one() {
    let matcher = |length| Matcher {
        rack: Some("a".repeat(length)),
        ..Matcher::default()
    };
    matcher(200).compile().unwrap();
    matcher(201).compile().unwrap_err();
    let title = |sensors| {
        let mut missing = Missing::default();
        for _ in 0..sensors {
            missing.add(
                &spot(hot("inlet-A1-1", Warning, 0).subject.as_id()),
                Role::Inlet,
            );
        }
        let place = AlertPlace {
            missing: Some(missing),
            ..AlertPlace::default()
        };
        let mut incidents = Incidents::new(TIMING);
        incidents.observe(&absent(Subject::agent("h"), 0), place, at(1));
        incidents.advance(at(1)).records[0].title.clone()
    };
    assert!(title(2).contains("2 sensors"), "{}", title(2));
    assert!(!title(1).contains("sensors"), "{}", title(1));
}
