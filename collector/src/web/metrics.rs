//! `/metrics`: what Prometheus scrapes, as `OpenMetrics` 1.0: the pipeline, and each sensor's temperature and state, so
//! that who has Prometheus already has everything there too.

use std::fmt::Write as _;

use rackwatch_core::alert::Severity;
use rackwatch_core::units::Celsius;

use crate::stats::{Counts, Stats};
use crate::web::view::picture::{DeviceRow, Picture, RackRow};

/// The two formats: who asks for the newer one gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `OpenMetrics` 1.0.
    Open,
    /// The text format of Prometheus, 0.0.4.
    Classic,
}

impl Format {
    /// What a request accepts.
    pub(super) fn of(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::Open,
            _ => Self::Classic,
        }
    }

    /// What it is called.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A family of metrics, as it is written.
struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

/// What is written, and how.
struct Page {
    text: String,
    format: Format,
}

impl<'t> Family<'t> {
    fn begin(
        Page { text, format }: &'t mut Page,
        kind: &str,
        name: &'static str,
        unit: Option<&str>,
        help: &str,
    ) -> Self {
        // The older format has the whole name of a counter here.
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

/// Everything, as text.
pub(super) fn text(
    format: Format,
    stats: &Stats,
    streams: usize,
    picture: Option<&Picture>,
) -> String {
    let mut text = Page {
        text: String::new(),
        format,
    };
    pipeline(&mut text, stats, streams);
    if let Some(picture) = picture {
        sensors(&mut text, &picture.devices(|_, _| true));
        racks(&mut text, &picture.racks());
        incidents(&mut text, picture);
    }
    if format == Format::Open {
        text.text.push_str("# EOF\n");
    }
    text.text
}

fn pipeline(text: &mut Page, stats: &Stats, streams: usize) {
    let Counts {
        entries,
        readings,
        faults,
        dead,
        devices,
        firing,
        critical,
        resolved,
        open,
    } = stats.counts();
    for (name, help, count) in [
        (
            "rackwatch_entries",
            "Stream entries that this collector has judged.",
            entries,
        ),
        ("rackwatch_readings", "Readings in them.", readings),
        (
            "rackwatch_reading_faults",
            "Readings without a temperature.",
            faults,
        ),
        (
            "rackwatch_dead_letters",
            "Entries that could not be understood.",
            dead,
        ),
        (
            "rackwatch_alerts_fired",
            "Firing alert records that this collector has written.",
            firing,
        ),
        (
            "rackwatch_alerts_fired_critical",
            "Of those the critical ones.",
            critical,
        ),
        (
            "rackwatch_alerts_resolved",
            "Resolved alert records.",
            resolved,
        ),
    ] {
        Family::begin(text, "counter", name, None, help).sample("_total", &[], count as f64);
    }
    for (name, help, count) in [
        (
            "rackwatch_devices",
            "Devices in the partitions that this collector owns.",
            devices as f64,
        ),
        (
            "rackwatch_episodes_open",
            "Episodes that are open in them.",
            open as f64,
        ),
        (
            "rackwatch_ready",
            "1 when readings are judged.",
            f64::from(u8::from(stats.is_ready())),
        ),
        (
            "rackwatch_dashboard_streams",
            "Event streams that are open.",
            streams as f64,
        ),
    ] {
        Family::begin(text, "gauge", name, None, help).sample("", &[], count);
    }
}

/// 0 nothing fires, 1 info, 2 warning, 3 critical.
fn rank(severity: Option<Severity>) -> f64 {
    match severity {
        None => 0.0,
        Some(Severity::Info) => 1.0,
        Some(Severity::Warning) => 2.0,
        Some(Severity::Critical) => 3.0,
    }
}

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
        "What a sensor says; left out while it cannot be read.",
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
        "1 where a sensor can be read, 0 where it says a fault.",
        &|row| {
            row.now
                .at
                .map(|_| f64::from(u8::from(row.now.fault.is_none())))
        },
    );
    write(
        "rackwatch_sensor_reading_timestamp_seconds",
        Some("seconds"),
        "When a sensor was read last.",
        &|row| row.now.at.map(|at| at.millis() as f64 / 1000.0),
    );
    write(
        "rackwatch_sensor_severity",
        None,
        "The worst that fires on a sensor: 0 nothing, 1 info, 2 warning, 3 critical.",
        &|row| Some(rank(row.now.severity)),
    );
}

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
        "The warmest inlet of a rack.",
        &|row| row.inlet_max,
    );
    write(
        "rackwatch_rack_delta_celsius",
        Some("celsius"),
        "By how much a rack's exhausts are warmer than its inlets, on average.",
        &|row| row.delta_t,
    );
}

fn incidents(text: &mut Page, picture: &Picture) {
    let open = picture.incidents();
    let mut family = Family::begin(
        text,
        "gauge",
        "rackwatch_incidents_open",
        None,
        "Incidents that are not over.",
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
    for scope in picture.scopes() {
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
