//! `/metrics` for Prometheus: the pipeline, and the temperature and state of each sensor, rack and incident.
//!
//! In: the counters and the read model at one moment. Out: text in the format that the scraper asks for.

use std::collections::BTreeMap;
mod counters;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use rackwatch_core::alert::Severity;
use rackwatch_core::device::DataState;
use rackwatch_core::units::Celsius;

use self::counters::counters;
use crate::peers::{Announcement, differences};
use crate::stats::{Counts, Stats};
use crate::web::read_model::{DeviceRow, RackRow, ReadModel, Scope};

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
        let accept = accept.unwrap_or_default();
        let open = quality(accept, &["application/openmetrics-text"]);
        let classic = quality(accept, &["text/plain", "text/*", "*/*"]);
        if open > 0.0 && open >= classic {
            Self::Open
        } else {
            Self::Classic
        }
    }

    /// Returns its media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Returns the highest quality that an `Accept` header gives to one of `types`; 0 if it names none.
fn quality(accept: &str, types: &[&str]) -> f32 {
    let of = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next()?;
        types
            .iter()
            .find(|one| one.eq_ignore_ascii_case(media_type))?;
        let mut parameters = parts.filter_map(|part| part.split_once('='));
        let given = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        given.map_or(Some(1.0), |(_, value)| value.trim().parse::<f32>().ok())
    };
    accept.split(',').filter_map(of).fold(0.0, f32::max)
}

/// The values of one scrape.
#[derive(Debug)]
pub(super) struct Scrape {
    counts: Counts,
    is_ready: bool,
    /// Announcements of the running collectors.
    peers: BTreeMap<String, Announcement>,
    /// Open event streams of the dashboard.
    streams: usize,
    /// Values of the read model; `None` while it is not loaded.
    model: Option<ModelValues>,
}

/// The values of the read model.
#[derive(Debug)]
struct ModelValues {
    devices: Vec<DeviceRow>,
    racks: Vec<RackRow>,
    /// The number of unresolved incidents of each severity.
    incidents: [(Severity, usize); Severity::ALL.len()],
    scopes: Vec<Scope>,
}

impl Scrape {
    /// Takes the values of this moment. Without a model, only those of the pipeline.
    pub(super) fn new(stats: &Stats, streams: usize, model: Option<&ReadModel>) -> Self {
        Self {
            counts: stats.counts(),
            is_ready: stats.progress().problems().is_empty(),
            peers: stats.peers(),
            streams,
            model: model.map(ModelValues::new),
        }
    }

