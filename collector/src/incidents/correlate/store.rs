//! The stored state of the correlator, and the one step that writes it.

use rackwatch_core::alert::AlertId;
use rackwatch_core::incident::{
    Changes, Incident, IncidentId, IncidentTiming, Incidents, LostIncidents, StoredMember,
};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::stored;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::Connection;
use redis::Script;

use super::step_error::StepError;
use crate::fencing::{self, Answer};
use crate::stored::read_values;

/// Approximate number of records kept in the stream: months of incidents, in some 50 MB.
const MAX_RECORDS: u64 = 100_000;

/// Writes the state of one epoch.
#[derive(Debug)]
pub(super) struct Store {
    script: Script,
    epoch: u64,
    commit: u64,
    /// The time up to which all alerts are processed, as last written.
    pub(super) through: Option<Timestamp>,
}

/// The state of incidents as a new leader finds it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) store: Store,
    /// The incidents that this version understands.
    pub(super) incidents: Incidents,
    /// The others, which are still in Redis.
    pub(super) lost: LostIncidents,
}

impl Store {
    /// Reads the state that the previous leader left. State of another version is logged, and counts as lost: the
    /// first step deletes or overwrites it.
    pub(super) async fn load(
        connection: &mut Connection,
        epoch: u64,
        timing: IncidentTiming,
    ) -> Result<Loaded, StepError> {
        let (newest, commit, through): (Option<u64>, Option<u64>, Option<u64>) =
            redis::cmd("HMGET")
                .arg(incidents::FENCE)
                .arg(&["epoch", "commit", "through"])
                .query_async(connection)
                .await?;
        if newest != Some(epoch) {
            return Err(StepError::TakenOver);
        }
        let open = read_values::<Incident>(connection, incidents::OPEN).await?;
        let members = read_values::<StoredMember>(connection, incidents::MEMBERS).await?;
        let refused = open.refused_ids().map(IncidentId::from_wire);
        let mut lost_incidents: Vec<_> = refused.collect();
        let refused = members.refused_ids().map(AlertId::from_wire);
        let lost_members = refused.collect();
        let mut all = Incidents::new(timing);
        let members = members.values.into_iter();
        let members = members.map(|(alert, member)| (AlertId::from_wire(&alert), member));
        lost_incidents.extend(all.restore(open.into_values(), members));
        let lost = LostIncidents {
            incidents: lost_incidents.into_iter().map(|id| (id, None)).collect(),
            members: lost_members,
        };
        let store = Self {
            script: fencing::script(include_str!("incidents.lua")),
            epoch,
            commit: commit.unwrap_or(0),
            through: through.and_then(Timestamp::from_millis),
        };
        Ok(Loaded {
            store,
            incidents: all,
            lost,
        })
    }

    /// Writes the changes of one step. All alerts before `through` are processed then.
    pub(super) async fn write(
        &mut self,
        connection: &mut Connection,
        changes: &Changes,
        through: Timestamp,
    ) -> Result<(), StepError> {
        let mut call = self.script.prepare_invoke();
        call.key(incidents::FENCE)
            .key(keys::INCIDENTS)
            .key(incidents::OPEN)
            .key(incidents::MEMBERS)
            .key(incidents::ACKS);
        call.arg(self.epoch)
            .arg(self.commit + 1)
            .arg(MAX_RECORDS)
            .arg(through.millis());
        call.arg(changes.records.len());
        for record in &changes.records {
            let fields = incident::encode(record);
            call.arg(fields.len() * 2);
            for (name, value) in fields {
                call.arg(name).arg(value);
            }
        }
        call.arg(changes.incidents.len());
        for (id, json) in &changes.incidents {
            call.arg(id.as_str()).arg(json);
        }
        call.arg(changes.members.len());
        for (alert, member) in &changes.members {
            call.arg(alert.as_str()).arg(stored::encode(member));
        }
        call.arg(changes.resolved.len());
        for id in &changes.resolved {
            call.arg(id.as_str());
        }
        call.arg(changes.removed_members.len());
        for alert in &changes.removed_members {
            call.arg(alert.as_str());
        }
        let answer: String = call.invoke_async(connection).await?;
        match Answer::parse(&answer) {
            Answer::Done => {
                self.commit += 1;
                self.through = Some(through);
                Ok(())
            }
            Answer::TakenOver => Err(StepError::TakenOver),
            Answer::StateLost => Err(StepError::StateLost),
        }
    }
}
