//! Incidents that grow, and incidents whose sensors fall silent: what of that is news.

use std::collections::BTreeSet;

use rackwatch_core::alert::{AlertKind, AlertRecord, Detail, Extras, Severity};
use rackwatch_core::device::Role;
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{Ack, AlertPlace, Event, IncidentRecord, Incidents, Missing};
use rackwatch_core::subject::Subject;
use rackwatch_core::units::Celsius;

use crate::incidents::{Correlator, TIMING, at, hot, resolved, spot};

const CRITICAL: Severity = Severity::Critical;

/// Returns the notifications of these seconds, with their times.
fn notified(correlator: &mut Correlator, seconds: std::ops::Range<u64>) -> Vec<(u64, Event)> {
    let step = |second| {
        let records = correlator.advance(second).into_iter();
        let sent = records.filter(|record| record.notification_id.is_some());
        sent.map(move |record| (second, record.event))
            .collect::<Vec<_>>()
    };
    seconds.flat_map(step).collect()
}

/// Returns a record about an agent that sends no data.
fn silent(agent: &str, severity: Severity, seconds: u64) -> AlertRecord {
    let subject = Subject::agent(agent);
    let like = hot("inlet-A1-1", severity, seconds);
    AlertRecord {
        id: rackwatch_core::alert::AlertId::of(&subject, "no_data", at(seconds)),
        subject,
        temperature: None,
        rule: "no_data".to_owned(),
        role: Role::Other,
        detail: Detail::new(AlertKind::NoData, Extras::default()),
        ..like
    }
}

/// Returns the sensors of an agent in these racks, ten in each.
fn missing(racks: &[&str]) -> AlertPlace {
    let mut missing = Missing::default();
    for rack in racks {
        for n in 0..10 {
            let device = format!("inlet-{rack}-{n}");
            let device = rackwatch_core::device::DeviceId::new(&device).unwrap();
            missing.add(&spot(&device), Role::Inlet);
        }
    }
    AlertPlace {
        missing: Some(missing),
        ..AlertPlace::default()
    }
}

#[test]
fn racks_that_become_critical_one_after_the_other_are_news_at_each_doubling() {
    let mut correlator = Correlator::default();
    let mut sent = Vec::new();
    for n in 0..9u64 {
        let device = format!("inlet-A{}-1", n + 1);
        correlator.observe(&hot(&device, CRITICAL, n * 30), n * 30);
        sent.extend(notified(&mut correlator, n * 30..(n + 1) * 30));
    }
    sent.extend(notified(&mut correlator, 270..700));
    let events: Vec<_> = sent.iter().map(|(_, event)| *event).collect();
    assert_eq!(events[0], Event::Opened);
    assert!(
        events[1..].iter().all(|event| *event == Event::Worse),
        "{sent:?}"
    );
    assert!((2..=4).contains(&sent.len()), "bounded in rate: {sent:?}");
    let gaps = sent.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.min() >= Some(120), "{sent:?}");
    // The last one knows of all nine racks.
    assert!(sent.last().unwrap().0 >= 240, "{sent:?}");
    assert_eq!(
        notified(&mut correlator, 700..1500),
        [],
        "and then it is quiet"
    );
}

#[test]
fn a_single_rack_that_becomes_critical_later_is_news_after_the_group_window() {
    let mut correlator = Correlator::default();
    for device in ["inlet-A1-1", "inlet-A2-1"] {
        correlator.observe(&hot(device, CRITICAL, 0), 0);
    }
    assert_eq!(notified(&mut correlator, 0..600), [(0, Event::Opened)]);
    correlator.observe(&hot("inlet-A3-1", CRITICAL, 600), 600);
    assert_eq!(notified(&mut correlator, 600..1700), [(600, Event::Worse)]);
}

#[test]
fn a_critical_rack_in_another_row_is_news_whether_acknowledged_or_not() {
    for is_acknowledged in [false, true] {
        let mut correlator = Correlator::default();
        for device in ["inlet-A1-1", "inlet-A2-1", "inlet-A3-1"] {
            correlator.observe(&hot(device, CRITICAL, 0), 0);
        }
        let opened: Vec<IncidentRecord> = correlator.advance(0);
        if is_acknowledged {
            let ack = Ack {
                by: "ada".to_owned(),
                at: at(10),
                note: String::new(),
            };
            assert!(correlator.incidents.acknowledge(&opened[0].id, ack));
        }
        notified(&mut correlator, 1..130);
        correlator.observe(&hot("inlet-B1-1", CRITICAL, 130), 130);
        assert_eq!(notified(&mut correlator, 130..200), [(130, Event::Worse)]);
    }
}

