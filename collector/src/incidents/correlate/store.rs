//! The stored state of the correlator, and the one step that writes it.

use rackwatch_core::alert::AlertId;
use rackwatch_core::incident::{Changes, Incident, IncidentTiming, Incidents, StoredMember};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::stored;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::Connection;
use redis::Script;

use super::step_error::StepError;
use crate::fencing::{self, Answer};
use crate::stored::take_over_hash;

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

impl Store {
    /// Reads the state that the previous leader left. State of another version is logged, and incidents start
    /// cold.
    pub(super) async fn load(
        connection: &mut Connection,
        epoch: u64,
        timing: IncidentTiming,
    ) -> Result<(Self, Incidents), StepError> {
        let (newest, commit, through): (Option<u64>, Option<u64>, Option<u64>) =
            redis::cmd("HMGET")
                .arg(incidents::FENCE)
                .arg(&["epoch", "commit", "through"])
                .query_async(connection)
                .await?;
        if newest != Some(epoch) {
            return Err(StepError::TakenOver);
        }
        let open = take_over_hash::<Incident>(connection, incidents::OPEN).await?;
        let members = take_over_hash::<StoredMember>(connection, incidents::MEMBERS).await?;
        let mut all = Incidents::new(timing);
        all.restore(
            open.into_iter().map(|(_, incident)| incident),
            members
                .into_iter()
                .map(|(alert, member)| (AlertId::from_wire(&alert), member)),
        );
        let store = Self {
            script: fencing::script(include_str!("incidents.lua")),
            epoch,
            commit: commit.unwrap_or(0),
            through: through.and_then(Timestamp::from_millis),
        };
        Ok((store, all))
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
