//! Concurrency limits for targets: those that failed last time never hold up the others.
//!
//! A target that fails moves to a lane of its own: sixty BMCs that hang are eight attempts at a
//! time, and all others go on. Before its first failure a target that hangs looks healthy, so an
//! attempt that takes long gives its place back and goes on without one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Time after which an attempt gives its place back: healthy targets answer within it.
const PLACE_TIMEOUT: Duration = Duration::from_millis(500);

/// Concurrent attempts at targets that failed last time: each may hang until its deadline.
const FAILING_AT_ONCE: usize = 8;

/// The lanes of an agent; clones share their places.
#[derive(Clone, Debug)]
pub struct Lanes {
    healthy: Arc<Semaphore>,
    failing: Arc<Semaphore>,
}

/// The lane that one attempt runs in.
#[derive(Debug)]
pub(super) struct Lane {
    places: Arc<Semaphore>,
    is_healthy: bool,
}

impl Lanes {
    /// Returns lanes with `at_once` places for healthy targets.
    pub fn new(at_once: usize) -> Self {
        Self {
            healthy: Arc::new(Semaphore::new(at_once)),
            failing: Arc::new(Semaphore::new(FAILING_AT_ONCE)),
        }
    }

    /// Returns the lane for a target in this state.
    pub(super) fn lane(&self, is_healthy: bool) -> Lane {
        let places = if is_healthy {
            &self.healthy
        } else {
            &self.failing
        };
        Lane {
            places: Arc::clone(places),
            is_healthy,
        }
    }
}

impl Lane {
    /// Runs `work` once a place is free.
    pub(super) async fn run<T>(self, work: impl Future<Output = T>) -> T {
        // Fails only for a closed semaphore, and these are never closed.
        let place = self.places.acquire().await.ok();
        let mut work = std::pin::pin!(work);
        if self.is_healthy {
            if let Ok(done) = timeout(PLACE_TIMEOUT, work.as_mut()).await {
                return done;
            }
            drop(place);
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hanging_targets_do_not_hold_up_others() {
        let lanes = Lanes::new(2);
        let mut hanging = tokio::task::JoinSet::new();
        for (is_healthy, count) in [(false, FAILING_AT_ONCE), (true, 2)] {
            for _ in 0..count {
                let lane = lanes.lane(is_healthy);
                hanging.spawn(lane.run(std::future::pending::<()>()));
            }
        }
        // Every place is taken.
        while lanes.healthy.available_permits() + lanes.failing.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lanes.lane(true).run(async { 7 }).await, 7);
        let another = lanes.lane(false).run(async {});
        assert!(timeout(Duration::from_millis(1), another).await.is_err());
    }
}
