//! `/metrics` for Prometheus: the pipeline, and the temperature and state of each sensor, rack and incident.

use std::fmt::Write as _;

use rackwatch_core::alert::Severity;
use rackwatch_core::units::Celsius;

use crate::stats::{Counts, Stats};
use crate::web::read_model::{DeviceRow, RackRow, ReadModel};

/// The exposition format, chosen by the `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The `OpenMetrics` text format, version 1.0.
    Open,
    /// The Prometheus text format, version 0.0.4.
    Classic,
}

impl Format {
    /// Returns the best format that a client accepts.
    pub(super) fn of(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::Open,
            _ => Self::Classic,
        }
    }

    /// Returns its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A metric family that is being written.
struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

/// The text written so far, and its format.
struct Page {
    text: String,
    format: Format,
}

impl<'t> Family<'t> {
    /// Writes the header of a family.
    fn begin(
        Page { text, format }: &'t mut Page,
        kind: &str,
        name: &'static str,
        unit: Option<&str>,
        help: &str,
    ) -> Self {
        // Only the older format has the suffix of counters in headers.
        let suffix = if *format == Format::Classic && kind == "counter" {
            "_total"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "# HELP {name}{suffix} {help}");
        let _ok = writeln!(text, "# TYPE {name}{suffix} {kind}");
        if let Some(unit) = unit.filter(|_| *format == Format::Open) {
            let _ok = writeln!(text, "# UNIT {name} {unit}");
        }
        Self { text, name }
    }

