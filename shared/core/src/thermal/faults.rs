//! Faults of a simulated hall.
//!
//! In: the time since the start of the hall. Out: the effect on the air or on a sensor. Each fault is a function of time
//! alone, so it looks the same at every step size.

use std::time::Duration;

use crate::device::DeviceId;

/// The effect of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Every cooler of the hall stops at once: power, or the chilled water.
    CoolingLoss,
    /// A fan of the rack's cooler fails: less cold air, and its racks settle 5 K warmer.
    FanFailure,
    /// An obstacle blocks the tile or the grille of a rack: 4 K warmer.
    BlockedTile,
    /// The load of a rack rises by a third of full load.
    LoadStep,
    /// A door of the cold aisle stands open at a rack.
    Door,
    /// Exhaust air of 38 °C reaches a sensor.
    HotSpot,
    /// A blanking panel is missing near a sensor: some exhaust air reaches it, 3.5 K warmer.
    MissingPanel,
    /// Unmixed cooler air of 13 °C blows at a sensor.
    ColdSpot,
    /// The rack's cooling stops: its air warms at about 2 °C/min at first.
    CoolerTrip,
    /// A sensor suddenly reads 6 K too much.
    Step,
    /// A sensor repeats its last reading.
    Stuck,
    /// A sensor has no reading.
    Dropout,
    /// A sensor drifts by one kelvin a day.
    Offset,
    /// The board that reads a rack's sensors hangs: each read times out.
    Hang,
    /// The hosts of a rack reboot: no readings come meanwhile, not even faults.
    Reboot,
    /// The agent stops sending readings.
    NoData,
    /// The clock of a rack's agent is set back by an hour.
    ClockJump,
}

/// Final warming by a failed fan in K, and its time constant in s. Assumed: a cooler of two fans at half its air flow.
pub(super) const FAN: (f64, f64) = (5.0, 300.0);
/// Final warming by a blocked tile in K, and its time constant in s. Assumed.
pub(super) const TILE: (f64, f64) = (4.0, 240.0);
/// Final warming by a missing panel in K, and its time constant in s. Assumed: a fifth of the 15 to 20 K that servers
/// add to their air, as fast as their load changes.
pub(super) const PANEL: (f64, f64) = (3.5, 600.0);
/// Time constant of an open door, in s. Assumed: the air of an aisle mixes within minutes.
pub(super) const DOOR_TAU: f64 = 90.0;
/// Additional load of a load step, as a share of full load.
pub(super) const LOAD_STEP: f64 = 0.33;
/// Drift of a sensor, in K per day.
pub(super) const OFFSET: f64 = 1.0;
/// Time by which a clock is set back.
pub(super) const CLOCK: Duration = Duration::from_hours(1);

/// Temperature of the exhaust air in a hot spot, in °C: an inlet of 22 °C plus the 15 to 20 K that
/// servers usually add to their air.
pub(super) const HOT_AIR: f64 = 38.0;

/// Temperature of the air that a cooler blows out at its coldest, in °C: a common lower end of
/// supply air set points.
pub(super) const COLD_AIR: f64 = 13.0;

/// Size of a step, in kelvin: beyond the 5 °C in 15 minutes that counts as rapid for tape
/// (ASHRAE Thermal Guidelines, 5th ed. 2021).
pub(super) const STEP: f64 = 6.0;

/// Time constant with which a sensor follows other air blowing at it, in seconds: a small probe in
/// moving air. Assumed; data sheets of such probes give 5 to 30 s.
const PROBE_TAU: f64 = 8.0;

impl Effect {
    /// Every effect, in order.
    pub const ALL: [Self; 17] = [
        Self::CoolingLoss,
        Self::FanFailure,
        Self::BlockedTile,
        Self::LoadStep,
        Self::Door,
        Self::HotSpot,
        Self::MissingPanel,
        Self::ColdSpot,
        Self::CoolerTrip,
        Self::Step,
        Self::Stuck,
        Self::Dropout,
        Self::Offset,
        Self::Hang,
        Self::Reboot,
        Self::NoData,
        Self::ClockJump,
    ];

