//! Recordings: CSV files with a header line, a reading a line.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use csv::StringRecord;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

/// What was recorded of one device, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Which device.
    pub device: DeviceId,
    /// What is known of it, beside its readings.
    pub description: Option<Box<Description>>,
    /// Its readings.
    pub readings: Vec<(Timestamp, Celsius)>,
}

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The column of the device; `device_id` without it, and the file's name where there is none.
    pub device: Option<String>,
    /// The column of the time; `timestamp` without it.
    pub timestamp: Option<String>,
    /// The column of the temperature; `temperature` or `value` without it.
    pub temperature: Option<String>,
    /// Where there are no times: the first reading of each device is at 1970-01-01 00:00 UTC, the
    /// others follow at this distance.
    pub interval: Option<Duration>,
}

/// What was read of a file.
#[derive(Debug, Default)]
pub struct Read {
    /// A recording a device.
    pub recordings: Vec<Recording>,
    /// Lines that are no reading.
    pub bad_lines: u64,
    /// The first of them, and why.
    pub first_bad: Option<(u64, String)>,
}

/// A file that is no recording.
#[derive(Debug, thiserror::Error)]
pub enum NotARecording {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A column is missing.
    #[error(
        "{} has no column {wanted}, it has: {}; name it with --columns{}",
        file.display(), found.join(", "),
        if *wanted == "timestamp" { ", or give the --interval of its readings" } else { "" }
    )]
    Column {
        /// Which file.
        file: PathBuf,
        /// What is looked for.
        wanted: &'static str,
        /// What is there.
        found: Vec<String>,
    },
}

/// Columns by number.
struct Columns {
    device: Option<usize>,
    /// None where readings are counted.
    timestamp: Option<usize>,
    temperature: usize,
}

/// Reads a file.
///
/// # Errors
///
/// When it cannot be read, or lacks a column. A line that is no reading is counted.
pub fn read(file: &Path, layout: &Layout) -> Result<Read, NotARecording> {
    let failed = |source| NotARecording::File {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(|error| failed(error.into()))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(opened);
    let header = reader.headers().map_err(failed)?.clone();
    let columns = columns(file, &header, layout)?;
    let alone = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut read = Read::default();
    let mut known: HashMap<DeviceId, usize> = HashMap::new();
    let mut line = StringRecord::new();
    while reader.read_record(&mut line).map_err(failed)? {
        let named = columns.device.map_or(Some(&*alone), |n| line.get(n));
        let device = DeviceId::sanitized(named.unwrap_or_default().trim());
        let recording = *known.entry(device).or_insert_with_key(|device| {
            read.recordings.push(Recording {
                device: device.clone(),
                description: None,
                readings: Vec::new(),
            });
            read.recordings.len() - 1
        });
        let readings = &mut read.recordings[recording].readings;
        match reading(&line, &columns, layout, readings.len()) {
            Ok(reading) => readings.push(reading),
            Err(why) => {
                read.bad_lines += 1;
                let number = line.position().map_or(0, csv::Position::line);
                read.first_bad.get_or_insert((number, why));
            }
        }
    }
    read.recordings.retain(|known| !known.readings.is_empty());
    Ok(read)
}

fn columns(file: &Path, header: &StringRecord, layout: &Layout) -> Result<Columns, NotARecording> {
    let find = |name: &str| header.iter().position(|column| column.trim() == name);
    let any = |named: &Option<String>, usual: &[&str]| match named {
        Some(name) => find(name),
        None => usual.iter().find_map(|name| find(name)),
    };
    let missing = |wanted| NotARecording::Column {
        file: file.to_owned(),
        wanted,
        found: header.iter().map(str::to_owned).collect(),
    };
    let device = any(&layout.device, &["device_id"]);
    if layout.device.is_some() && device.is_none() {
        return Err(missing("device"));
    }
    let timestamp = any(&layout.timestamp, &["timestamp"]).filter(|_| layout.interval.is_none());
    if timestamp.is_none() && layout.interval.is_none() {
        return Err(missing("timestamp"));
    }
    let temperature = any(&layout.temperature, &["temperature", "value"]);
    Ok(Columns {
        device,
        timestamp,
        temperature: temperature.ok_or_else(|| missing("temperature"))?,
    })
}

fn reading(
    line: &StringRecord,
    columns: &Columns,
    layout: &Layout,
    number: usize,
) -> Result<(Timestamp, Celsius), String> {
    let field = |column: usize| line.get(column).unwrap_or_default().trim();
    let value = field(columns.temperature);
    let value = Celsius::parse(value).map_err(|error| error.to_string())?;
    let at = match (columns.timestamp, layout.interval) {
        (Some(column), _) => {
            let text = field(column);
            time(text).ok_or_else(|| format!("{text:?} is no time: expected ms or ISO 8601"))?
        }
        (None, interval) => {
            let number = u32::try_from(number).map_err(|_| "too many readings".to_owned())?;
            Timestamp::default().plus(interval.unwrap_or_default() * number)
        }
    };
    Ok((at, value))
}

/// Milliseconds since 1970, or ISO 8601; UTC where no zone is given.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    if let Ok(millis) = text.parse::<u64>() {
        return Timestamp::from_millis(millis);
    }
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let at = text.parse::<DateTime>().ok()?;
        TimeZone::UTC.to_timestamp(at).ok()
    })?;
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn times_are_read() {
        let ms = |text| time(text).map(Timestamp::millis);
        assert_eq!(ms("1386018900000"), Some(1_386_018_900_000));
        for text in [
            "2013-12-02 21:15:00",
            "2013-12-02T21:15:00.000Z",
            "2013-12-02T22:15:00+01:00",
        ] {
            assert_eq!(ms(text), Some(1_386_018_900_000), "{text}");
        }
        assert_eq!(ms("yesterday"), None);
    }

    #[test]
    fn a_file_is_read_a_device_at_a_time_and_bad_lines_are_counted() {
        let file = written("n,mote,temperature\n1,a,20.5\n2,b,21\n3,a,nonsense\n4,a,22\n5,a\n");
        let layout = Layout {
            device: Some("mote".into()),
            interval: Some(Duration::from_secs(5)),
            ..Layout::default()
        };
        let read = read(file.path(), &layout).unwrap();
        let of = |n: usize| {
            let recording = &read.recordings[n];
            let all = recording.readings.iter();
            let all: Vec<_> = all.map(|(at, t)| (at.millis(), t.degrees())).collect();
            (recording.device.as_str().to_owned(), all)
        };
        assert_eq!(of(0), ("a".into(), vec![(0, 20.5), (5000, 22.0)]));
        assert_eq!(of(1), ("b".into(), vec![(0, 21.0)]));
        assert_eq!(read.bad_lines, 2);
        assert_eq!(read.first_bad.unwrap().0, 4);
    }

    #[test]
    fn what_is_missing_is_named() {
        let file = written("when,value\n1,2\n");
        let error = read(file.path(), &Layout::default()).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("no column timestamp, it has: when, value")
                && said.contains("--interval"),
            "{said}"
        );
    }
}