#[test]
fn warnings_and_silenced_racks_are_no_growth() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", CRITICAL, 0), 0);
    assert_eq!(notified(&mut correlator, 0..200), [(0, Event::Opened)]);
    for n in 2..9 {
        correlator.observe(&hot(&format!("inlet-A{n}-1"), Severity::Warning, 200), 200);
    }
    assert_eq!(notified(&mut correlator, 200..1500), []);
}

#[test]
fn growth_is_remembered_over_a_restart() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", CRITICAL, 0), 0);
    correlator.advance(0);
    correlator.restart();
    assert_eq!(
        notified(&mut correlator, 1..250),
        [],
        "the same rack is no news"
    );
    correlator.observe(&hot("inlet-A2-1", CRITICAL, 250), 250);
    assert_eq!(notified(&mut correlator, 250..500), [(250, Event::Worse)]);
}

#[test]
fn a_critical_rack_that_falls_silent_is_news_once_and_repeats_once_a_day() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", CRITICAL, 0), 0);
    assert_eq!(notified(&mut correlator, 0..300), [(0, Event::Opened)]);
    let absent: BTreeSet<_> = [hot("inlet-A1-1", CRITICAL, 0).subject].into();
    correlator
        .incidents
        .set_absent(|sensor| absent.contains(sensor));
    let records = correlator.advance(300);
    assert_eq!((records[0].event, records[0].stale), (Event::Worse, 1));
    assert_eq!(records[0].severity, CRITICAL, "what is unknown is not over");
    let last = records[0].peak.map(Celsius::degrees);
    assert_eq!(last, Some(33.0), "the last value, where there is no other");
    assert!(
        records[0].title.ends_with("no data any more"),
        "{}",
        records[0].title
    );
    assert_eq!(
        notified(&mut correlator, 301..80_000),
        [],
        "no repeat every half hour"
    );
    let day = notified(&mut correlator, 80_000..90_000);
    assert_eq!(day, [(86_700, Event::Repeat)]);
    // It is heard again, and is well.
    correlator.incidents.set_absent(|_| false);
    let heard = correlator.advance(90_000);
    assert_eq!((heard[0].event, heard[0].stale), (Event::Repeat, 0));
    correlator.observe(&resolved(&hot("inlet-A1-1", CRITICAL, 0), 90_010), 90_010);
    assert_eq!(
        notified(&mut correlator, 90_010..90_020),
        [(90_010, Event::Resolved)]
    );
}

#[test]
fn the_absence_of_an_agent_has_the_racks_rooms_and_roles_of_its_sensors() {
    let mut incidents = Incidents::new(TIMING);
    let racks: Vec<String> = (0..250).map(|n| format!("A{n}")).collect();
    let racks: Vec<&str> = racks.iter().map(String::as_str).collect();
    let record = silent("host7", Severity::Warning, 0);
    incidents.observe(&record, missing(&racks), at(0));
    let records = incidents.advance(at(20)).records;
    let [record] = &records[..] else {
        panic!("one incident: {records:?}");
    };
    assert_eq!(record.device_count, 2500);
    assert_eq!(record.racks.len(), IncidentRecord::RACKS, "bounded");
    assert_eq!(record.rooms, ["hall"]);
    assert_eq!(record.roles, [Role::Inlet]);
    assert!(
        record
            .title
            .contains("agent host7, 2500 sensors in 250 racks"),
        "{}",
        record.title
    );
}

#[test]
fn agents_that_fall_silent_in_one_room_are_one_incident() {
    let mut incidents = Incidents::new(TIMING);
    for (n, rack) in (0u64..).zip(["A1", "A2", "B1"]) {
        let record = silent(&format!("host{n}"), Severity::Warning, n);
        incidents.observe(&record, missing(&[rack]), at(n));
    }
    let records = incidents.advance(at(20)).records;
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(
        records[0].title.contains("3 agents with 30 sensors"),
        "{}",
        records[0].title
    );
    // One in another room is another incident.
    let record = silent("host9", Severity::Warning, 20);
    incidents.observe(&record, missing(&["C1"]), at(20));
    assert_eq!(incidents.len(), 2);
}

#[test]
fn an_agent_without_data_in_the_rack_of_another_joins_it_however_late() {
    let mut incidents = Incidents::new(TIMING);
    let mut observe = |agent: &str, racks: &[&str], seconds| {
        let record = silent(agent, Severity::Warning, seconds);
        incidents.observe(&record, missing(racks), at(seconds));
        incidents.len()
    };
    assert_eq!(observe("host1", &["A1"], 0), 1);
    assert_eq!(observe("host2", &["A1"], 1_000), 1);
    assert_eq!(observe("host3", &["A2"], 2_000), 2, "another rack");
    assert_eq!(observe("host4", &[], 3_000), 3, "its place is unknown");
}

