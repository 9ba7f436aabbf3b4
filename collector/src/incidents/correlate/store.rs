//! What is stored of incidents, and the one step that writes it.

use rackwatch_core::alert::AlertId;
use rackwatch_core::incident::{Changes, Incident, Incidents, Stored, Timing};
use rackwatch_core::keys::{self, incidents};
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::incident;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::{RedisResult, Script};
use serde::de::DeserializeOwned;

use super::Broken;
use crate::fencing::{self, Answer};

/// Records kept in the stream, about.
const MOST_RECORDS: u64 = 100_000;

/// Writes for one epoch.
#[derive(Debug)]
pub(super) struct Store {
    script: Script,
    epoch: u64,
    commit: u64,
    /// Until when all alerts were dealt with, when it was last written.
    pub(super) through: Option<Timestamp>,
}

impl Store {
    /// Reads what the last owner left.
    pub(super) async fn load(
        connection: &mut Connection,
        epoch: u64,
        timing: Timing,
    ) -> Result<(Self, Incidents), Broken> {
        let (newest, commit, through): (Option<u64>, Option<u64>, Option<u64>) =
            redis::cmd("HMGET")
                .arg(incidents::FENCE)
                .arg(&["epoch", "commit", "through"])
                .query_async(connection)
                .await?;
        if newest != Some(epoch) {
            return Err(Broken::TakenOver);
        }
        let open: Vec<Incident> = read(connection, incidents::OPEN, |_, incident| incident).await?;
        let members: Vec<(AlertId, Stored)> =
            read(connection, incidents::MEMBERS, |alert, stored| {
                (AlertId::from_wire(alert), stored)
            })
            .await?;
        let mut all = Incidents::new(timing);
        all.restore(open, members);
        let store = Self {
            script: fencing::script(include_str!("incidents.lua")),
            epoch,
            commit: commit.unwrap_or(0),
            through: through.and_then(Timestamp::from_millis),
        };
        Ok((store, all))
    }

    /// Writes what has changed; all alerts before `through` are dealt with then.
    pub(super) async fn write(
        &mut self,
        connection: &mut Connection,
        changes: &Changes,
        through: Timestamp,
    ) -> Result<(), Broken> {
        let mut call = self.script.prepare_invoke();
        call.key(incidents::FENCE)
            .key(keys::INCIDENTS)
            .key(incidents::OPEN)
            .key(incidents::MEMBERS)
            .key(incidents::ACKS);
        call.arg(self.epoch)
            .arg(self.commit + 1)
            .arg(MOST_RECORDS)
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
        for (alert, stored) in &changes.members {
            // Strings, numbers and plain enums only: this cannot fail.
            let json = serde_json::to_string(stored).unwrap_or_default();
            call.arg(alert.as_str()).arg(json);
        }
        call.arg(changes.closed.len());
        for id in &changes.closed {
            call.arg(id.as_str());
        }
        call.arg(changes.gone.len());
        for alert in &changes.gone {
            call.arg(alert.as_str());
        }
        let answer: String = call.invoke_async(connection).await?;
        match Answer::parse(&answer) {
            Answer::Done => {
                self.commit += 1;
                self.through = Some(through);
                Ok(())
            }
            Answer::TakenOver => Err(Broken::TakenOver),
            Answer::Gone => Err(Broken::Gone),
        }
    }
}

/// All of a hash that can be understood. What another version wrote may not be.
async fn read<T: DeserializeOwned, U>(
    connection: &mut Connection,
    key: &str,
    with: impl Fn(&str, T) -> U,
) -> RedisResult<Vec<U>> {
    let all = scan_hash(connection, key).await?;
    let known = |(id, json): (String, Vec<u8>)| match serde_json::from_slice(&json) {
        Ok(value) => Some(with(&id, value)),
        Err(error) => {
            tracing::warn!(key, id, %error, "stored state cannot be read, ignored");
            None
        }
    };
    Ok(all.into_iter().filter_map(known).collect())
}
