//! Recordings: CSV files with a header line and one reading per line.

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

/// Readings of one device, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    /// Id of the device.
    pub device: DeviceId,
    /// Description of the device, if known.
    pub description: Option<Box<Description>>,
    /// Readings in the order of the file, not always that of time.
    pub readings: Vec<(Timestamp, Celsius)>,
}

/// Names of the columns of a file, or the interval that replaces its times.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnMap {
    /// Column of the device id [default: `device_id`; without this column, the file name is the device id].
    pub device: Option<String>,
    /// Column of the time [default: `timestamp`].
    pub timestamp: Option<String>,
    /// Column of the temperature [default: `temperature` or `value`].
    pub temperature: Option<String>,
    /// Interval of readings in files without times. The first reading of each device is at 1970-01-01 00:00 UTC.
    pub interval: Option<Duration>,
}

/// Content of a file.
#[derive(Debug, Default)]
pub(crate) struct RecordingFile {
    /// One recording for each device.
    pub recordings: Vec<Recording>,
    /// Count of lines without a valid reading.
    pub bad_lines: u64,
    /// Line number and error of the first bad line.
    pub first_bad: Option<(u64, String)>,
}

/// A file that cannot be used as a recording.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    File {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system or the CSV reader.
        source: csv::Error,
    },
    /// A column is missing.
    #[error(
        "no {wanted} column in {}, which has {}: name the column with --columns{}",
        file.display(), found.join(", "),
        if *wanted == "timestamp" { ", or pass the --interval of readings" } else { "" }
    )]
    Column {
        /// Path of the file.
        file: PathBuf,
        /// Content of the missing column.
        wanted: &'static str,
        /// Columns of the file.
        found: Vec<String>,
    },
}

/// Indices of the columns.
struct Columns {
    device: Option<usize>,
    /// `None` if times follow from the interval of readings.
    timestamp: Option<usize>,
    temperature: usize,
}

/// Reads a CSV file. Counts lines without a valid reading, and skips them.
///
/// # Errors
///
/// If the file cannot be read or lacks a column.
pub(crate) fn read(file: &Path, map: &ColumnMap) -> Result<RecordingFile, RecordingError> {
    let failed = |source| RecordingError::File {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(|error| failed(error.into()))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(opened);
    let header = reader.headers().map_err(failed)?.clone();
    let columns = find_columns(file, &header, map)?;
    let file_name = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut content = RecordingFile::default();
    let mut indices: HashMap<DeviceId, usize> = HashMap::new();
    let mut line = StringRecord::new();
    while reader.read_record(&mut line).map_err(failed)? {
        let name = columns.device.map_or(Some(&*file_name), |n| line.get(n));
        let device = DeviceId::sanitized(name.unwrap_or_default().trim());
        let index = *indices.entry(device).or_insert_with_key(|device| {
            content.recordings.push(Recording {
                device: device.clone(),
                description: None,
                readings: Vec::new(),
            });
            content.recordings.len() - 1
        });
        let readings = &mut content.recordings[index].readings;
        match parse_reading(&line, &columns, map, readings.len()) {
            Ok(reading) => readings.push(reading),
            Err(error) => {
                content.bad_lines += 1;
                let number = line.position().map_or(0, csv::Position::line);
                content.first_bad.get_or_insert((number, error));
            }
        }
    }
    content
        .recordings
        .retain(|recording| !recording.readings.is_empty());
    Ok(content)
}

fn find_columns(
    file: &Path,
    header: &StringRecord,
    map: &ColumnMap,
) -> Result<Columns, RecordingError> {
    let find = |name: &str| header.iter().position(|column| column.trim() == name);
    let column = |named: &Option<String>, defaults: &[&str]| match named {
        Some(name) => find(name),
        None => defaults.iter().find_map(|name| find(name)),
    };
    let missing = |wanted| RecordingError::Column {
        file: file.to_owned(),
        wanted,
        found: header.iter().map(str::to_owned).collect(),
    };
    let device = column(&map.device, &["device_id"]);
    if map.device.is_some() && device.is_none() {
        return Err(missing("device"));
    }
    let timestamp = column(&map.timestamp, &["timestamp"]).filter(|_| map.interval.is_none());
    if timestamp.is_none() && map.interval.is_none() {
        return Err(missing("timestamp"));
    }
    let temperature = column(&map.temperature, &["temperature", "value"]);
    Ok(Columns {
        device,
        timestamp,
        temperature: temperature.ok_or_else(|| missing("temperature"))?,
    })
}

/// Parses a line. `earlier` is the number of readings that its device has so far.
fn parse_reading(
    line: &StringRecord,
    columns: &Columns,
    map: &ColumnMap,
    earlier: usize,
) -> Result<(Timestamp, Celsius), String> {
    let field = |column: usize| line.get(column).unwrap_or_default().trim();
    let value = field(columns.temperature);
    let value = Celsius::parse(value).map_err(|error| error.to_string())?;
    let at = match (columns.timestamp, map.interval) {
        (Some(column), _) => {
            let text = field(column);
            parse_time(text).ok_or_else(|| {
                format!("invalid time {text:?}: expected milliseconds or ISO 8601")
            })?
        }
        (None, interval) => {
            let earlier = u32::try_from(earlier).map_err(|_| "too many readings".to_owned())?;
            Timestamp::default().plus(interval.unwrap_or_default() * earlier)
        }
    };
    Ok((at, value))
}

/// Parses milliseconds since 1970, or ISO 8601. A time without a zone is in UTC.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
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

    fn csv_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn times_are_parsed() {
        let ms = |text| parse_time(text).map(Timestamp::millis);
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
    fn readings_are_grouped_by_device_and_bad_lines_counted() {
        let file = csv_file("n,mote,temperature\n1,a,20.5\n2,b,21\n3,a,nonsense\n4,a,22\n5,a\n");
        let map = ColumnMap {
            device: Some("mote".into()),
            interval: Some(Duration::from_secs(5)),
            ..ColumnMap::default()
        };
        let content = read(file.path(), &map).unwrap();
        let recording = |n: usize| {
            let recording = &content.recordings[n];
            let all = recording.readings.iter();
            let all: Vec<_> = all.map(|(at, t)| (at.millis(), t.degrees())).collect();
            (recording.device.as_str().to_owned(), all)
        };
        assert_eq!(recording(0), ("a".into(), vec![(0, 20.5), (5000, 22.0)]));
        assert_eq!(recording(1), ("b".into(), vec![(0, 21.0)]));
        assert_eq!(content.bad_lines, 2);
        assert_eq!(content.first_bad.unwrap().0, 4);
    }

    #[test]
    fn a_missing_column_is_named() {
        let file = csv_file("when,value\n1,2\n");
        let error = read(file.path(), &ColumnMap::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no timestamp column in")
                && text.contains("which has when, value")
                && text.contains("--interval"),
            "{text}"
        );
    }
}
