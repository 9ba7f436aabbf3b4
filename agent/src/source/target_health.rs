//! The health of one target: a circuit breaker, and the outcomes while the target fails.
//!
//! In: the end of each attempt. Out: whether to try now, the lane to do it in, and faults for all
//! sensors when the attempt failed.

mod breaker;

use std::error::Error;
use std::time::Duration;

use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::reading::Fault;
use rackwatch_runtime::error::chain;
use tokio::time::Instant;
use tracing::{info, warn};

use self::breaker::{CircuitBreaker, Transition};
use super::lanes::{Lane, Lanes};
use super::target::TargetIdentity;
use super::{DiscoveredDevice, Outcome, placeholder};

/// An error that ends an attempt.
pub(super) trait AttemptError: Error + 'static {
    /// Returns whether the target was too slow: its sensors have a timeout. With any other error
    /// they are unreachable.
    fn is_timeout(&self) -> bool;
}

/// The health of one target.
#[derive(Debug)]
pub(super) struct TargetHealth {
    target: TargetIdentity,
    lanes: Lanes,
    breaker: CircuitBreaker,
    fault: Fault,
}

impl TargetHealth {
    /// Returns the health of a target that was not tried yet.
    pub(super) fn new(target: TargetIdentity, lanes: Lanes) -> Self {
        Self {
            target,
            lanes,
            breaker: CircuitBreaker::default(),
            fault: Fault::NO_READING,
        }
    }

    /// Begins an attempt if one is due, and returns whether it is. [`TargetHealth::end_attempt`]
    /// must follow.
    pub(super) fn begin_attempt(&mut self) -> bool {
        self.breaker.begin(Instant::now(), self.target.interval)
    }

    /// Returns the lane to make the attempt in.
    pub(super) fn lane(&self) -> Lane {
        self.lanes.lane(self.breaker.is_healthy())
    }

    /// Ends an attempt. A first failure and a recovery are logged.
    pub(super) fn end_attempt<E: AttemptError>(&mut self, error: Option<&E>) {
        let succeeded = error.is_none();
        let interval = self.target.interval;
        let transition = self.breaker.end(Instant::now(), interval, succeeded);
        let target_name = self.target.name.as_str();
        match (transition, error) {
            (Some(Transition::Failed), Some(error)) => {
                warn!(
                    target_name,
                    error = chain(error),
                    "target read failed, will retry"
                );
            }
            (Some(Transition::Recovered), _) => info!(target_name, "target recovered"),
            _ => {}
        }
        self.fault = match error {
            None => Fault::NO_READING,
            Some(error) if error.is_timeout() => Fault::TIMEOUT,
            Some(_) => Fault::UNREACHABLE,
        };
    }

    /// Returns a fault for each device: the attempt failed, or was not due.
    pub(super) fn faults<'d>(&self, devices: impl Iterator<Item = &'d DeviceId>) -> Vec<Outcome> {
        devices
            .map(|device| (device.clone(), Err(self.fault.clone())))
            .collect()
    }

    /// Returns the target's devices. If there are none because it never answered, returns its
    /// placeholder.
    pub(super) fn devices_or_placeholder<'f>(
        &self,
        source: &str,
        devices: impl Iterator<Item = &'f DiscoveredDevice>,
    ) -> Vec<DiscoveredDevice> {
        let mut devices: Vec<DiscoveredDevice> = devices.cloned().collect();
        if devices.is_empty() && !self.breaker.is_healthy() {
            let description = Description {
                host: self.target.name.clone(),
                target: self.target.name.clone(),
                source: source.to_owned(),
                name: "has not answered yet".to_owned(),
                interval: self.target.interval,
                rack: self.target.rack.clone(),
                u: self.target.u,
                ..Description::default()
            };
            devices.push(DiscoveredDevice {
                device: placeholder(&self.target.name),
                description,
            });
        }
        devices
    }

    /// Returns the outcome of the placeholder while the target has no known devices.
    pub(super) fn placeholder_outcome(&self) -> Vec<Outcome> {
        if self.breaker.is_healthy() {
            return Vec::new();
        }
        vec![(placeholder(&self.target.name), Err(self.fault.clone()))]
    }

    /// Returns the delay of the target's reads after each full interval: fixed by its name, at most
    /// half an interval.
    pub(super) fn offset(&self) -> Duration {
        let share = self.target.name.bytes().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        self.target.interval * (share % 100) / 200
    }
}
