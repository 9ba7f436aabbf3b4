//! An incident for the tests of this folder.

use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::incident::{Cause, Event, IncidentId, IncidentRecord};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;

/// Returns a critical incident of rack B07 that has just been opened.
pub(crate) fn incident() -> IncidentRecord {
    let at = |seconds: u64| Timestamp::from_millis(1_795_000_000_000 + seconds * 1000).unwrap();
    let first = Subject::from(DeviceId::new("inlet-B07-1").unwrap());
    IncidentRecord {
        id: IncidentId::from_wire("2647846df3c1ceb9"),
        event: Event::Opened,
        notification_id: Some("2647846df3c1ceb9-1".to_owned()),
        severity: Severity::Critical,
        title: "cooling is failing: rack B07".to_owned(),
        cause: Cause::Rack("B07".to_owned()),
        first: first.clone(),
        since: at(0),
        until: None,
        at: at(10),
        racks: vec!["B07".to_owned()],
        rooms: vec!["hall-1".to_owned()],
        roles: vec![Role::Inlet],
        devices: vec![first],
        device_count: 1,
        alerts: 1,
        open: 1,
        stale: 0,
        peak: None,
        left_ms: None,
        acked_by: None,
    }
}