    /// Writes a sample of the family.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ok = write!(self.text, "{}{suffix}", self.name);
        let mut open = '{';
        for (name, value) in labels {
            let _ok = write!(self.text, "{open}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
            open = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ok = writeln!(self.text, " {value}");
    }
}

/// Returns all metrics as text. Without a model, only those of the pipeline.
pub(super) fn text(
    format: Format,
    stats: &Stats,
    streams: usize,
    model: Option<&ReadModel>,
) -> String {
    let mut text = Page {
        text: String::new(),
        format,
    };
    let counts = stats.counts();
    counters(&mut text, counts);
    gauges(&mut text, counts, stats.is_ready(), streams);
    if let Some(model) = model {
        sensors(&mut text, &model.devices(|_, _| true));
        racks(&mut text, &model.racks());
        incidents(&mut text, model);
    }
    if format == Format::Open {
        text.text.push_str("# EOF\n");
    }
    text.text
}

/// Writes the counters of the pipeline.
fn counters(text: &mut Page, counts: Counts) {
    let Counts {
        entries,
        readings,
        faults,
        dead,
        firing,
        critical,
        resolved,
        ..
    } = counts;
    for (name, help, count) in [
        (
            "rackwatch_entries",
            "Stream entries that this collector has evaluated.",
            entries,
        ),
        (
            "rackwatch_readings",
            "Readings that this collector has evaluated.",
            readings,
        ),
        (
            "rackwatch_reading_faults",
            "Readings without a temperature.",
            faults,
        ),
        (
            "rackwatch_dead_letters",
            "Entries that could not be decoded.",
            dead,
        ),
        (
            "rackwatch_alerts_fired",
            "Firing alert records that this collector has written.",
            firing,
        ),
        (
            "rackwatch_alerts_fired_critical",
            "Critical firing alert records that this collector has written.",
            critical,
        ),
        (
            "rackwatch_alerts_resolved",
            "Resolved alert records that this collector has written.",
            resolved,
        ),
    ] {
        Family::begin(text, "counter", name, None, help).sample("_total", &[], count as f64);
    }
}

/// Writes the gauges of the pipeline.
fn gauges(text: &mut Page, counts: Counts, is_ready: bool, streams: usize) {
    for (name, help, count) in [
        (
            "rackwatch_devices",
            "Devices in the partitions that this collector owns.",
            counts.devices as f64,
        ),
        (
            "rackwatch_episodes_open",
            "Open episodes in the partitions that this collector owns.",
            counts.open as f64,
        ),
        (
            "rackwatch_ready",
            "1 while this collector evaluates readings.",
            f64::from(u8::from(is_ready)),
        ),
        (
            "rackwatch_dashboard_streams",
            "Open event streams of the dashboard.",
            streams as f64,
        ),
    ] {
        Family::begin(text, "gauge", name, None, help).sample("", &[], count);
    }
}

/// Returns 0 for none, 1 for info, 2 for warning, 3 for critical.
fn rank(severity: Option<Severity>) -> f64 {
    match severity {
        None => 0.0,
        Some(Severity::Info) => 1.0,
        Some(Severity::Warning) => 2.0,
        Some(Severity::Critical) => 3.0,
    }
}

/// Writes the metrics of sensors.
fn sensors(text: &mut Page, rows: &[DeviceRow]) {
    let labels = |row: &DeviceRow| {
        [
            ("device", row.id.to_string()),
            ("rack", row.spot.rack.clone()),
            ("row", row.spot.row.clone()),
            ("room", row.spot.room.clone()),
            ("role", row.role.to_string()),
        ]
    };
    let mut write = |name, unit, help: &str, value: &dyn Fn(&DeviceRow) -> Option<f64>| {
        let mut family = Family::begin(text, "gauge", name, unit, help);
        for row in rows {
            let Some(value) = value(row) else { continue };
            let labels = labels(row);
            let labels = labels
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            family.sample("", &labels, value);
        }
    };
    write(
        "rackwatch_temperature_celsius",
        Some("celsius"),
        "Temperature of a sensor, absent during a read failure.",
        &|row| {
            row.now
                .value
                .filter(|_| row.now.fault.is_none())
                .map(Celsius::degrees)
        },
    );
    write(
        "rackwatch_sensor_up",
        None,
        "1 if the last read of a sensor succeeded, 0 otherwise.",
        &|row| {
            row.now
                .at
                .map(|_| f64::from(u8::from(row.now.fault.is_none())))
        },
    );
    write(
        "rackwatch_sensor_reading_timestamp_seconds",
        Some("seconds"),
        "Time of the last reading of a sensor.",
        &|row| row.now.at.map(|at| at.millis() as f64 / 1000.0),
    );
    write(
        "rackwatch_sensor_severity",
        None,
        "Highest severity that fires on a sensor: 0 none, 1 info, 2 warning, 3 critical.",
        &|row| Some(rank(row.now.severity)),
    );
}

/// Writes the metrics of racks.
fn racks(text: &mut Page, rows: &[RackRow]) {
    let mut write = |name, unit, help: &str, value: &dyn Fn(&RackRow) -> Option<f64>| {
        let mut family = Family::begin(text, "gauge", name, unit, help);
        for row in rows {
            let labels = [
                ("rack", row.rack.as_str()),
                ("row", &row.row),
                ("room", &row.room),
            ];
            if let Some(value) = value(row) {
                family.sample("", &labels, value);
            }
        }
    };
    write(
        "rackwatch_rack_inlet_max_celsius",
        Some("celsius"),
        "Warmest inlet of a rack.",
        &|row| row.inlet_max,
    );
    write(
        "rackwatch_rack_delta_celsius",
        Some("celsius"),
        "Mean of a rack's exhausts less the mean of its inlets.",
        &|row| row.delta_t,
    );
}

/// Writes the metrics of incidents and cooling indices.
fn incidents(text: &mut Page, model: &ReadModel) {
    let open = model.incidents();
    let mut family = Family::begin(
        text,
        "gauge",
        "rackwatch_incidents_open",
        None,
        "Unresolved incidents.",
    );
    for severity in Severity::ALL {
        let count = open
            .iter()
            .filter(|one| one.record.severity == severity)
            .count();
        family.sample("", &[("severity", severity.name())], count as f64);
    }
    let mut family = Family::begin(
        text,
        "gauge",
        "rackwatch_index_percent",
        Some("percent"),
        "Rack cooling index of the site, a room or a row (Herrlin 2005).",
    );
    for scope in model.scopes() {
        for (end, value) in [
            ("high", scope.indices.rci_hi),
            ("low", scope.indices.rci_lo),
        ] {
            if let Some(value) = value {
                let labels = [
                    ("scope", scope.scope),
                    ("name", scope.name.as_str()),
                    ("end", end),
                ];
                family.sample("", &labels, value);
            }
        }
    }
}
