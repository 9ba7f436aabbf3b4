//! The desk: one of all collectors makes incidents of alerts and tells people.
//!
//! In: a lease of its own. Out: a tenure, run by whoever was asked to start it, which ends when the program
//! stops or when the lease is lost. It is given up on the way out, so that another goes on at once.

use std::time::Duration;

use rackwatch_core::keys::incidents;
use redis::RedisError;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::ownership::lease::{Leases, Seat};
use crate::ownership::owner::OwnerError;
use crate::retry::{self, Trouble};

const SEAT: Seat<'static> = Seat {
    lease: incidents::LEASE,
    fence: incidents::FENCE,
};
/// At the stop Redis has this long to hear of it; then the lease runs out by itself.
const GOODBYE: Duration = Duration::from_secs(1);

/// Waits for the desk, and has it for as long as it lasts, until told to stop or until a tenure fails.
/// `start` makes the future that runs one, with its epoch.
pub async fn hold<F, E>(
    mut leases: Leases,
    stop: CancellationToken,
    start: impl Fn(u64, CancellationToken) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: From<OwnerError> + Send + 'static,
{
    let mut polls = interval(leases.poll());
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tenure: Option<(u64, CancellationToken)> = None;
    let mut running: JoinSet<Result<(), E>> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = running.join_next() => {
                tenure = None;
                ended.map_err(OwnerError::Panicked)??;
            }
            _ = polls.tick() => {
                let epoch = tenure.as_ref().map(|(epoch, _)| *epoch);
                match (poll(&mut leases, epoch, &stop).await?, &tenure) {
                    (Seen::Taken(epoch), _) => {
                        let mine = stop.child_token();
                        running.spawn(start(epoch, mine.clone()));
                        tenure = Some((epoch, mine));
                    }
                    (Seen::Lost, Some((_, mine))) => mine.cancel(),
                    _ => {}
                }
            }
        }
    }
    let mut last = Ok(());
    while let Some(ended) = running.join_next().await {
        last = ended.map_err(OwnerError::Panicked)?;
    }
    if let Some(mut connection) = leases.open().filter(|_| tenure.is_some()) {
        let free = leases.free(&mut connection, SEAT);
        if !matches!(timeout(GOODBYE, free).await, Ok(Ok(()))) {
            tracing::debug!("the lease of the desk is left to run out");
        }
    }
    last
}

/// How things are with the desk.
enum Seen {
    Taken(u64),
    Lost,
    AsBefore,
}

/// Keeps the desk where there is a tenure, tries to take it where there is none.
async fn poll(
    leases: &mut Leases,
    epoch: Option<u64>,
    stop: &CancellationToken,
) -> Result<Seen, OwnerError> {
    let Some(mut connection) = leases.connection(stop).await else {
        return Ok(Seen::AsBefore);
    };
    let seen: Result<_, RedisError> = match epoch {
        Some(epoch) => leases
            .keep(&mut connection, SEAT, epoch)
            .await
            .map(|kept| if kept { Seen::AsBefore } else { Seen::Lost }),
        None => leases
            .take(&mut connection, SEAT)
            .await
            .map(|taken| taken.map_or(Seen::AsBefore, Seen::Taken)),
    };
    let cause = match seen {
        Ok(seen) => {
            leases.accepted();
            return Ok(seen);
        }
        Err(cause) => cause,
    };
    leases.refused(&cause);
    match retry::wait_out(&cause, stop).await {
        Trouble::Reconnect => leases.reconnect(),
        Trouble::Stopped => {}
        Trouble::Lasting => return Err(OwnerError::Refused(cause)),
    }
    Ok(Seen::AsBefore)
}
