//! The counters of the pipeline in this collector.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use crate::stats::Counts;

/// The name, the help and the value of a counter.
type NamedCounter = (&'static str, &'static str, fn(&Counts) -> u64);

/// The counters of the pipeline. The encoder ends their names with `_total`.
const COUNTERS: [NamedCounter; 11] = [
    (
        "rackwatch_entries",
        "Stream entries that this collector has evaluated.",
        |counts| counts.entries,
    ),
    (
        "rackwatch_readings",
        "Readings that this collector has evaluated.",
        |counts| counts.readings,
    ),
    (
        "rackwatch_reading_faults",
        "Readings without a temperature.",
        |counts| counts.faults,
    ),
    (
        "rackwatch_readings_late",
        "Readings older than their device's last, stored and not evaluated.",
        |counts| counts.late,
    ),
    (
        "rackwatch_readings_duplicate",
        "Readings that came again.",
        |counts| counts.duplicate,
    ),
    (
        "rackwatch_readings_conflicting",
        "Readings that differ from another of the same device and time.",
        |counts| counts.conflicting,
    ),
    (
        "rackwatch_readings_beyond_max_devices",
        "Readings of devices beyond partition.max_devices, which are dead letters.",
        |counts| counts.beyond,
    ),
    (
        "rackwatch_dead_letters",
        "Entries that could not be decoded.",
        |counts| counts.dead,
    ),
    (
        "rackwatch_alerts_fired",
        "Firing alert records that this collector has written.",
        |counts| counts.firing,
    ),
    (
        "rackwatch_alerts_fired_critical",
        "Critical firing alert records that this collector has written.",
        |counts| counts.critical,
    ),
    (
        "rackwatch_alerts_resolved",
        "Resolved alert records that this collector has written.",
        |counts| counts.resolved,
    ),
];

/// Writes the counters of the pipeline.
pub(super) fn counters(encoder: &mut DescriptorEncoder<'_>, counts: Counts) -> fmt::Result {
    for (name, help, count) in COUNTERS {
        let counter = ConstCounter::new(count(&counts));
        let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(metric)?;
    }
    Ok(())
}
