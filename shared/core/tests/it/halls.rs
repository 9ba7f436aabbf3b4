//! Simulated halls, from sensors to notifications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::incident::{Event, IncidentRecord, IncidentTiming, Incidents};
use rackwatch_core::reading::Reading;
use rackwatch_core::rules::RuleSet;
use rackwatch_core::site::Site;
use rackwatch_core::thermal::{Hall, Scenario};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;

const START: u64 = 1_800_000_000_000;

/// An engine, with the incidents of its alerts.
struct Watch {
    engine: Engine,
    incidents: Incidents,
    known: BTreeMap<DeviceId, Description>,
    alerts: Vec<AlertRecord>,
    notifications: Vec<IncidentRecord>,
}

impl Watch {
    fn new(devices: Vec<(DeviceId, Description)>) -> Self {
        let mut engine = Engine::new(Arc::new(RuleSet::with_defaults(&[]).unwrap()));
        let describe = |(id, known): &(DeviceId, Description)| {
            Input::Describe(id.clone(), Some(Box::new(known.clone())))
        };
        engine.step(devices.iter().map(describe).collect::<Vec<_>>());
        Self {
            engine,
            incidents: Incidents::new(IncidentTiming::default()),
            known: devices.into_iter().collect(),
            alerts: Vec::new(),
            notifications: Vec::new(),
        }
    }

    fn step(&mut self, at: Timestamp, mut inputs: Vec<Input>, readings: Vec<Reading>) {
        let entry = StreamId {
            ms: at.millis(),
            seq: 0,
        };
        if readings.is_empty() {
            inputs.push(Input::Waited(Duration::from_secs(1)));
        }
        inputs.extend(readings.into_iter().map(|reading| Input::Reading {
            entry,
            by_agent: true,
            reading,
        }));
        let alerts = self.engine.step(inputs).alerts;
        for record in &alerts {
            let spot = Site::default().spot_of(record, self.known.get(record.subject.as_id()));
            self.incidents.observe(record, spot, at);
        }
        self.alerts.extend(alerts);
        let records = self.incidents.advance(at).records;
        let notifications = records
            .into_iter()
            .filter(|record| record.notification_id.is_some());
        self.notifications.extend(notifications);
    }

    /// Plays a scenario in two racks of four sensors, with a host in each.
    fn hall(spec: &str, length: Duration, silence: Option<Matcher>) -> Self {
        let start = Timestamp::from_millis(START).unwrap();
        let scenario = Scenario::new(2, 8, 3, spec).unwrap();
        let mut hall = Hall::new(&scenario, start);
        let devices = hall.devices().into_iter().map(|(id, mut known)| {
            known.agent = known.rack.clone().unwrap();
            (id, known)
        });
        let mut watch = Self::new(devices.collect());
        watch
            .incidents
            .set_silences(Vec::from_iter(silence.map(|matcher| Silence {
                id: "s1".to_owned(),
                matcher,
                from: start,
                until: start.plus(2 * length),
                reason: "patching".to_owned(),
                by: "ann".to_owned(),
            })));
        let mut leaving: BTreeSet<DeviceId> = BTreeSet::new();
        for second in 0..length.as_secs() {
            let at = start.plus(Duration::from_secs(second));
            let readings = hall.read(at);
            let leave: BTreeSet<_> = hall.leaving().into_iter().collect();
            let changed = leave.symmetric_difference(&leaving);
            let descriptions = changed.map(|id| {
                let known = Description {
                    leaving: leave.contains(id),
                    ..watch.known[id].clone()
                };
                Input::Describe(id.clone(), Some(Box::new(known)))
            });
            let descriptions = descriptions.collect();
            leaving = leave;
            watch.step(at, descriptions, readings);
        }
        watch
    }
}

fn rack(name: &str) -> Matcher {
    Matcher {
        rack: Some(name.to_owned()),
        ..Matcher::default()
    }
}

