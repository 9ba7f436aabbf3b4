//! Drills: simulated failures against the rules, over many seeds.
//!
//! `scenario` says what is played, `run` plays one seed of it through the engine, `tally` counts what
//! came of many. No Redis, no clock: a seed always comes to the same.

pub mod scenario;
pub mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, AlertRecord, AlertState, Severity};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::incident::{Event, IncidentTiming, Incidents};
use rackwatch_core::rules::RuleSet;
use rackwatch_core::site::Site;
use rackwatch_core::thermal::{Hall, ScenarioError};
use rackwatch_core::time::{StreamId, Timestamp};

use scenario::{Drill, Play};

/// What came of one seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Played {
    /// How long after the fault began it was found; none where it was not, or there was none.
    pub found: Option<Duration>,
    /// Warnings and worse that nothing was the reason for, by kind.
    pub false_alarms: Vec<AlertKind>,
    /// Incidents that people were told of.
    pub incidents: usize,
    /// How often people were told that one is there, or has become worse.
    pub calls: usize,
    /// How long all sensors together were watched while nothing was wrong, in sensor-seconds.
    pub quiet: f64,
}

/// Where the simulated time begins: any would do.
const START: u64 = 1_767_225_600_000;

/// Plays one seed.
///
/// # Errors
///
/// When the drill makes no hall.
pub fn run(drill: &Drill, rules: &Arc<RuleSet>, seed: u64) -> Result<Played, ScenarioError> {
    let play = Play::of(drill, seed)?;
    let start = Timestamp::from_millis(START).unwrap_or_default();
    let mut hall = Hall::new(&play.scenario, start);
    let mut engine = Engine::new(Arc::clone(rules));
    let mut incidents = Incidents::new(IncidentTiming::default());
    let site = Site::default();
    let known: BTreeMap<_, _> = hall
        .devices()
        .into_iter()
        .map(|(id, mut description)| {
            // A host in each rack.
            description.agent = description.rack.clone().unwrap_or_default();
            description.interval = drill.interval;
            (id, description)
        })
        .collect();
    let count = known.len();
    let described = known
        .iter()
        .map(|(id, description)| describe(id, description, false));
    engine.step(described.collect::<Vec<_>>());
    let mut leaving: BTreeSet<DeviceId> = BTreeSet::new();
    let mut played = Played {
        quiet: play.quiet.as_secs_f64() * count as f64,
        ..Played::default()
    };
    let mut at = start;
    let end = start.plus(play.length);
    let began = play.fault.map(|fault| start.plus(fault));
    while at < end {
        let entry = StreamId {
            ms: at.millis(),
            seq: 0,
        };
        let readings = hall.read(at).into_iter().map(|reading| Input::Reading {
            entry,
            by_agent: true,
            reading,
        });
        let leave: BTreeSet<_> = hall.leaving().into_iter().collect();
        let changed = leave.symmetric_difference(&leaving);
        let told = changed.filter_map(|id| Some(describe(id, known.get(id)?, leave.contains(id))));
        let mut inputs: Vec<_> = told.collect();
        inputs.extend(readings);
        let effects = engine.step(inputs);
        leaving = leave;
        for record in &effects.alerts {
            played.take(&play, record, began, at);
            let spot = site.spot_of(record, known.get(record.subject.as_id()));
            incidents.observe(record, spot, at);
        }
        for record in incidents.advance(at).records {
            played.incidents += usize::from(record.event == Event::Opened);
            let calls = matches!(record.event, Event::Opened | Event::Worse);
            played.calls += usize::from(calls);
        }
        if played.found.is_some() && !drill.to_the_end {
            break;
        }
        at = at.plus(drill.interval);
    }
    Ok(played)
}

fn describe(id: &DeviceId, description: &Description, leaving: bool) -> Input {
    let description = Description {
        leaving,
        ..description.clone()
    };
    Input::Describe(id.clone(), Some(Box::new(description)))
}

impl Played {
    fn take(&mut self, play: &Play, record: &AlertRecord, began: Option<Timestamp>, at: Timestamp) {
        if record.state() != AlertState::Firing {
            return;
        }
        match began.filter(|began| at >= *began) {
            Some(began) => {
                let expected = play.expect.contains(&record.kind());
                if expected && self.found.is_none() && is_meant(play, record.subject.as_id()) {
                    self.found = Some(at.since(began));
                }
            }
            None if record.severity > Severity::Info => self.false_alarms.push(record.kind()),
            None => {}
        }
    }
}

/// Whether the fault is where the device is.
fn is_meant(play: &Play, device: &DeviceId) -> bool {
    play.at
        .as_deref()
        .is_none_or(|at| device.as_str() == at || device.rack_part() == Some(at))
}
