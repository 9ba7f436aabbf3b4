//! The state of a device.

use std::sync::Arc;
use std::time::Duration;

use thin_vec::ThinVec;

use super::super::clock::Clock;
use super::super::rack_number::RackNumber;
use super::super::records::{Header, Place};
use super::held_jump::HeldJump;
use super::writer::WriterReading;
use crate::alert::Severity;
use crate::detect::DetectorState;
use crate::detect::trend::Trend;
use crate::detect::usual::UsualLevel;
use crate::device::{Description, DeviceId, HardwareLimits, Range, Role};
use crate::episode::{Episode, Open, Tracker};
use crate::rules::{DeviceTraits, Plan, PlannedRule};
use crate::time::{StreamId, Timestamp};
use crate::units::Celsius;

/// A device, as one engine knows it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Device {
    pub(super) description: Option<Box<Description>>,
    /// Whether an agent writes it; none before its first reading.
    pub(super) by_agent: Option<bool>,
    pub(super) plan: Arc<Plan>,
    /// The state of each rule of the plan.
    pub(super) detectors: Box<[DetectorState]>,
    /// The tracker of each rule; empty while all are idle, as nearly always.
    pub(super) trackers: ThinVec<Tracker>,
    /// The rack of the devices that it is compared with.
    pub(super) rack: Option<RackNumber>,
    pub(super) trend: Trend,
    pub(super) usual: UsualLevel,
    /// The newest reading that was taken in, with the last temperature.
    pub(super) last: Option<(Timestamp, Option<Celsius>)>,
    /// The time of the last evaluation, in seconds from 1970; zero for never.
    pub(super) evaluated: u32,
    /// The role under which the commissioning check counts it.
    pub(super) counted: Option<Role>,
    /// The last entry with a reading of it.
    pub(super) through: StreamId,
    pub(super) clock: Clock,
    /// The last reading of each writer, while several agents of one name write the device.
    pub(super) writers: ThinVec<WriterReading>,
    /// The last time it was heard, by the count of listening; zero for never.
    pub(in crate::engine) heard: u64,
    /// The longest recent pause between readings, in milliseconds, where no interval is described.
    pub(super) pause: u64,
    /// The first failure of its target, while no alert reports it.
    pub(super) failing: Option<Timestamp>,
    /// A jump that waits to be confirmed.
    pub(super) held: Option<Box<HeldJump>>,
    /// Stored episodes of a device without saved state, until its plan is known.
    pub(super) carried: Option<Box<[Episode]>>,
}

