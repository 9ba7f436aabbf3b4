//! Sensor faults: sensors without data or with implausible readings.

use std::time::Duration;

use rackwatch_core::alert::AlertKind;
use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;

use super::{Picture, Seen, Trouble};
use crate::incidents::episodes;

/// Without a reading for longer than this, or three of its intervals, a number is old.
const STALE: Duration = Duration::from_mins(1);

impl Picture {
    /// Returns sensors without data or with implausible readings, the gravest first.
    pub fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let mut troubles: Vec<Trouble> = self
            .devices
            .iter()
            .filter_map(|(id, seen)| {
                let what = self.trouble_of(id, seen, now)?;
                let device = self.row(id, seen);
                Some(Trouble { what, device })
            })
            .collect();
        // Agents and targets have alerts, but are not among the devices.
        let unknown = Seen::default();
        let others = self
            .open
            .keys()
            .filter(|id| !self.devices.contains_key(*id));
        troubles.extend(others.map(|id| Trouble {
            what: "sends no data, or does not answer".to_owned(),
            device: self.row(id, &unknown),
        }));
        troubles.sort_by(|a, b| {
            let rank = |t: &Trouble| std::cmp::Reverse(t.device.now.severity);
            (rank(a), &a.device.id).cmp(&(rank(b), &b.device.id))
        });
        troubles
    }

    fn trouble_of(&self, id: &DeviceId, seen: &Seen, now: Timestamp) -> Option<String> {
        let rules = self.open.get(id);
        let fires = |kind: AlertKind| {
            rules.is_some_and(|rules| rules.values().any(|open| open.kind == kind))
        };
        if let Some(fault) = &seen.fault {
            return Some(if seen.has_read || fires(AlertKind::SensorFault) {
                format!("cannot be read: {fault}")
            } else {
                format!("absent: {fault}")
            });
        }
        // The last kinds are the gravest: a sensor without data need not be compared with others.
        let mut symptoms = AlertKind::ALL.into_iter().rev().filter(|kind| fires(*kind));
        if let Some(symptom) = symptoms.find_map(|kind| kind.info().symptom) {
            return Some(symptom.to_owned());
        }
        if seen.known.leaving {
            return None;
        }
        match seen.at {
            None => return Some("not read since this page was opened".to_owned()),
            Some(at) => {
                let patience = STALE.max(seen.known.interval * 3);
                if now.since(at) > patience {
                    return Some("its last reading is old".to_owned());
                }
            }
        }
        let board = episodes::disagrees(seen.known.verdict, self.severity(id))?;
        Some(format!(
            "its board reports {}, the rules do not",
            board.name()
        ))
    }
}
