//! Care for targets that are slow or gone: they are asked less and less often, and never hold up others.
//!
//! In: how each try of a target ended. Out: whether to try now, and a place to do so. What failed the last time
//! waits in a lane of its own: sixty boards that hang are eight tries at a time, and all others go on. Before they
//! have failed for the first time they are not known to hang: so a place is given back by whoever needs it for long.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::reading::Fault;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{DiscoveredDevice, Outcome, placeholder};

/// However long a target is gone, it is tried this often.
const LONGEST: Duration = Duration::from_mins(5);
/// What is not done by then goes on without a place.
const SOON: Duration = Duration::from_millis(500);
/// Tries at a time of those that failed the last time.
const ON_PROBATION: usize = 8;

/// Places to try in, shared by all targets of an agent.
#[derive(Clone, Debug)]
pub struct Lanes {
    healthy: Arc<Semaphore>,
    probation: Arc<Semaphore>,
}

impl Lanes {
    /// So many tries at a time.
    pub fn new(at_once: usize) -> Self {
        Self {
            healthy: Arc::new(Semaphore::new(at_once)),
            probation: Arc::new(Semaphore::new(ON_PROBATION)),
        }
    }

    /// Does `work` when there is a place for it.
    pub(super) async fn run<T>(&self, health: &Health, work: impl Future<Output = T>) -> T {
        let is_healthy = health.failures == 0;
        let lane = if is_healthy {
            &self.healthy
        } else {
            &self.probation
        };
        // Never closed.
        let place = lane.acquire().await.ok();
        let mut work = std::pin::pin!(work);
        if is_healthy {
            if let Ok(done) = timeout(SOON, work.as_mut()).await {
                return done;
            }
            drop(place);
        }
        work.await
    }
}

/// How a target has fared of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    failures: u32,
    next: Option<Instant>,
    trying: bool,
}

/// What a try changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has failed for the first time.
    Failed,
    /// It is back.
    Recovered,
}

impl Health {
    /// Whether to try now. A try that was given up before it ended has failed.
    fn begin(&mut self, now: Instant, interval: Duration) -> bool {
        if self.trying {
            self.fail(now, interval);
        }
        self.trying = self.next.is_none_or(|next| now >= next);
        self.trying
    }

    /// The try ended well, or not.
    fn end(&mut self, now: Instant, interval: Duration, well: bool) -> Option<Turn> {
        self.trying = false;
        let before = self.failures;
        if well {
            (self.failures, self.next) = (0, None);
        } else {
            self.fail(now, interval);
        }
        match (before, self.failures) {
            (0, 1) => Some(Turn::Failed),
            (1.., 0) => Some(Turn::Recovered),
            _ => None,
        }
    }

    fn fail(&mut self, now: Instant, interval: Duration) {
        self.trying = false;
        // The first failure may be chance: the next tick tells.
        let doubled = 1_u32 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let wait = interval.saturating_mul(doubled - 1).min(LONGEST);
        self.next = Some(now + wait);
    }
}

/// Why a try has failed.
pub(super) trait Failure: Error + 'static {
    /// It took too long: the sensors have a timeout. Else the target is unreachable for them.
    fn is_late(&self) -> bool;
}

/// All of it for one target: what its source asks.
#[derive(Debug)]
pub(super) struct Care {
    target: String,
    interval: Duration,
    lanes: Lanes,
    health: Health,
    fault: Fault,
}

impl Care {
    /// Of a target that was not tried yet.
    pub(super) fn new(target: &str, interval: Duration, lanes: Lanes) -> Self {
        Self {
            target: target.to_owned(),
            interval,
            lanes,
            health: Health::default(),
            fault: Fault::NO_READING,
        }
    }

    /// Its name.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Whether to try it now; to be followed by [`Care::end`].
    pub(super) fn begin(&mut self) -> bool {
        self.health.begin(Instant::now(), self.interval)
    }

    /// A place to do work in, that needs nothing of this.
    pub(super) fn place(&self) -> (Lanes, Health) {
        (self.lanes.clone(), self.health.clone())
    }

