//! Sensor faults: sensors without data or with implausible readings.

use rackwatch_core::alert::AlertKind;
use rackwatch_core::device::{DataState, DeviceId};

use super::rows::SensorFault;
use super::{KnownDevice, ReadModel};
use crate::incidents::episodes;

impl ReadModel {
    /// Returns the sensors with faults, the most severe first.
    pub(crate) fn faults(&self) -> Vec<SensorFault> {
        let mut faults: Vec<SensorFault> = self
            .devices
            .iter()
            .filter_map(|(id, device)| {
                let problem = self.problem_of(id, device)?;
                let device = self.row(id, device);
                Some(SensorFault { problem, device })
            })
            .collect();
        // Agents and targets have alerts, but are not among the devices.
        let unknown = KnownDevice::default();
        let others = self
            .open
            .keys()
            .filter(|id| !self.devices.contains_key(*id));
        faults.extend(others.map(|id| SensorFault {
            problem: "sends no data, or does not respond".to_owned(),
            device: self.row(id, &unknown),
        }));
        faults.sort_by(|a, b| {
            let rank = |fault: &SensorFault| std::cmp::Reverse(fault.device.now.severity);
            (rank(a), &a.device.id).cmp(&(rank(b), &b.device.id))
        });
        faults
    }

    /// Describes the fault of a sensor, if it has one.
    fn problem_of(&self, id: &DeviceId, device: &KnownDevice) -> Option<String> {
        let rules = self.open.get(id);
        let fires = |kind: AlertKind| {
            rules.is_some_and(|rules| rules.values().any(|open| open.kind == kind))
        };
        if let Some(fault) = device
            .fault
            .as_ref()
            .filter(|_| device.state == DataState::Faulty)
        {
            return Some(if device.has_read || fires(AlertKind::SensorFault) {
                format!("read failure: {fault}")
            } else {
                format!("absent: {fault}")
            });
        }
        // Later kinds are more severe: a sensor without data need not be compared with others.
        let mut symptoms = AlertKind::ALL.into_iter().rev().filter(|kind| fires(*kind));
        if let Some(symptom) = symptoms.find_map(|kind| kind.info().symptom) {
            return Some(symptom.to_owned());
        }
        match device.state {
            DataState::Withdrawn => return None,
            DataState::Unknown => return Some("no reading since the page was opened".to_owned()),
            DataState::Stale => return Some("sends no data".to_owned()),
            DataState::NotEvaluated => return Some(device.why_not_evaluated()),
            DataState::Live | DataState::Faulty => {}
        }
        let board_severity = episodes::disagrees(device.known.verdict, self.severity(id))?;
        Some(format!(
            "its board reports {}, no rule does",
            board_severity.name()
        ))
    }
}

impl KnownDevice {
    /// Returns why no rule looks at its readings.
    fn why_not_evaluated(&self) -> String {
        match &self.refused {
            Some(reason) => format!("not evaluated: its description is refused, {reason}"),
            None => "not evaluated: its agent has not described it".to_owned(),
        }
    }
}
