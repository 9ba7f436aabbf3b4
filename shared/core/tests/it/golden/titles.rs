//! Titles of incidents, as people read them.

use std::fmt::Write as _;

use rackwatch_core::alert::{
    AlertId, AlertKind, AlertRecord, AlertState, Detail, Extras, Severity,
};
use rackwatch_core::incident::{IncidentTiming, Incidents};
use rackwatch_core::site::Spot;
use rackwatch_core::subject::Subject;
use rackwatch_testing::assert_golden;

use super::{alert, at, device};

fn record(kind: AlertKind, id: &str) -> AlertRecord {
    let subject = Subject::from(device(id));
    AlertRecord {
        id: AlertId::of(&subject, kind.name(), at(0)),
        subject,
        ..alert(kind, AlertState::Firing, Severity::Critical)
    }
}

fn spot(rack: &str) -> Spot {
    Spot {
        rack: rack.to_owned(),
        row: rack.chars().take(1).collect(),
        room: "hall-1".to_owned(),
        coolers: Vec::new(),
    }
}

/// Returns title and cause of the incidents that these alerts open.
fn title(records: &[AlertRecord]) -> String {
    let mut incidents = Incidents::new(IncidentTiming::default());
    for record in records {
        let rack = record.subject.as_id().rack_part().unwrap_or_default();
        incidents.observe(record, spot(rack), at(0));
    }
    let records = incidents.advance(at(60)).records;
    let titles = records.iter().map(|record| {
        let (cause, name) = record.cause.parts();
        format!("{} [{cause} {name}]", record.title)
    });
    titles.collect::<Vec<_>>().join("; ")
}

#[test]
fn titles_of_incidents() {
    let mut text = String::new();
    let places: [(&str, &[&str]); 6] = [
        ("one sensor", &["inlet-B07-1"]),
        ("a rack", &["inlet-B07-1", "inlet-B07-2"]),
        ("a row", &["inlet-B07-1", "inlet-B08-1"]),
        (
            "a room",
            &[
                "inlet-A1-1",
                "inlet-B1-1",
                "inlet-C1-1",
                "inlet-D1-1",
                "inlet-E1-1",
            ],
        ),
        ("an agent", &["agent:host7"]),
        ("a target", &["target:bmc-7"]),
    ];
    for kind in AlertKind::ALL {
        for (place, devices) in places {
            let records: Vec<_> = devices.iter().map(|id| record(kind, id)).collect();
            writeln!(text, "{kind}, {place}: {}", title(&records)).unwrap();
        }
        let below = AlertRecord {
            detail: Detail::new(
                kind,
                Extras {
                    change: Some(-3.0),
                    window: Some(std::time::Duration::from_secs(60)),
                    ..Extras::default()
                },
            ),
            ..record(kind, "inlet-B07-1")
        };
        writeln!(text, "{kind}, downwards: {}", title(&[below])).unwrap();
    }
    let agents = ["agent:host7", "agent:host8"].map(|id| record(AlertKind::NoData, id));
    writeln!(text, "two agents: {}", title(&agents)).unwrap();
    assert_golden!("words_titles.txt", text);
}
