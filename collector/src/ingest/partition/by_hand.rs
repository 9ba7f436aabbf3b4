//! The log of alerts that people resolved: their records say that it was by hand, and here is by whom and why.

use std::collections::HashSet;

use rackwatch_core::alert::{AlertId, EndedBy};
use rackwatch_core::engine::Effects;
use rackwatch_core::name::printable;
use rackwatch_core::partition::PartitionId;

use super::super::raw_stream::ResolvedByHand;
use crate::incidents::resolve_request::ResolveRequest;

/// Returns the alerts that a step ended because a person resolved them.
pub(super) fn resolved_by_hand(effects: &Effects) -> HashSet<AlertId> {
    let by_hand = effects.alerts.iter().filter(|record| {
        let resolution = record.resolution;
        resolution.is_some_and(|resolution| resolution.ended_by == EndedBy::Operator)
    });
    by_hand.map(|record| record.id.clone()).collect()
}

/// Logs the requests of a step after its commit, and those that came too late.
pub(super) fn log_resolutions(
    partition: PartitionId,
    requests: &[ResolvedByHand],
    resolved: &HashSet<AlertId>,
) {
    for (alert, request) in requests {
        let ResolveRequest {
            subject, by, note, ..
        } = request;
        let (alert_id, by, note) = (printable(alert.as_str()), printable(by), printable(note));
        if resolved.contains(alert) {
            tracing::info!(%partition, alert = %alert_id, %subject, %by, %note, "alert resolved by hand");
        } else {
            tracing::info!(%partition, alert = %alert_id, %subject, %by, "alert to resolve by hand is not open");
        }
    }
}