/// Of two incidents in one room, each with an agent in one row.
#[test]
fn an_agent_without_data_joins_the_incident_of_its_row() {
    let mut incidents = Incidents::new(TIMING);
    let racks = [
        ("A1", 0),
        ("B1", 400),
        ("A1", 401),
        ("B1", 402),
        ("A2", 403),
        ("B2", 404),
    ];
    for (n, (rack, seconds)) in racks.into_iter().enumerate() {
        let record = silent(&format!("host{n}"), Severity::Warning, seconds);
        incidents.observe(&record, missing(&[rack]), at(seconds));
    }
    let records = incidents.advance(at(500)).records;
    let racks: Vec<_> = records.iter().map(|record| &record.racks).collect();
    assert_eq!(racks, [&["A1", "A2"], &["B1", "B2"]]);
}

#[test]
fn an_agent_of_hot_racks_that_falls_silent_joins_their_incident() {
    let joined = |racks: &[&str]| {
        let mut incidents = Incidents::new(TIMING);
        let hot = hot("inlet-A1-1", CRITICAL, 0);
        incidents.observe(&hot, spot(hot.subject.as_id()), at(0));
        incidents.observe(
            &silent("host7", Severity::Warning, 60),
            missing(racks),
            at(60),
        );
        incidents.len() == 1
    };
    assert!(joined(&["A1"]));
    assert!(!joined(&[]), "the places of its sensors are unknown");
    assert!(
        !joined(&["A1", "A2"]),
        "there is more than heat behind this"
    );
}

#[test]
fn missing_sensors_are_counted_and_their_places_bounded() {
    let mut missing = Missing::default();
    for n in 0..Missing::NAMES + 500 {
        let device = rackwatch_core::device::DeviceId::new(&format!("inlet-A{n}-1")).unwrap();
        missing.add(&spot(&device), Role::Inlet);
    }
    let nowhere = rackwatch_core::site::Spot::default();
    missing.add(&nowhere, Role::Cpu);
    assert_eq!(missing.sensors, Missing::NAMES + 501);
    assert_eq!(missing.racks.len(), Missing::NAMES);
    assert_eq!(
        missing.rows.iter().collect::<Vec<_>>(),
        ["A"],
        "no empty name"
    );
    assert_eq!(missing.roles.len(), 2);
}

#[test]
fn stale_alerts_are_in_records_only_where_there_are_some() {
    let mut correlator = Correlator::default();
    for device in ["inlet-A1-1", "inlet-A2-1"] {
        correlator.observe(&hot(device, CRITICAL, 0), 0);
    }
    let live = correlator.advance(0).remove(0);
    let json = serde_json::to_value(&live).unwrap();
    assert_eq!(json.get("stale"), None);
    let absent = hot("inlet-A1-1", CRITICAL, 0).subject;
    correlator.incidents.set_absent(|sensor| *sensor == absent);
    let blind = correlator.advance(10).remove(0);
    assert_eq!(serde_json::to_value(&blind).unwrap()["stale"], 1);
    assert!(
        !blind.title.contains("no data any more"),
        "one still sends: {}",
        blind.title
    );
    for record in [live, blind] {
        let fields = rackwatch_core::wire::incident::encode(&record).into_iter();
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes()));
        let decoded = rackwatch_core::wire::incident::decode(&fields.collect()).unwrap();
        assert_eq!(decoded, record);
    }
}

#[test]
fn an_incident_with_a_live_sensor_repeats_as_usual() {
    let mut correlator = Correlator::default();
    for device in ["inlet-A1-1", "inlet-A2-1"] {
        correlator.observe(&hot(device, CRITICAL, 0), 0);
    }
    correlator.advance(0);
    let absent = hot("inlet-A1-1", CRITICAL, 0).subject;
    correlator.incidents.set_absent(|sensor| *sensor == absent);
    // That it is lost from sight is news two minutes after the first notification.
    let sent = notified(&mut correlator, 1..2_000);
    assert_eq!(sent, [(120, Event::Worse), (1_920, Event::Repeat)]);
}

#[test]
fn only_sensors_with_open_alerts_may_be_stale() {
    let mut correlator = Correlator::default();
    let (first, second) = (
        hot("inlet-A1-1", CRITICAL, 0),
        hot("inlet-A1-2", CRITICAL, 0),
    );
    correlator.observe(&first, 0);
    correlator.observe(&second, 0);
    correlator.observe(&resolved(&second, 1), 1);
    correlator.incidents.observe(
        &silent("host7", Severity::Warning, 1),
        missing(&["A1"]),
        at(1),
    );
    let sensors = correlator.incidents.open_sensors();
    assert_eq!(sensors, [first.subject.as_id().clone()]);
    correlator.incidents.set_absent(|_| true);
    let record = correlator.advance(2).remove(0);
    assert_eq!(
        (record.open, record.stale),
        (2, 1),
        "the absence itself is not stale"
    );
    assert!(
        record.title.ends_with("no data any more"),
        "{}",
        record.title
    );
}

