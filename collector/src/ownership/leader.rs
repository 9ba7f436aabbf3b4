//! The leader: one of all collectors makes incidents of alerts and sends notifications.
//!
//! In: a lease of its own. Out: an ownership term, run by the caller's future. It ends when the program
//! stops or the lease is lost. The lease is released on the way out, so that another collector
//! leads at once.

use rackwatch_core::keys::incidents;
use redis::RedisResult;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::lease::{LeaseKeys, Leases};
use super::owner::{self, OwnerError};
use crate::progress::Pulse;

const KEYS: LeaseKeys<'static> = LeaseKeys {
    lease: incidents::LEASE,
    fence: incidents::FENCE,
};

/// Leads whenever the lease is free, until `stop` is cancelled or a term fails. `start` makes the
/// future that runs a term, from its epoch and a token that ends it; `pulse` beats per poll.
pub(crate) async fn lead<F, E>(
    mut leases: Leases,
    pulse: Pulse,
    stop: CancellationToken,
    start: impl Fn(u64, CancellationToken) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: From<OwnerError> + Send + 'static,
{
    let mut polls = interval(leases.poll_interval());
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut term: Option<(u64, CancellationToken)> = None;
    let mut running: JoinSet<Result<(), E>> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = running.join_next() => {
                term = None;
                ended.map_err(OwnerError::Panicked)??;
            }
            _ = polls.tick() => {
                let epoch = term.as_ref().map(|(epoch, _)| *epoch);
                match (poll(&mut leases, &pulse, epoch).await?, &term) {
                    (LeaseChange::Taken(epoch), _) => {
                        let end = stop.child_token();
                        running.spawn(start(epoch, end.clone()));
                        term = Some((epoch, end));
                    }
                    (LeaseChange::Lost, Some((_, end))) => end.cancel(),
                    _ => {}
                }
            }
        }
    }
    let mut last = Ok(());
    while let Some(ended) = running.join_next().await {
        last = ended.map_err(OwnerError::Panicked)?;
    }
    if term.is_some() {
        leases.release(KEYS).await;
    }
    last
}

/// The outcome of a poll.
enum LeaseChange {
    Taken(u64),
    Lost,
    None,
}

/// Renews the lease of the term with `epoch`, or tries to take it if there is none.
async fn poll(
    leases: &mut Leases,
    pulse: &Pulse,
    epoch: Option<u64>,
) -> Result<LeaseChange, OwnerError> {
    let Ok(mut connection) = leases.connection().await else {
        return Ok(LeaseChange::None);
    };
    let polled: RedisResult<_> = match epoch {
        Some(epoch) => leases
            .renew(&mut connection, KEYS, epoch)
            .await
            .map(|held| {
                if held {
                    LeaseChange::None
                } else {
                    LeaseChange::Lost
                }
            }),
        None => leases
            .take(&mut connection, KEYS)
            .await
            .map(|taken| taken.map_or(LeaseChange::None, LeaseChange::Taken)),
    };
    match polled {
        Ok(change) => {
            leases.accepted();
            pulse.beat();
            Ok(change)
        }
        Err(error) => {
            owner::recover(leases, &error).await?;
            Ok(LeaseChange::None)
        }
    }
}
