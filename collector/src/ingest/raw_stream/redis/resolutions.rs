//! Requests to resolve alerts by hand, read now and then.

use std::time::{Duration, Instant};

use rackwatch_core::alert::AlertId;
use rackwatch_core::stored::StoredValues;
use rackwatch_runtime::redis::{Connection, HashPages};
use redis::RedisResult;

use super::super::ResolvedByHand;
use crate::incidents::resolve_request::ResolveRequest;
use crate::stored::log_refusals;

/// Interval of looks: a person waits no longer, and each look is one command.
const INTERVAL: Duration = Duration::from_secs(1);

/// The next look for requests, and those that this version does not understand.
#[derive(Debug, Default)]
pub(super) struct WaitingResolutions {
    last: Option<Instant>,
    /// Ids of refused requests that were logged.
    refused: Vec<String>,
}

impl WaitingResolutions {
    /// Returns whether it is time to look, and if so starts the next interval.
    pub(super) fn take_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }

    /// Reads requests from the hash `key`: one page of them, since the commit of the step deletes them.
    pub(super) async fn read(
        &mut self,
        connection: &mut Connection,
        key: &str,
    ) -> RedisResult<Vec<ResolvedByHand>> {
        let page = HashPages::new(key).next(connection).await?;
        let found = StoredValues::<ResolveRequest>::from_hash(page.unwrap_or_default());
        let refused: Vec<String> = found.refused_ids().map(str::to_owned).collect();
        if refused != self.refused {
            log_refusals::<ResolveRequest>(key, &found.refusals);
            self.refused = refused;
        }
        let requests = found.values.into_iter();
        let requests = requests.map(|(alert, request)| (AlertId::from_wire(&alert), request));
        Ok(requests.collect())
    }
}
