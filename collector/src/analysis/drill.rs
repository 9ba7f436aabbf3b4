//! Drills: simulated failures against the rules, over many seeds.
//!
//! `scenario` describes the simulation, [`run`] passes one seed of it through the engine, `tally` sums up many seeds. No
//! Redis and no clock, so a seed always gives the same result.

pub(crate) mod scenario;
pub(crate) mod tally;

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

use scenario::{Drill, DrillPlan};

/// Result of one seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DrillResult {
    /// Time from the start of the fault to its detection; none if there was no fault or no detection.
    pub delay: Option<Duration>,
    /// Types of all warnings and worse before the fault.
    pub false_alarms: Vec<AlertKind>,
    /// Number of incidents that were opened.
    pub incidents: usize,
    /// Fault-free time of all sensors together, in sensor-seconds.
    pub fault_free: f64,
}

/// Start of the simulated time. Results do not depend on it.
const START: u64 = 1_767_225_600_000;

/// Runs a drill with one seed.
///
/// # Errors
///
/// If the drill does not describe a valid scenario.
pub(crate) fn run(
    drill: &Drill,
    rules: &Arc<RuleSet>,
    seed: u64,
) -> Result<DrillResult, ScenarioError> {
    let plan = DrillPlan::new(drill, seed)?;
    let start = Timestamp::from_millis(START).unwrap_or_default();
    let end = start.plus(plan.length);
    let mut simulation = Simulation::new(drill, plan, rules, start);
    let mut at = start;
    while at < end {
        simulation.step(at);
        if simulation.result.delay.is_some() && !drill.to_the_end {
            break;
        }
        at = at.plus(drill.interval);
    }
    Ok(simulation.result)
}

/// A hall, the engine that evaluates its readings, and the result so far.
struct Simulation {
    plan: DrillPlan,
    /// Time at which the fault starts, if there is one.
    fault_at: Option<Timestamp>,
    hall: Hall,
    devices: BTreeMap<DeviceId, Description>,
    /// Devices that the hall reports as being removed.
    leaving: BTreeSet<DeviceId>,
    engine: Engine,
    incidents: Incidents,
    site: Site,
    result: DrillResult,
}

impl Simulation {
    fn new(drill: &Drill, plan: DrillPlan, rules: &Arc<RuleSet>, start: Timestamp) -> Self {
        let hall = Hall::new(&plan.scenario, start);
        let devices: BTreeMap<_, _> = hall
            .devices()
            .into_iter()
            .map(|(id, mut description)| {
                // One agent for each rack.
                description.agent = description.rack.clone().unwrap_or_default();
                description.interval = drill.interval;
                (id, description)
            })
            .collect();
        let mut engine = Engine::new(Arc::clone(rules));
        let described = devices
            .iter()
            .map(|(id, description)| describe(id, description, false));
        engine.step(described.collect::<Vec<_>>());
        Self {
            fault_at: plan.fault.map(|fault| start.plus(fault)),
            result: DrillResult {
                fault_free: plan.fault_free.as_secs_f64() * devices.len() as f64,
                ..DrillResult::default()
            },
            plan,
            hall,
            devices,
            leaving: BTreeSet::new(),
            engine,
            incidents: Incidents::new(IncidentTiming::default()),
            site: Site::default(),
        }
    }

    /// Reads all sensors at `at`, and evaluates the readings.
    fn step(&mut self, at: Timestamp) {
        let entry = StreamId {
            ms: at.millis(),
            seq: 0,
        };
        let readings = self.hall.read(at).into_iter();
        let readings = readings.map(|reading| Input::Reading {
            entry,
            by_agent: true,
            reading,
        });
        let leaving: BTreeSet<_> = self.hall.leaving().into_iter().collect();
        let changed = leaving.symmetric_difference(&self.leaving);
        let described = changed
            .filter_map(|id| Some(describe(id, self.devices.get(id)?, leaving.contains(id))));
        let mut inputs: Vec<_> = described.collect();
        inputs.extend(readings);
        self.leaving = leaving;
        for record in &self.engine.step(inputs).alerts {
            self.observe(record, at);
            let description = self.devices.get(record.subject.as_id());
            let spot = self.site.spot_of(record, description);
            self.incidents.observe(record, spot, at);
        }
        for record in self.incidents.advance(at).records {
            self.result.incidents += usize::from(record.event == Event::Opened);
        }
    }

    /// Counts a record as detection or as false alarm.
    fn observe(&mut self, record: &AlertRecord, at: Timestamp) {
        if record.state() != AlertState::Firing {
            return;
        }
        match self.fault_at.filter(|fault_at| at >= *fault_at) {
            Some(fault_at) => {
                let expected = self.plan.expect.contains(&record.kind())
                    && self.is_at_fault(record.subject.as_id());
                if expected && self.result.delay.is_none() {
                    self.result.delay = Some(at.since(fault_at));
                }
            }
            None if record.severity > Severity::Info => {
                self.result.false_alarms.push(record.kind());
            }
            None => {}
        }
    }

    /// Returns whether the device is where the fault is.
    fn is_at_fault(&self, device: &DeviceId) -> bool {
        self.plan
            .place
            .as_deref()
            .is_none_or(|place| device.as_str() == place || device.rack_part() == Some(place))
    }
}

fn describe(id: &DeviceId, description: &Description, leaving: bool) -> Input {
    let description = Description {
        leaving,
        ..description.clone()
    };
    Input::Describe(id.clone(), Some(Box::new(description)))
}