    /// A try has ended, badly where there is an error. It is logged when that is another than before.
    pub(super) fn end<E: Failure>(&mut self, error: Option<&E>) {
        let turn = self
            .health
            .end(Instant::now(), self.interval, error.is_none());
        let target = self.target.as_str();
        match (turn, error) {
            (Some(Turn::Failed), Some(error)) => {
                let error: &(dyn Error + 'static) = error;
                warn!(target_name = target, error, "cannot be read, tried again");
            }
            (Some(Turn::Recovered), _) => info!(target_name = target, "answers again"),
            _ => {}
        }
        self.fault = match error {
            None => Fault::NO_READING,
            Some(error) if error.is_late() => Fault::TIMEOUT,
            Some(_) => Fault::UNREACHABLE,
        };
    }

    /// What its sensors have instead of readings.
    pub(super) fn faults<'d>(&self, devices: impl Iterator<Item = &'d DeviceId>) -> Vec<Outcome> {
        devices
            .map(|device| (device.clone(), Err(self.fault.clone())))
            .collect()
    }

    /// What was found of it; where that is nothing, since it never answered, the device that stands for it.
    pub(super) fn found<'f>(
        &self,
        source: &str,
        place: (Option<&String>, Option<u16>),
        found: impl Iterator<Item = &'f DiscoveredDevice>,
    ) -> Vec<DiscoveredDevice> {
        let mut found: Vec<DiscoveredDevice> = found.cloned().collect();
        if found.is_empty() && self.health.failures > 0 {
            let (rack, u) = place;
            let description = Description {
                host: self.target.clone(),
                target: self.target.clone(),
                source: source.to_owned(),
                name: "has not answered yet".to_owned(),
                interval: self.interval,
                rack: rack.cloned(),
                u,
                ..Description::default()
            };
            found.push(DiscoveredDevice {
                device: placeholder(&self.target),
                description,
            });
        }
        found
    }

    /// What there is to read while nothing is known of it.
    pub(super) fn nothing_known(&self) -> Vec<Outcome> {
        if self.health.failures == 0 {
            return Vec::new();
        }
        vec![(placeholder(&self.target), Err(self.fault.clone()))]
    }

    /// How long after each full interval it is read.
    pub(super) fn offset(&self) -> Duration {
        offset(&self.target, self.interval)
    }
}

/// How long after each full interval a target is read: by its name, so that it is the same each time and others'
/// are others; within half an interval.
fn offset(target: &str, interval: Duration) -> Duration {
    let share = target.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    interval * (share % 100) / 200
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(10);

    #[test]
    fn what_is_gone_is_tried_less_and_less_often() {
        let (mut health, start) = (Health::default(), Instant::now());
        let mut tried = Vec::new();
        for tick in 0..200_u32 {
            let now = start + TICK * tick;
            if health.begin(now, TICK) {
                tried.push(tick);
                let turn = health.end(now, TICK, false);
                assert_eq!(turn, (tick == 0).then_some(Turn::Failed));
            }
        }
        assert_eq!(tried[..6], [0, 1, 2, 5, 12, 27]);
        assert_eq!(
            tried[tried.len() - 1] - tried[tried.len() - 2],
            30,
            "five minutes"
        );
        let now = start + TICK * 1000;
        assert!(health.begin(now, TICK));
        assert_eq!(health.end(now, TICK, true), Some(Turn::Recovered));
        assert!(health.begin(now + TICK, TICK));
    }

    #[test]
    fn a_try_that_was_given_up_has_failed() {
        let (mut health, start) = (Health::default(), Instant::now());
        assert!(health.begin(start, TICK));
        assert!(health.begin(start + TICK, TICK));
        assert!(!health.begin(start + TICK, TICK), "twice by now: it waits");
    }

    #[tokio::test]
    async fn those_that_hang_do_not_hold_up_others() {
        let lanes = Lanes::new(2);
        let mut bad = Health::default();
        let now = Instant::now();
        bad.begin(now, TICK);
        bad.end(now, TICK, false);
        let mut hanging = tokio::task::JoinSet::new();
        for (health, count) in [(&bad, ON_PROBATION), (&Health::default(), 2)] {
            for _ in 0..count {
                let (lanes, health) = (lanes.clone(), health.clone());
                hanging
                    .spawn(async move { lanes.run(&health, std::future::pending::<()>()).await });
            }
        }
        // All of them are in their places.
        while lanes.healthy.available_permits() + lanes.probation.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lanes.run(&Health::default(), async { 7 }).await, 7);
        let another = lanes.run(&bad, async {});
        assert!(timeout(Duration::from_millis(1), another).await.is_err());
    }
}
