//! Open alerts that no incident has, grouped again after the leader started.
//!
//! Stored incidents may be refused, deleted or lost while their alerts stay open. Such an alert sends no further
//! record before it ends, so no notifier would report it. The open episodes of all partitions show which alerts are
//! concerned. Without lost state this waits until all records in the alert streams were read, since those have
//! more details than episodes.

use std::collections::{BTreeMap, BTreeSet};

use rackwatch_core::alert::{AlertId, AlertRecord, Severity};
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::{Event, IncidentId, IncidentRecord, Incidents, LostIncidents};
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::{Connection, entries};
use redis::RedisResult;

use super::places::Places;
use super::step_error::StepError;
use crate::incidents::episodes;

/// Incident records per read, about 1 MB.
const PAGE: usize = 1000;

/// The open alerts that no stored incident has.
#[derive(Debug, Default)]
pub(super) struct Ungrouped {
    alerts: BTreeMap<AlertId, AlertRecord>,
    lost: LostIncidents,
}

impl Ungrouped {
    /// Reads the open episodes that `incidents` lack, and the newest records of the lost incidents.
    pub(super) async fn read(
        connection: &mut Connection,
        incidents: &Incidents,
        mut lost: LostIncidents,
    ) -> Result<Self, StepError> {
        read_newest(connection, &mut lost.incidents).await?;
        let open = episodes::all(connection).await?;
        let records = open.iter().map(Episode::record);
        let ungrouped = records.filter(|record| {
            // These open no incident of their own, or belong to one that is resolved.
            let is_minor =
                record.severity == Severity::Info || record.kind().info().recovery_of.is_some();
            !(incidents.has_alert(&record.id) || is_minor && lost.is_empty())
        });
        Ok(Self {
            alerts: ungrouped
                .map(|record| (record.id.clone(), record))
                .collect(),
            lost,
        })
    }

    /// Groups the alerts if it is time to: at once after a loss, else after the last of the alert records that wait.
    /// `batch` are the records of this step, which the incidents have observed.
    pub(super) async fn regroup(
        &mut self,
        connection: &mut Connection,
        (batch, more): (&[AlertRecord], bool),
        places: &mut Places,
        (incidents, now): (&mut Incidents, Timestamp),
    ) -> RedisResult<()> {
        // Those were observed, or have ended.
        for record in batch {
            self.alerts.remove(&record.id);
        }
        if self.alerts.is_empty() && self.lost.is_empty() || more && self.lost.is_empty() {
            return Ok(());
        }
        let records: Vec<_> = std::mem::take(&mut self.alerts).into_values().collect();
        let found = places.of(connection, &records).await?;
        let lost = std::mem::take(&mut self.lost);
        let (alerts, known) = (records.len(), incidents.len());
        incidents.regroup(records.into_iter().zip(found).collect(), lost, now);
        if alerts > 0 {
            tracing::warn!(
                alerts,
                incidents = incidents.len().saturating_sub(known),
                "open alerts had no stored incident, grouped them again"
            );
        }
        Ok(())
    }
}

/// Fills in the newest record of each incident, with the id of its newest notification.
async fn read_newest(
    connection: &mut Connection,
    incidents: &mut BTreeMap<IncidentId, Option<IncidentRecord>>,
) -> Result<(), StepError> {
    let mut missing: BTreeSet<IncidentId> = incidents.keys().cloned().collect();
    let mut to = "+".to_owned();
    while !missing.is_empty() {
        let mut read = redis::cmd("XREVRANGE");
        read.arg(keys::INCIDENTS).arg(&to).arg("-");
        read.arg("COUNT").arg(PAGE);
        let page = entries(read.query_async(connection).await?)?;
        let Some(last) = page.last() else { break };
        to = format!("({}-{}", last.id.0, last.id.1);
        let fields = page.iter().filter_map(|entry| entry.fields.as_ref());
        for record in fields.filter_map(|fields| incident::decode(fields).ok()) {
            if !missing.contains(&record.id) {
                continue;
            }
            let id = record.id.clone();
            // Every incident begins with one of these.
            let is_complete = record.notification_id.is_some() || record.event == Event::Pending;
            let newest = incidents.entry(id.clone()).or_default();
            match newest {
                Some(newest) => newest.notification_id = record.notification_id,
                None => *newest = Some(record),
            }
            if is_complete {
                missing.remove(&id);
            }
        }
    }
    Ok(())
}
