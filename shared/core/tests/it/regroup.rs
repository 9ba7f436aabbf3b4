//! Open alerts of lost incidents are grouped again.

use rackwatch_core::alert::{AlertRecord, Severity};
use rackwatch_core::incident::{Ack, Event, IncidentId, IncidentRecord, Incidents, LostIncidents};

use crate::incidents::{Correlator, TIMING, at, hot, spot};

/// Returns the newest record of each incident as lost.
fn lost(records: &[IncidentRecord]) -> LostIncidents {
    let newest = records.iter().cloned();
    LostIncidents {
        incidents: newest
            .map(|record| (record.id.clone(), Some(record)))
            .collect(),
        members: Vec::new(),
    }
}

fn regroup(correlator: &mut Correlator, alerts: &[AlertRecord], lost: LostIncidents, second: u64) {
    let alerts = alerts
        .iter()
        .map(|alert| (alert.clone(), spot(alert.subject.as_id()).into()));
    correlator
        .incidents
        .regroup(alerts.collect(), lost, at(second));
}

#[test]
fn the_incident_goes_on_under_its_id_with_the_next_number() {
    let mut correlator = Correlator::default();
    let alerts = [
        hot("inlet-A1-2", Severity::Critical, 1),
        hot("inlet-A1-1", Severity::Critical, 0),
    ];
    correlator.step(&alerts, 2);
    let before = correlator.incidents.clone().advance(at(2000));
    correlator.incidents = Incidents::new(TIMING);
    regroup(&mut correlator, &alerts, lost(&before.records), 2000);
    let records = correlator.advance(2000);
    assert_eq!(records.len(), 1, "{records:?}");
    let id = IncidentId::of(&alerts[0].id);
    assert_eq!(
        (&records[0].id, records[0].event, records[0].alerts),
        (&id, Event::Repeat, 2)
    );
    assert_eq!(records[0].notification_id, Some(format!("{id}-3")));
    // Nothing is grouped twice.
    regroup(&mut correlator, &alerts, LostIncidents::default(), 2001);
    assert_eq!(correlator.advance(2001), []);
}

#[test]
fn an_acknowledged_incident_is_not_notified_again() {
    let mut correlator = Correlator::default();
    let alert = hot("inlet-A1-1", Severity::Critical, 0);
    correlator.observe(&alert, 1);
    let records = correlator.advance(1);
    correlator.incidents = Incidents::new(TIMING);
    regroup(
        &mut correlator,
        std::slice::from_ref(&alert),
        lost(&records),
        100,
    );
    let ack = Ack {
        by: "ann".to_owned(),
        at: at(50),
        note: String::new(),
    };
    assert!(correlator.incidents.acknowledge(&records[0].id, ack));
    let records = correlator.advance(100);
    assert_eq!((records.len(), &records[0].notification_id), (1, &None));
    assert_eq!(records[0].acked_by.as_deref(), Some("ann"));
}

#[test]
fn a_lost_incident_without_open_alerts_ends_once() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", Severity::Critical, 0), 1);
    let records = correlator.advance(1);
    correlator.incidents = Incidents::new(TIMING);
    let members = vec![hot("inlet-A1-1", Severity::Critical, 0).id];
    let lost = LostIncidents {
        members: members.clone(),
        ..lost(&records)
    };
    regroup(&mut correlator, &[], lost, 100);
    let changes = correlator.incidents.advance(at(100));
    let ended: Vec<_> = changes
        .records
        .iter()
        .map(|record| (record.event, record.open))
        .collect();
    assert_eq!(ended, [(Event::Resolved, 0)]);
    assert_eq!(
        changes.records[0].notification_id,
        Some(format!("{}-2", records[0].id))
    );
    assert_eq!(changes.resolved, [records[0].id.clone()]);
    assert_eq!(changes.removed_members, members);
    assert!(correlator.incidents.advance(at(101)).is_empty());
}

#[test]
fn an_alert_near_a_good_incident_joins_it() {
    let mut correlator = Correlator::default();
    let first = hot("inlet-A1-1", Severity::Critical, 0);
    correlator.step(&[first], 1);
    let second = hot("inlet-A1-2", Severity::Critical, 10);
    regroup(&mut correlator, &[second], LostIncidents::default(), 20);
    assert_eq!(correlator.incidents.len(), 1);
    let records = correlator.advance(20);
    assert_eq!(
        (
            records[0].event,
            records[0].alerts,
            &records[0].notification_id
        ),
        (Event::Changed, 2, &None)
    );
}