impl Device {
    /// Returns the description, if its agent has sent one.
    pub(in crate::engine) fn description(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// Replaces the description. Returns whether it changed.
    pub(in crate::engine) fn set_description(&mut self, now: Option<Box<Description>>) -> bool {
        let changed = self.description != now;
        self.description = now;
        changed
    }

    /// Returns whether [`Device::set_writer`] would change nothing.
    pub(in crate::engine) fn has_writer(&self, by_agent: bool) -> bool {
        self.by_agent == Some(by_agent || self.by_agent == Some(true))
    }

    /// Returns whether only plain clients have written the device.
    pub(in crate::engine) fn is_of_plain_client(&self) -> bool {
        self.by_agent == Some(false)
    }

    /// Sets who writes the device. Returns whether the plan may change by that. A device that an agent has
    /// written stays an agent's.
    pub(in crate::engine) fn set_writer(&mut self, by_agent: bool) -> bool {
        let now = Some(by_agent || self.by_agent == Some(true));
        let changed = self.by_agent != now;
        self.by_agent = now;
        changed
    }

    /// Returns the properties that rules look at; none while no rule applies.
    pub(in crate::engine) fn traits<'a>(&'a self, id: &'a DeviceId) -> Option<DeviceTraits<'a>> {
        if let Some(known) = &self.description {
            return Some(DeviceTraits {
                device: id,
                role: known.role,
                rack: known.rack.as_deref(),
                limits: known.limits,
                resolution: known.resolution,
                interval: known.interval,
            });
        }
        (self.by_agent == Some(false)).then(|| DeviceTraits {
            device: id,
            role: Role::Inlet,
            rack: id.rack_part(),
            limits: HardwareLimits::default(),
            resolution: None,
            interval: Duration::ZERO,
        })
    }

    /// Returns the role for the range check. A plain client's devices are inlets; the role of an agent's device
    /// is unknown before its description.
    pub(super) fn role(&self) -> Role {
        let undescribed = if self.by_agent == Some(true) {
            Role::Other
        } else {
            Role::Inlet
        };
        self.description
            .as_ref()
            .map_or(undescribed, |known| known.role)
    }

    /// Returns the range that the hardware can measure.
    pub(super) fn range(&self) -> Option<Range> {
        self.description.as_deref()?.range
    }

    /// Returns the part that all records of an episode share.
    pub(super) fn header(
        &self,
        id: &DeviceId,
        rule: &PlannedRule,
        (started, severity, threshold): (Timestamp, Severity, f64),
    ) -> Header {
        Header {
            subject: id.clone().into(),
            kind: rule.kind,
            rule: rule.name.clone(),
            place: self.place(id),
            started,
            severity,
            threshold,
        }
    }

    /// Returns the place for records.
    pub(super) fn place(&self, id: &DeviceId) -> Place {
        Place::of(self.description.as_deref(), id)
    }

    /// Returns the tracker of a rule, to be changed. [`Device::settle`] must follow.
    pub(super) fn tracker(&mut self, index: usize) -> Option<&mut Tracker> {
        if self.trackers.is_empty() {
            self.trackers.reserve_exact(self.detectors.len());
            self.trackers
                .resize(self.detectors.len(), Tracker::default());
        }
        self.trackers.get_mut(index)
    }

    /// Takes the state of a rule out, so that it can change while other devices are looked at. It has to be
    /// [put back](Self::put_detector).
    pub(in crate::engine) fn take_detector(&mut self, index: usize) -> Option<DetectorState> {
        let place = self.detectors.get_mut(index)?;
        Some(std::mem::replace(place, DetectorState::PLACEHOLDER))
    }

    pub(in crate::engine) fn put_detector(&mut self, index: usize, state: DetectorState) {
        if let Some(place) = self.detectors.get_mut(index) {
            *place = state;
        }
    }

    pub(super) fn set_tracker(&mut self, index: usize, tracker: Tracker) {
        if tracker.is_idle() {
            return;
        }
        if self.trackers.len() <= index {
            let rules = self.plan.rules.len().max(index + 1);
            self.trackers.resize(rules, Tracker::default());
        }
        self.trackers[index] = tracker;
    }

    /// Frees the trackers if all are idle.
    pub(super) fn settle(&mut self) {
        if self.trackers.iter().all(Tracker::is_idle) {
            self.trackers = ThinVec::new();
        }
    }

    pub(super) fn is_idle(&self, index: usize) -> bool {
        self.trackers.get(index).is_none_or(Tracker::is_idle)
    }

    /// Returns the open episode of a rule.
    pub(super) fn open(&self, index: usize) -> Option<&Open> {
        self.trackers.get(index)?.open()
    }

    /// Sets the role for the commissioning check. Returns the one before.
    pub(in crate::engine) fn set_counted(&mut self, role: Option<Role>) -> Option<Role> {
        std::mem::replace(&mut self.counted, role)
    }

    /// Returns the rack of the devices that it is compared with.
    pub(in crate::engine) fn rack(&self) -> Option<RackNumber> {
        self.rack
    }

    pub(in crate::engine) fn set_rack(&mut self, rack: Option<RackNumber>) {
        self.rack = rack;
    }

    pub(super) fn last_value(&self) -> Option<Celsius> {
        self.last.and_then(|(_, value)| value)
    }

    /// Returns the temperature if it is the present one: the last reading was good, is at most `max_age` or three
    /// intervals older than the `newest` of all, and the device was heard within that time of `listened`, the count of
    /// listening in milliseconds.
    pub(in crate::engine) fn present_value(
        &self,
        newest: Timestamp,
        listened: u64,
        max_age: Duration,
    ) -> Option<f64> {
        let (last, value) = self.last?;
        let interval = self.description().map(|known| known.interval);
        let max_age = max_age.max(interval.unwrap_or_default() * 3);
        // Several writers are evaluated apart, and leave no time here.
        let is_good = self.evaluated == last.seconds() || !self.writers.is_empty();
        let quiet = Duration::from_millis(listened.saturating_sub(self.heard));
        let is_present = is_good && newest.since(last) < max_age && quiet < max_age;
        value.filter(|_| is_present).map(Celsius::degrees)
    }

    /// Returns whether no rule looks at it, because an agent writes it and nothing describes it.
    pub(in crate::engine) fn is_undescribed(&self) -> bool {
        self.description.is_none() && self.by_agent == Some(true)
    }

    /// Returns the time of the last reading.
    pub(in crate::engine) fn last_read(&self) -> Option<Timestamp> {
        self.last.map(|(at, _)| at)
    }

    /// Returns the zone and the rack, if the rack is known.
    pub(in crate::engine) fn zone_and_rack(&self, id: &DeviceId) -> Option<(String, String)> {
        let place = self.place(id);
        let zone = self
            .description
            .as_deref()
            .map_or(Description::DEFAULT_ZONE, Description::zone);
        (!place.rack.is_empty()).then(|| (zone.to_owned(), place.rack))
    }

    /// Returns the name of the described agent.
    pub(in crate::engine) fn agent(&self) -> Option<&str> {
        let agent = self.description.as_deref()?.agent.as_str();
        (!agent.is_empty()).then_some(agent)
    }

    /// Returns the name of the described target.
    pub(in crate::engine) fn target(&self) -> Option<&str> {
        let target = self.description.as_deref()?.target.as_str();
        (!target.is_empty()).then_some(target)
    }

    /// Returns the described rack.
    pub(in crate::engine) fn described_rack(&self) -> Option<&str> {
        self.description.as_deref()?.rack.as_deref()
    }

    /// Returns the role, and the height in the rack. An agent's device without a description has the role
    /// `other`.
    pub(in crate::engine) fn role_and_height(&self) -> (Role, Option<u16>) {
        match (self.description.as_deref(), self.by_agent) {
            (Some(known), _) => (known.role, known.u),
            (None, Some(false)) => (Role::Inlet, None),
            (None, _) => (Role::Other, None),
        }
    }

    /// Returns whether its agent announced a clean shutdown.
    pub(in crate::engine) fn is_leaving(&self) -> bool {
        self.description.as_ref().is_some_and(|known| known.leaving)
    }

    /// Returns whether it has taken in later entries.
    pub(in crate::engine) fn is_newer_than(&self, other: &Self) -> bool {
        self.through > other.through
    }

    /// Returns the plan of the rules that apply.
    pub(in crate::engine) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}
