//! What can go wrong in a simulated hall.
//!
//! In: how long the hall has been running. Out: what that does to the air or to the sensor. Nothing
//! is lost here. Each fault is a function of time alone, so that it looks the same at every step
//! size.

use std::time::Duration;

use crate::device::DeviceId;

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Every cooler of the hall stops at once: power, or the chilled water.
    CoolingLoss,
    /// A fan of the rack's cooler fails: less cold air, and its racks settle 5 K warmer.
    FanFailure,
    /// Something stands on the tile or before the grille of a rack: 4 K warmer.
    BlockedTile,
    /// The equipment of a rack takes up work: a third of full load more.
    LoadStep,
    /// A door of the cold aisle stands open at a rack.
    Door,
    /// Exhaust air of 38 °C is drawn round to a sensor, as through a missing blanking panel.
    HotSpot,
    /// A blanking panel is left off by a sensor: some of the exhaust air comes round to it, 3.5 K warmer.
    MissingPanel,
    /// Unmixed cooler air of 13 °C blows at a sensor.
    ColdSpot,
    /// The rack's cooling stops: its air warms at about 2 °C/min at first.
    CoolerTrip,
    /// A sensor says 6 K too much, all at once.
    Step,
    /// A sensor repeats the last thing it said.
    Stuck,
    /// A sensor has no reading.
    Dropout,
    /// A sensor creeps away from the truth, by a kelvin a day.
    Offset,
    /// The board that reads a rack's sensors hangs: each read times out.
    Hang,
    /// The hosts of a rack start anew: nothing is read meanwhile, not even a fault.
    Reboot,
    /// The agent that reads the whole hall says nothing.
    Silence,
    /// The clock of a rack's agent is set back by an hour.
    ClockJump,
}

/// What a fan that fails, and what stands in the way, warm a rack by in the end, in kelvin, and with
/// what time constant, in s. Assumed: a cooler of two fans at half its air.
pub(super) const FAN: (f64, f64) = (5.0, 300.0);
pub(super) const TILE: (f64, f64) = (4.0, 240.0);
/// The same for what comes round where a panel is missing: about a fifth of the 15 to 20 K that servers add
/// to their air, as fast as their load changes. Assumed.
pub(super) const PANEL: (f64, f64) = (3.5, 600.0);
/// Time constant with which an open door is felt, in s. Assumed: the air of an aisle mixes within
/// minutes.
pub(super) const DOOR_TAU: f64 = 90.0;
/// What a step of the load adds, as a share of full load.
pub(super) const LOAD_STEP: f64 = 0.33;
/// How far a sensor creeps, in K per day.
pub(super) const OFFSET: f64 = 1.0;
/// How far a clock is set back.
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
    /// Every effect.
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
        Self::Silence,
        Self::ClockJump,
    ];

    /// The word used in a scenario.
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
            Self::Silence => "silence",
            Self::ClockJump => "clock-jump",
        }
    }

    /// It happens to the hall or to racks, never to one sensor.
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
                | Self::Silence
                | Self::ClockJump
        )
    }
}

/// Where a fault happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everywhere in the hall.
    Everywhere,
    /// In one rack, by its name.
    Rack(String),
    /// At one sensor.
    Device(DeviceId),
    /// At the sensor with this index, and with each repetition at the next one.
    Rotating(usize),
}

/// Something that goes wrong at a point in time, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub effect: Effect,
    /// Where.
    pub target: Target,
    /// When it starts, counted from the start of the hall.
    pub start: Duration,
    /// How long it lasts. Its traces may last longer: air takes a while to cool.
    pub duration: Duration,
    /// It comes again this long after each start.
    pub every: Option<Duration>,
}

/// How far a fault has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// How often it came before.
    pub(super) cycle: u64,
    /// Since its latest start.
    pub(super) since: Duration,
    /// It is still there, rather than only its traces.
    pub(super) active: bool,
}

impl Fault {
    /// How far the fault has come after `elapsed`; none before its first start.
    pub(super) fn phase(&self, elapsed: Duration) -> Option<Phase> {
        let since = elapsed.checked_sub(self.start)?;
        let (cycle, since) = match self.every {
            Some(every) if !every.is_zero() => split(since, every),
            _ => (0, since),
        };
        Some(Phase {
            cycle,
            since,
            active: since < self.duration,
        })
    }

    /// How much of the air at a sensor is other air, 0 to 1: the solution of a first-order lag for
    /// a pulse as long as the fault.
    pub(super) fn share_of_other_air(&self, phase: Phase) -> f64 {
        self.pulse(phase, PROBE_TAU)
    }

    /// How far something with this time constant, in s, has come: 0 to 1.
    pub(super) fn pulse(&self, phase: Phase, tau: f64) -> f64 {
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

    fn fault(every: Option<u64>) -> Fault {
        Fault {
            effect: Effect::HotSpot,
            target: Target::Everywhere,
            start: Duration::from_secs(10),
            duration: Duration::from_secs(5),
            every: every.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_fault_comes_lasts_and_comes_again() {
        let at = |f: &Fault, secs| f.phase(Duration::from_secs(secs));
        assert_eq!(at(&fault(None), 9), None);
        assert!(at(&fault(None), 10).unwrap().active);
        assert!(!at(&fault(None), 15).unwrap().active);
        assert!(!at(&fault(None), 110).unwrap().active);
        let again = at(&fault(Some(100)), 111).unwrap();
        assert!(again.active);
        assert_eq!((again.cycle, again.since.as_secs()), (1, 1));
    }

    #[test]
    fn other_air_comes_and_goes_with_the_lag_of_a_probe() {
        let share = |secs| {
            let fault = fault(None);
            fault.share_of_other_air(fault.phase(Duration::from_secs(secs)).unwrap())
        };
        assert!(share(10).abs() < 1e-12);
        assert!((share(15) - (1.0 - (-5.0_f64 / 8.0).exp())).abs() < 1e-12);
        assert!((share(23) - share(15) / 1.0_f64.exp()).abs() < 1e-12);
    }
}
