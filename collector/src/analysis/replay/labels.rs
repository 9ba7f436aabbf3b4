//! Labels: windows of known anomalies, as JSON.
//!
//! `{"windows": [["2013-12-10 06:25:00", "2013-12-12 05:35:00"], …]}` or the list alone applies to
//! every device, `{"<device>": [[…], …]}` to one. Times have the format of recordings.

use std::collections::HashMap;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use serde::Deserialize;

use super::recording::parse_time;

/// First and last instant of an anomaly, both inclusive.
pub(crate) type AnomalyWindow = (Timestamp, Timestamp);

/// Windows of known anomalies, by device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels {
    /// Windows of devices without their own.
    default: Vec<AnomalyWindow>,
    by_device: HashMap<DeviceId, Vec<AnomalyWindow>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLabels {
    Default(Vec<[Time; 2]>),
    ByDevice(HashMap<String, Vec<[Time; 2]>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(u64),
    Text(String),
}

/// A text that is not valid as labels.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabelsError {
    /// JSON of another structure.
    #[error("expected {{\"windows\": [[\"<from>\", \"<to>\"], …]}}")]
    Shape(#[from] serde_json::Error),
    /// Something else than two times in ascending order.
    #[error(
        "invalid window {0}: expected two times in milliseconds or ISO 8601, the earlier one first"
    )]
    Window(String),
}

impl Labels {
    /// Parses labels.
    ///
    /// # Errors
    ///
    /// If the text has another structure, or a window is invalid.
    pub(crate) fn parse(text: &str) -> Result<Self, LabelsError> {
        let mut labels = Self::default();
        match serde_json::from_str(text)? {
            RawLabels::Default(raw) => labels.default = windows(raw)?,
            RawLabels::ByDevice(by_device) => {
                for (name, raw) in by_device {
                    let windows = windows(raw)?;
                    if name == "windows" {
                        labels.default = windows;
                    } else {
                        labels.by_device.insert(DeviceId::sanitized(&name), windows);
                    }
                }
            }
        }
        Ok(labels)
    }

    /// Returns the windows of a device in ascending order.
    pub(crate) fn of(&self, device: &DeviceId) -> &[AnomalyWindow] {
        self.by_device.get(device).unwrap_or(&self.default)
    }
}

fn windows(raw: Vec<[Time; 2]>) -> Result<Vec<AnomalyWindow>, LabelsError> {
    let mut windows = raw.into_iter().map(window).collect::<Result<Vec<_>, _>>()?;
    windows.sort_unstable();
    Ok(windows)
}

fn window([from, to]: [Time; 2]) -> Result<AnomalyWindow, LabelsError> {
    let parsed = from.parse().zip(to.parse());
    let parsed = parsed.filter(|(from, to)| from <= to);
    parsed.ok_or_else(|| LabelsError::Window(format!("[{}, {}]", from.text(), to.text())))
}

impl Time {
    fn parse(&self) -> Option<Timestamp> {
        match self {
            Self::Millis(millis) => Timestamp::from_millis(*millis),
            Self::Text(text) => parse_time(text.trim()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Millis(millis) => millis.to_string(),
            Self::Text(text) => format!("{text:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_is_parsed() {
        let device = |id| DeviceId::new(id).unwrap();
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let all = r#"{"windows": [[5000, 6000], ["1970-01-01 00:00:01.000000", 2000]]}"#;
        let labels = Labels::parse(all).unwrap();
        let expected = [(at(1000), at(2000)), (at(5000), at(6000))];
        assert_eq!(labels.of(&device("a")), expected);
        assert_eq!(
            Labels::parse("[[1, 2]]").unwrap().of(&device("a")),
            [(at(1), at(2))]
        );
        let some = Labels::parse(r#"{"a": [[1, 2]]}"#).unwrap();
        assert_eq!(some.of(&device("a")).len(), 1);
        assert!(some.of(&device("b")).is_empty());
        for wrong in ["1", "[[1]]", "[[2, 1]]", r#"[["soon", 1]]"#] {
            Labels::parse(wrong).unwrap_err();
        }
    }
}
