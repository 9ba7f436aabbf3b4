//! The inputs of the engine, and its outputs.

use std::time::Duration;

use super::commissioning::Notice;
use super::inventory::InventoryChange;
use crate::alert::{AlertId, AlertRecord};
use crate::device::{Description, DeviceId};
use crate::episode::Episode;
use crate::loss_ledger::{Loss, ReportedSequence, Runs};
use crate::reading::Reading;
use crate::subject::Subject;
use crate::time::{StreamId, Timestamp};

/// An input of the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A device's new description; none if the device was forgotten.
    Describe(DeviceId, Option<Box<Description>>),
    /// A reading of a device.
    Reading {
        /// The entry that contained it.
        entry: StreamId,
        /// Whether that entry names an agent. An undescribed device is taken for an inlet if a plain client
        /// writes it; an agent's device is not evaluated before its description arrives.
        by_agent: bool,
        /// The temperature or the fault.
        reading: Reading,
    },
    /// The sequence number and clock that an agent's entry reports; it precedes the entry's readings.
    Sequence(Box<ReportedSequence>),
    /// The seconds that the clock of a plain client is ahead, at the time of the next reading of its device.
    /// That reading's timestamp is corrected already.
    ClientClock(DeviceId, Timestamp, i64),
    /// A person resolved this alert of this subject.
    Resolve(Subject, AlertId),
    /// The time by which the ids of the next entries are ahead of Redis' clock; zero again after them.
    Ahead(Duration),
    /// A time in which the collector listened and nothing arrived.
    Waited(Duration),
}

/// The output of the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Alert records to write, in order.
    pub alerts: Vec<AlertRecord>,
    /// Limits that do not fit the site.
    pub notices: Vec<Notice>,
    /// Devices and hardware with a new place.
    pub inventory: Vec<InventoryChange>,
    /// Losses to write, in order.
    pub losses: Vec<Loss>,
    /// Progress of agents, to be stored in one step with the records.
    pub agents: Vec<(String, Runs)>,
    /// Changes of the stored episodes, to be made in one step with the records.
    pub episodes: Vec<EpisodeChange>,
    /// Counts of the readings.
    pub tally: Tally,
}

/// A change of the stored episodes.
#[derive(Clone, Debug, PartialEq)]
pub enum EpisodeChange {
    /// The episode began or became worse: store it.
    Open(Box<Episode>),
    /// The episode ended: delete it.
    Close {
        /// The subject of the episode.
        subject: Subject,
        /// The rule of the episode.
        rule: String,
    },
}

/// Counts of readings, by what the engine did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Readings evaluated by the device's rules, even where it has none.
    pub evaluated: u64,
    /// Readings of agents' devices without a description.
    pub undescribed: u64,
    /// Readings with the timestamp and the temperature of the device's last one.
    pub duplicate: u64,
    /// Readings with the timestamp of the device's last one and another temperature.
    pub conflicting: u64,
    /// Readings older than the device's last one.
    pub late: u64,
    /// Readings that are faults, or out of range.
    pub faults: u64,
}

/// A change of an alert: its record, and the change of the stored episode that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlertEvent {
    pub(super) record: AlertRecord,
    pub(super) episode: EpisodeChange,
}

impl Effects {
    /// Adds an alert event.
    pub(super) fn report(&mut self, event: AlertEvent) {
        self.alerts.push(event.record);
        self.episodes.push(event.episode);
    }

    /// Adds alert events in order.
    pub(super) fn report_all(&mut self, events: impl IntoIterator<Item = AlertEvent>) {
        for event in events {
            self.report(event);
        }
    }
}