    /// Returns the values as text.
    pub(super) fn text(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        match format {
            Format::Open => text::encode(&mut written, &registry)?,
            Format::Classic => prometheus_text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }
}

impl ModelValues {
    fn new(model: &ReadModel) -> Self {
        let open = model.incidents();
        let count = |severity| {
            let same = open.iter().filter(|one| one.record.severity == severity);
            (severity, same.count())
        };
        Self {
            devices: model.devices(|_, _| true),
            racks: model.racks(),
            incidents: Severity::ALL.map(count),
            scopes: model.scopes(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        counters(&mut encoder, self.counts)?;
        gauges(&mut encoder, self.counts, self.is_ready, self.streams)?;
        collectors(&mut encoder, &self.peers)?;
        if let Some(model) = &self.model {
            sensors(&mut encoder, &model.devices)?;
            racks(&mut encoder, &model.racks)?;
            incidents(&mut encoder, &model.incidents)?;
            indices(&mut encoder, &model.scopes)?;
        }
        Ok(())
    }
}

/// Name, unit and help of a gauge. The unit is the end of its whole name.
struct Gauge {
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
}

impl Gauge {
    /// Writes the header, and a sample for each pair of labels and value.
    fn write<L: EncodeLabelSet, V: EncodeGaugeValue>(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let (unit, kind) = (self.unit.as_ref(), MetricType::Gauge);
        let mut metric = encoder.encode_descriptor(self.name, self.help, unit, kind)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// Returns the labels and the value of each row that has a value.
fn samples<'r, R, L, V>(
    rows: &'r [R],
    labels: fn(&'r R) -> L,
    value: fn(&'r R) -> Option<V>,
) -> impl Iterator<Item = (L, V)> {
    rows.iter()
        .filter_map(move |row| Some((labels(row), value(row)?)))
}

/// Writes the gauges of the pipeline.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    counts: Counts,
    is_ready: bool,
    streams: usize,
) -> fmt::Result {
    const NO_LABELS: [(&str, &str); 0] = [];
    for (name, help, count) in [
        (
            "rackwatch_devices",
            "Devices in the partitions that this collector owns.",
            counts.devices,
        ),
        (
            "rackwatch_episodes_open",
            "Open episodes in the partitions that this collector owns.",
            counts.open,
        ),
        (
            "rackwatch_ready",
            "1 while no reading or alert waits too long for this collector, 0 otherwise.",
            u64::from(is_ready),
        ),
        (
            "rackwatch_dashboard_streams",
            "Open event streams of the dashboard.",
            streams as u64,
        ),
    ] {
        let gauge = Gauge {
            name,
            unit: None,
            help,
        };
        gauge.write(encoder, [(NO_LABELS, count)])?;
    }
    Ok(())
}

/// Writes what the running collectors announce, and the number of parts in which they differ.
fn collectors(
    encoder: &mut DescriptorEncoder<'_>,
    peers: &BTreeMap<String, Announcement>,
) -> fmt::Result {
    let info = Gauge {
        name: "rackwatch_collector_info",
        unit: None,
        help: "Version and digests of the settings of each running collector.",
    };
    let samples = peers.iter().map(|(name, announced)| {
        let labels = [("collector", name.as_str())];
        let labels = labels.into_iter().chain(announced.parts());
        (labels.collect::<Vec<_>>(), 1)
    });
    info.write(encoder, samples)?;
    let differ = Gauge {
        name: "rackwatch_collectors_differ",
        unit: None,
        help: "1 if running collectors differ in this part, 0 otherwise.",
    };
    let found = differences(peers);
    let parts = peers.values().next().into_iter();
    let samples = parts.flat_map(Announcement::parts).map(|(part, _)| {
        let is_different = found.iter().any(|one| one.part == part);
        ([("part", part)], u32::from(is_different))
    });
    differ.write(encoder, samples)
}

/// Returns 0 for none, 1 for info, 2 for warning, 3 for critical.
fn rank(severity: Option<Severity>) -> u32 {
    match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Warning) => 2,
        Some(Severity::Critical) => 3,
    }
}

/// Writes the metrics of sensors.
fn sensors(encoder: &mut DescriptorEncoder<'_>, rows: &[DeviceRow]) -> fmt::Result {
    fn labels(row: &DeviceRow) -> [(&str, &str); 5] {
        [
            ("device", row.id.as_str()),
            ("rack", &row.spot.rack),
            ("row", &row.spot.row),
            ("room", &row.spot.room),
            ("role", row.role.name()),
        ]
    }
    let temperature = Gauge {
        name: "rackwatch_temperature",
        unit: Some(Unit::Celsius),
        help: "Temperature of a sensor, absent unless good readings arrive and are evaluated.",
    };
    let degrees = samples(rows, labels, |row| {
        let value = row.now.value.filter(|_| row.state == DataState::Live);
        value.map(Celsius::degrees)
    });
    temperature.write(encoder, degrees)?;
    let up = Gauge {
        name: "rackwatch_sensor_up",
        unit: None,
        help: "1 while good readings of a sensor arrive and are evaluated, 0 otherwise.",
    };
    let succeeded = samples(rows, labels, |row| {
        let is_known = row.state != DataState::Unknown;
        is_known.then(|| u32::from(row.state == DataState::Live))
    });
    up.write(encoder, succeeded)?;
    let read_at = Gauge {
        name: "rackwatch_sensor_reading_timestamp",
        unit: Some(Unit::Seconds),
        help: "Time of the last reading of a sensor.",
    };
    let seconds = samples(rows, labels, |row| {
        row.now.at.map(|at| at.millis() as f64 / 1000.0)
    });
    read_at.write(encoder, seconds)?;
    let severity = Gauge {
        name: "rackwatch_sensor_severity",
        unit: None,
        help: "Highest severity that fires on a sensor: 0 none, 1 info, 2 warning, 3 critical. Absent while no rule looks at it.",
    };
    let ranks = samples(rows, labels, |row| {
        let is_evaluated = row.state != DataState::NotEvaluated || row.now.severity.is_some();
        is_evaluated.then(|| rank(row.now.severity))
    });
    severity.write(encoder, ranks)
}

/// Writes the metrics of racks.
fn racks(encoder: &mut DescriptorEncoder<'_>, rows: &[RackRow]) -> fmt::Result {
    fn labels(row: &RackRow) -> [(&str, &str); 3] {
        [("rack", &row.rack), ("row", &row.row), ("room", &row.room)]
    }
    let inlet_max = Gauge {
        name: "rackwatch_rack_inlet_max",
        unit: Some(Unit::Celsius),
        help: "Warmest inlet of a rack.",
    };
    inlet_max.write(encoder, samples(rows, labels, |row| row.inlet_max))?;
    let delta = Gauge {
        name: "rackwatch_rack_delta",
        unit: Some(Unit::Celsius),
        help: "Mean of a rack's exhausts less the mean of its inlets.",
    };
    delta.write(encoder, samples(rows, labels, |row| row.delta_t))
}

/// Writes the metrics of incidents.
fn incidents(encoder: &mut DescriptorEncoder<'_>, counts: &[(Severity, usize)]) -> fmt::Result {
    let open = Gauge {
        name: "rackwatch_incidents_open",
        unit: None,
        help: "Unresolved incidents.",
    };
    let counts = counts
        .iter()
        .map(|(severity, count)| ([("severity", severity.name())], *count as u64));
    open.write(encoder, counts)
}

/// Writes the cooling indices.
fn indices(encoder: &mut DescriptorEncoder<'_>, scopes: &[Scope]) -> fmt::Result {
    let index = Gauge {
        name: "rackwatch_index",
        unit: Some(Unit::Other("percent".to_owned())),
        help: "Rack cooling index of the site, a room or a row (Herrlin 2005). Absent while it rests on less than half of \
               the inlets.",
    };
    let ends = scopes.iter().flat_map(|scope| {
        let ends = [
            ("high", scope.indices.rci_hi),
            ("low", scope.indices.rci_lo),
        ];
        ends.into_iter().filter_map(|(end, value)| {
            let labels = [("scope", scope.scope), ("name", &scope.name), ("end", end)];
            Some((labels, value?))
        })
    });
    index.write(encoder, ends)?;
    let coverage = Gauge {
        name: "rackwatch_index_coverage",
        unit: Some(Unit::Other("ratio".to_owned())),
        help: "Part of the inlets of the site, a room or a row with a present value, from 0 to 1. Indices rest on these.",
    };
    let shares = scopes.iter().filter_map(|scope| {
        let labels = [("scope", scope.scope), ("name", &scope.name)];
        Some((labels, scope.indices.coverage?))
    });
    coverage.write(encoder, shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_is_read_with_its_qualities() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus, Format::Open),
            ("Application/OpenMetrics-Text", Format::Open),
            ("application/openmetrics-text; q=0", Format::Classic),
            (
                "application/openmetrics-text;q=0.1, text/plain",
                Format::Classic,
            ),
            ("*/*", Format::Classic),
            ("application/openmetrics-text-2", Format::Classic),
        ] {
            assert_eq!(Format::of(Some(accept)), format, "{accept}");
        }
        assert_eq!(Format::of(None), Format::Classic);
    }
}
