//! Incidents with their timelines, and the temperatures of their sensors.

use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::{Event, Family, IncidentId, IncidentRecord};
use rackwatch_core::units::Celsius;

use super::rows::IncidentRow;
use super::{KnownDevice, ReadModel};

impl ReadModel {
    /// Returns unresolved incidents, the most severe first, then the newest.
    pub(crate) fn incidents(&self) -> Vec<IncidentRow> {
        let open = self.incidents.values().map(|record| IncidentRow {
            now: self.peak_now(record),
            record: record.clone(),
        });
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|row| std::cmp::Reverse((row.record.severity, row.record.since)));
        open
    }

    /// Returns at most `limit` resolved incidents, newest first.
    pub(crate) fn past_incidents(&self, limit: usize) -> Vec<IncidentRecord> {
        let resolved = self.records.iter().rev();
        let resolved = resolved.filter(|record| record.event == Event::Resolved);
        resolved.take(limit).cloned().collect()
    }

    /// Returns the records of an incident, oldest first. Of an old incident only the newest record may be known.
    pub(crate) fn timeline(&self, id: &str) -> Vec<IncidentRecord> {
        let records = self
            .records
            .iter()
            .filter(|record| record.id.as_str() == id);
        let mut timeline: Vec<_> = records.cloned().collect();
        if timeline.is_empty() {
            let open = self.incidents.get(&IncidentId::from_wire(id));
            timeline.extend(open.cloned());
        }
        timeline
    }

    /// Returns the hottest current value of the alerting sensors of an incident, or the coldest where it is too cold.
    pub(crate) fn peak_now(&self, record: &IncidentRecord) -> Option<Celsius> {
        // Missing data has no temperature.
        record.peak?;
        // Records list only the first devices, but nearly always all racks and roles.
        let belongs = |id: &DeviceId, device: &KnownDevice| {
            let is_near = record.racks.contains(&device.spot.rack);
            let is_listed = record.devices.iter().any(|subject| subject.as_id() == id);
            is_listed || is_near && record.roles.contains(&device.role())
        };
        let (mut hot, mut cold) = (Vec::new(), Vec::new());
        for (id, open) in &self.open {
            let device = self.devices.get(id).filter(|device| belongs(id, device));
            let Some(now) = device.and_then(KnownDevice::good_value) else {
                continue;
            };
            for open in open.values() {
                match open.kind.info().family {
                    Family::Heat => hot.push(now),
                    Family::Cold => cold.push(now),
                    Family::NoData | Family::Sensor => {}
                }
            }
        }
        let degrees = |a: &Celsius, b: &Celsius| a.degrees().total_cmp(&b.degrees());
        let hottest = hot.into_iter().max_by(degrees);
        hottest.or(cold.into_iter().min_by(degrees))
    }
}
