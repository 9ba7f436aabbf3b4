//! Incidents, and what their sensors say now.

use rackwatch_core::device::DeviceId;
use rackwatch_core::incident::{Event, Family, IncidentId, IncidentRecord};
use rackwatch_core::units::Celsius;

use super::{IncidentRow, Picture, Seen};

impl Picture {
    /// Incidents that are not over, the gravest and then the newest first.
    pub fn incidents(&self) -> Vec<IncidentRow> {
        let open = self.incidents.values().map(|record| IncidentRow {
            now: self.extreme(record),
            record: record.clone(),
        });
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|one| std::cmp::Reverse((one.record.severity, one.record.since)));
        open
    }

    /// Incidents that are over, the newest first.
    pub fn past_incidents(&self, most: usize) -> Vec<IncidentRecord> {
        let over = self.records.iter().rev();
        let over = over.filter(|record| record.event == Event::Resolved);
        over.take(most).cloned().collect()
    }

    /// All that was written of an incident, the oldest first.
    pub fn story(&self, id: &str) -> Vec<IncidentRecord> {
        let of_it = self
            .records
            .iter()
            .filter(|record| record.id.as_str() == id);
        let mut story: Vec<_> = of_it.cloned().collect();
        if story.is_empty() {
            let open = self.incidents.get(&IncidentId::from_wire(id));
            story.extend(open.cloned());
        }
        story
    }

    /// The hottest that the sensors of an incident say, of those that fire; the coldest, where it is too cold.
    pub fn extreme(&self, record: &IncidentRecord) -> Option<Celsius> {
        // Silence has no temperature.
        record.extreme?;
        // Records name the first devices only, but nearly always all racks, and what their devices measure.
        let is_of_it = |id: &DeviceId, seen: &Seen| {
            let is_near = record.racks.contains(&seen.spot.rack);
            let is_listed = record.devices.iter().any(|subject| subject.as_id() == id);
            is_listed || is_near && record.roles.contains(&seen.role())
        };
        let (mut hot, mut cold) = (Vec::new(), Vec::new());
        for (id, open) in &self.open {
            let seen = self.devices.get(id).filter(|seen| is_of_it(id, seen));
            let Some(now) = seen.and_then(Seen::good) else {
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