    /// Returns the word in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoolingLoss => "cooling-loss",
            Self::FanFailure => "fan-failure",
            Self::BlockedTile => "blocked-tile",
            Self::LoadStep => "load-step",
            Self::Door => "door",
            Self::HotSpot => "hot-spot",
            Self::MissingPanel => "missing-panel",
            Self::ColdSpot => "cold-spot",
            Self::CoolerTrip => "cooler-trip",
            Self::Step => "step",
            Self::Stuck => "stuck",
            Self::Dropout => "dropout",
            Self::Offset => "offset",
            Self::Hang => "hang",
            Self::Reboot => "reboot",
            Self::NoData => "no-data",
            Self::ClockJump => "clock-jump",
        }
    }

    /// Returns whether the effect is on the hall or on racks, rather than on one sensor.
    pub fn is_of_racks(self) -> bool {
        matches!(
            self,
            Self::CoolingLoss
                | Self::CoolerTrip
                | Self::FanFailure
                | Self::BlockedTile
                | Self::LoadStep
                | Self::Door
                | Self::Hang
                | Self::Reboot
                | Self::NoData
                | Self::ClockJump
        )
    }
}

/// The place of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The whole hall with all sensors.
    Everywhere,
    /// One rack, by its name.
    Rack(String),
    /// One sensor, by its id.
    Device(DeviceId),
    /// The sensor with this index, and the next one at each repeat.
    Rotating(usize),
}

/// A fault with its schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledFault {
    /// The effect on air or sensors.
    pub effect: Effect,
    /// The place in the hall.
    pub target: Target,
    /// The first start, counted from the start of the hall.
    pub start: Duration,
    /// The duration. The effect may last longer, since air takes a while to cool.
    pub duration: Duration,
    /// The interval between starts, if it repeats.
    pub every: Option<Duration>,
}

/// The progress of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultProgress {
    /// The number of earlier starts.
    pub(super) cycle: u64,
    /// The time since the latest start.
    pub(super) since: Duration,
    /// Whether the fault lasts, rather than only its effect.
    pub(super) active: bool,
}

impl ScheduledFault {
    /// Returns the progress after `elapsed`, or none before the first start.
    pub(super) fn phase(&self, elapsed: Duration) -> Option<FaultProgress> {
        let since = elapsed.checked_sub(self.start)?;
        let (cycle, since) = match self.every {
            Some(every) if !every.is_zero() => split(since, every),
            _ => (0, since),
        };
        Some(FaultProgress {
            cycle,
            since,
            active: since < self.duration,
        })
    }

    /// Returns the share of foreign air at a sensor, from 0 to 1: the response of a first-order lag to a pulse as long as
    /// the fault.
    pub(super) fn share_of_foreign_air(&self, phase: FaultProgress) -> f64 {
        self.pulse(phase, PROBE_TAU)
    }

    /// Returns the response of a first-order lag with time constant `tau` in s, from 0 to 1.
    pub(super) fn pulse(&self, phase: FaultProgress, tau: f64) -> f64 {
        let on = phase.since.min(self.duration).as_secs_f64();
        let off = phase.since.saturating_sub(self.duration).as_secs_f64();
        (1.0 - (-on / tau).exp()) * (-off / tau).exp()
    }
}

fn split(since: Duration, every: Duration) -> (u64, Duration) {
    let nanos = since.as_nanos() % every.as_nanos();
    let cycle = since.as_nanos() / every.as_nanos();
    let rest = u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos);
    (u64::try_from(cycle).unwrap_or(u64::MAX), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(every: Option<u64>) -> ScheduledFault {
        ScheduledFault {
            effect: Effect::HotSpot,
            target: Target::Everywhere,
            start: Duration::from_secs(10),
            duration: Duration::from_secs(5),
            every: every.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_fault_starts_lasts_and_repeats() {
        let at = |f: &ScheduledFault, secs| f.phase(Duration::from_secs(secs));
        assert_eq!(at(&fault(None), 9), None);
        assert!(at(&fault(None), 10).unwrap().active);
        assert!(!at(&fault(None), 15).unwrap().active);
        assert!(!at(&fault(None), 110).unwrap().active);
        let again = at(&fault(Some(100)), 111).unwrap();
        assert!(again.active);
        assert_eq!((again.cycle, again.since.as_secs()), (1, 1));
    }

    #[test]
    fn foreign_air_comes_and_goes_with_the_lag_of_a_probe() {
        let share = |secs| {
            let fault = fault(None);
            fault.share_of_foreign_air(fault.phase(Duration::from_secs(secs)).unwrap())
        };
        assert!(share(10).abs() < 1e-12);
        assert!((share(15) - (1.0 - (-5.0_f64 / 8.0).exp())).abs() < 1e-12);
        assert!((share(23) - share(15) / 1.0_f64.exp()).abs() < 1e-12);
    }
}