#[test]
fn a_value_that_flaps_at_the_limit_for_an_hour_notifies_twice() {
    let id = DeviceId::new("inlet-R1-1").unwrap();
    let known = Description {
        rack: Some("R1".into()),
        role: rackwatch_core::device::Role::Inlet,
        agent: "node1".into(),
        ..Description::default()
    };
    let mut watch = Watch::new(vec![(id.clone(), known)]);
    for second in 0..7200_u64 {
        let at = Timestamp::from_millis(START + second * 1000).unwrap();
        // A minute above, a minute well below; and steady in the second hour.
        let hot = second < 3600 && second / 60 % 2 == 0;
        let value = Ok(Celsius::new(if hot { 28.4 } else { 27.0 }).unwrap());
        let device = id.clone();
        watch.step(at, Vec::new(), vec![Reading { device, at, value }]);
    }
    let of_rule = watch
        .alerts
        .iter()
        .filter(|r| r.kind() == AlertKind::HighTemp);
    let states: Vec<_> = of_rule.map(AlertRecord::state).collect();
    assert_eq!(states.last(), Some(&AlertState::Resolved));
    // Within the hour three at most: fired, resolved, and fired again for good.
    assert!(states.len() <= 4, "{states:?}");
    let opened = watch
        .notifications
        .iter()
        .filter(|r| r.event == Event::Opened)
        .count();
    assert!(
        opened == 1 && watch.notifications.len() == 2,
        "{:?}",
        watch.notifications
    );
    let in_the_hour = |at: Timestamp| at.millis() < START + 3_600_000;
    assert!(watch.alerts.iter().filter(|r| in_the_hour(r.at)).count() <= 3);
    assert!(
        watch
            .notifications
            .iter()
            .filter(|r| in_the_hour(r.at))
            .count()
            <= 2
    );
}

#[test]
fn an_agent_without_data_for_a_while_is_one_alert_and_one_resolution() {
    let watch = Watch::hall("no-data:R1@5m/90s", Duration::from_mins(10), None);
    let of = |state| {
        let of = watch.alerts.iter().filter(|record| record.state() == state);
        of.map(|r| (r.kind(), r.subject.as_str(), r.rack.as_str()))
            .collect::<Vec<_>>()
    };
    let silent = (AlertKind::NoData, "agent:R1", "R1");
    assert_eq!(of(AlertState::Firing), [silent]);
    assert_eq!(of(AlertState::Resolved), [silent]);
    let events: Vec<_> = watch
        .notifications
        .iter()
        .map(|record| record.event)
        .collect();
    assert_eq!(events, [Event::Opened]);
    assert_eq!(watch.incidents.len(), 1, "resolved only after ten minutes");
}

#[test]
fn a_rack_rebooted_under_a_silence_causes_no_notification() {
    for spec in ["reboot:R1@5m/10m", "no-data:R1@5m/10m"] {
        let length = Duration::from_mins(25);
        let watch = Watch::hall(spec, length, Some(rack("R1")));
        assert!(!watch.alerts.is_empty(), "{spec}: it is recorded");
        assert!(
            watch.notifications.is_empty(),
            "{spec}: {:?}",
            watch.notifications
        );
        // A silence of another rack does not cover this one.
        let other = Watch::hall("no-data:R1@5m/10m", length, Some(rack("R2")));
        assert!(!other.notifications.is_empty());
    }
}

#[test]
fn lost_cooling_is_one_incident_with_one_notification_and_one_of_its_growth() {
    let watch = Watch::hall("cooling-loss@5m/20m", Duration::from_mins(20), None);
    let events: Vec<_> = watch
        .notifications
        .iter()
        .map(|record| record.event)
        .collect();
    assert_eq!(events, [Event::Opened, Event::Worse]);
    assert!(watch.alerts.len() > 20, "{}", watch.alerts.len());
    assert!(
        watch.notifications[0]
            .title
            .starts_with("cooling is failing: room "),
        "{:?}",
        watch.notifications[0]
    );
}
