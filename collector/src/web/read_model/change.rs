//! Changes that the read model applies, and the changes that it reports.

use std::collections::BTreeSet;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::episode::Episode;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{IncidentId, IncidentRecord};
use rackwatch_core::reading::Reading;
use rackwatch_core::site::Site;
use rackwatch_core::time::Timestamp;

/// A change of the site's state.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A new site file.
    Site(Site),
    /// A new description of a device, or none once the device is deleted.
    Described(DeviceId, Option<Box<Description>>),
    /// A description that this version refuses, with the reason.
    Refused(DeviceId, String),
    /// A new reading of a device.
    Reading {
        /// The reading.
        reading: Reading,
        /// An agent sent it. Otherwise a plain client did.
        by_agent: bool,
    },
    /// All open episodes, in place of the known ones.
    Open(Vec<Episode>),
    /// A new alert record.
    Alert(Box<AlertRecord>),
    /// A new incident record.
    Incident(Box<IncidentRecord>),
    /// The time by Redis' clock.
    Time(Timestamp),
    /// All silences, in place of the known ones.
    Silences(Vec<Silence>),
}

/// The parts of the read model that changed since they were last taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeSet {
    /// Devices with another value, fault or severity.
    pub(crate) devices: BTreeSet<DeviceId>,
    /// Incidents with a new record.
    pub(crate) incidents: BTreeSet<IncidentId>,
    /// The set of silences changed.
    pub(crate) silences: bool,
    /// The set of devices or their places changed, so clients read everything again.
    pub(crate) reload: bool,
}

impl ChangeSet {
    /// Returns whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.incidents.is_empty() && !self.silences && !self.reload
    }
}
