//! A simulated hall with many faults: what the engine and the correlation make of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Effects, Input};
use rackwatch_core::incident::{IncidentTiming, Incidents};
use rackwatch_core::loss_ledger::ReportedSequence;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_core::site::Site;
use rackwatch_core::thermal::{Hall, Scenario};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Kelvin;
use rackwatch_core::wire;
use rackwatch_testing::assert_golden;

use super::{at, device};
use crate::trace::engine;

/// Fifteen minutes, then one thing after the other.
const SPEC: &str = "step:inlet-R1-1@15m/5m,stuck:inlet-R1-2@20m/4h,dropout:inlet-R2-1@25m/5m,\
    hot-spot:inlet-R2-2@40m/10m,cold-spot:inlet-R3-1@60m/10m,hang:R3@80m/10m,\
    cooler-trip:R2@120m/10m,cooling-loss@180m/10m,no-data@230m/10m,clock-jump:R1@260m/20m";
/// Duration of the simulation.
const LENGTH: Duration = Duration::from_secs(300 * 60);
/// Time between two readings of a sensor.
const INTERVAL: Duration = Duration::from_secs(10);

/// The results of a run, as lines.
#[derive(Default)]
struct Run {
    text: String,
    incidents: Incidents,
    site: Site,
    known: Vec<(DeviceId, Description)>,
}

impl Run {
    /// Writes the ten contract fields of each alert, the ids of incidents and the fields of losses.
    fn take(&mut self, effects: &Effects, now: Timestamp) {
        for record in &effects.alerts {
            let fields = wire::alert::encode(record);
            let fields: Vec<_> = fields[..10]
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            writeln!(self.text, "alert {}", fields.join(" ")).unwrap();
            let known = self
                .known
                .iter()
                .find(|(id, _)| id == record.subject.as_id());
            let spot = self.site.spot_of(record, known.map(|(_, known)| known));
            self.incidents.observe(record, spot, now);
        }
        for loss in &effects.losses {
            let fields = wire::loss::encode(loss);
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
            writeln!(self.text, "loss {}", fields.join(" ")).unwrap();
        }
        for record in self.incidents.advance(now).records {
            let (cause, name) = record.cause.parts();
            writeln!(
                self.text,
                "incident incident_id={} severity={} cause={cause} cause_name={name} first={} \
                 timestamp={} device_count={} alerts={} open={}",
                record.id,
                record.severity,
                record.first,
                record.at,
                record.device_count,
                record.alerts,
                record.open
            )
            .unwrap();
        }
    }
}

fn describe(id: &DeviceId, description: &Description, leaving: bool) -> Input {
    let description = Description {
        leaving,
        ..description.clone()
    };
    Input::Describe(id.clone(), Some(Box::new(description)))
}

/// Returns the sequence that an agent's entry with these readings reports; every hundredth tick ten readings are lost.
fn reported(tick: u64, readings: u64, now: Timestamp) -> Input {
    Input::Sequence(Box::new(ReportedSequence {
        agent: "host7".to_owned(),
        seq: format!("r1-{}", tick * readings + tick / 100 * 10)
            .parse()
            .unwrap(),
        readings,
        at: now,
        prev: None,
        gap: None,
        skew: Some(if (1000..1200).contains(&tick) {
            90_000
        } else {
            5
        }),
        arrived: now,
    }))
}

#[test]
fn a_hall_with_many_faults() {
    let plant = rackwatch_core::thermal::Plant::drawn(7, Kelvin(0.1));
    let scenario = Scenario::new(3, 9, 7, SPEC).unwrap().within(plant);
    let mut hall = Hall::new(&scenario, at(0));
    let mut engine = engine();
    let mut run = Run {
        incidents: Incidents::new(IncidentTiming::default()),
        known: hall.devices(),
        ..Run::default()
    };
    for (_, description) in &mut run.known {
        description.agent = "host7".to_owned();
        description.interval = INTERVAL;
    }
    let described: Vec<_> = run
        .known
        .iter()
        .map(|(id, description)| describe(id, description, false))
        .collect();
    engine.step(described);
    let mut leaving = BTreeSet::new();
    let (mut now, mut tick) = (at(0), 0);
    while now < at(0).plus(LENGTH) {
        tick += 1;
        let entry = StreamId {
            ms: now.millis(),
            seq: 0,
        };
        let readings = hall.read(now);
        let leave: BTreeSet<_> = hall.leaving().into_iter().collect();
        let changed = run
            .known
            .iter()
            .filter(|(id, _)| leave.contains(id) != leaving.contains(id));
        let mut inputs: Vec<_> = changed
            .map(|(id, description)| describe(id, description, leave.contains(id)))
            .collect();
        if readings.is_empty() {
            inputs.push(Input::Waited(INTERVAL));
        } else {
            inputs.push(reported(tick, run.known.len() as u64, now));
        }
        inputs.extend(readings.into_iter().map(|reading| Input::Reading {
            entry,
            by_agent: true,
            reading,
        }));
        // A plain client, whose sensor fails from the second hour on.
        let failed = now.since(at(0)) > Duration::from_secs(7200);
        let plain = Reading {
            device: device("inlet-Z9-1"),
            at: now,
            value: if failed {
                Err(Fault::GARBLED)
            } else {
                Ok(super::celsius(21.5))
            },
        };
        inputs.push(Input::Reading {
            entry,
            by_agent: false,
            reading: plain,
        });
        let effects = engine.step(inputs);
        run.take(&effects, now);
        leaving = leave;
        now = now.plus(INTERVAL);
    }
    assert_golden!("contract_simulated.txt", run.text);
}