#[test]
fn the_absence_of_a_sensor_is_not_stale() {
    let mut correlator = Correlator::default();
    let record = AlertRecord {
        temperature: None,
        rule: "no_data".to_owned(),
        detail: Detail::new(AlertKind::NoData, Extras::default()),
        ..hot("inlet-A1-1", Severity::Warning, 0)
    };
    correlator.observe(&record, 0);
    assert_eq!(correlator.advance(20)[0].stale, 0);
    correlator.incidents.set_absent(|_| true);
    assert_eq!(correlator.advance(21), [], "it is what the alert is about");
}

#[test]
fn growth_counts_from_the_end_of_the_pause_and_of_the_group_window() {
    let at_second = |second: u64| {
        let mut correlator = Correlator::default();
        for device in ["inlet-A1-1", "inlet-A2-1", "inlet-A3-1"] {
            correlator.observe(&hot(device, CRITICAL, 0), 0);
        }
        correlator.advance(0);
        // Not a doubling, and in the same row.
        correlator.observe(&hot("inlet-A4-1", CRITICAL, second), second);
        notified(&mut correlator, second..second + 400)
    };
    assert_eq!(at_second(200), [(300, Event::Worse)]);
    assert_eq!(at_second(299), [(300, Event::Worse)]);
    assert_eq!(at_second(300), [(300, Event::Worse)]);
    assert_eq!(at_second(301), [(301, Event::Worse)]);
}

/// A rack that became critical under a silence.
#[test]
fn growth_under_a_silence_is_news_when_the_silence_ends() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", CRITICAL, 0), 0);
    assert_eq!(notified(&mut correlator, 0..200), [(0, Event::Opened)]);
    correlator.incidents.set_silences(vec![silence_of("A2")]);
    correlator.observe(&hot("inlet-A2-1", CRITICAL, 200), 200);
    assert_eq!(notified(&mut correlator, 200..400), []);
    correlator.incidents.set_silences(Vec::new());
    assert_eq!(notified(&mut correlator, 400..500), [(400, Event::Worse)]);
}

fn silence_of(rack: &str) -> Silence {
    Silence {
        id: "s1".to_owned(),
        matcher: Matcher {
            rack: Some(rack.to_owned()),
            ..Matcher::default()
        },
        from: at(0),
        until: at(100_000),
        reason: "patching".to_owned(),
        by: "ann".to_owned(),
    }
}

/// Its record was old when it was written, and it lasts.
#[test]
fn a_historical_alert_that_lasts_is_growth_too() {
    let mut correlator = Correlator::default();
    correlator.observe(&hot("inlet-A1-1", CRITICAL, 0), 0);
    assert_eq!(notified(&mut correlator, 0..200), [(0, Event::Opened)]);
    let late = AlertRecord {
        historical: true,
        ..hot("inlet-A2-1", CRITICAL, 200)
    };
    correlator.observe(&late, 200);
    assert_eq!(notified(&mut correlator, 200..400), [(260, Event::Worse)]);
}

/// Elsewhere the absence would join without a word.
#[test]
fn an_agent_of_a_rack_with_warnings_alone_has_an_incident_of_its_own() {
    let mut incidents = Incidents::new(TIMING);
    for (device, severity) in [("inlet-A1-1", CRITICAL), ("inlet-A2-1", Severity::Warning)] {
        let hot = hot(device, severity, 0);
        incidents.observe(&hot, spot(hot.subject.as_id()), at(0));
    }
    incidents.observe(
        &silent("host7", Severity::Warning, 60),
        missing(&["A2"]),
        at(60),
    );
    assert_eq!(incidents.len(), 2);
}

/// The last value of a sensor that sends no data is not how hot it is now.
#[test]
fn a_record_shows_the_hottest_live_value_and_how_much_is_without_data() {
    let mut correlator = Correlator::default();
    let hotter = AlertRecord {
        temperature: Some(Celsius::new(39.0).unwrap()),
        ..hot("inlet-A1-1", CRITICAL, 0)
    };
    correlator.observe(&hotter, 0);
    correlator.observe(&hot("inlet-A2-1", CRITICAL, 0), 0);
    correlator.advance(0);
    let absent = hotter.subject.clone();
    correlator.incidents.set_absent(|sensor| *sensor == absent);
    let record = correlator.advance(10).remove(0);
    assert_eq!(record.peak.map(Celsius::degrees), Some(33.0));
    assert!(
        record.title.ends_with("1 alert without data"),
        "{}",
        record.title
    );
}
