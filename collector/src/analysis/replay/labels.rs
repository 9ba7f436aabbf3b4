//! What is known to have been wrong: windows of time, as JSON.
//!
//! `{"windows": [["2013-12-10 06:25:00", "2013-12-12 05:35:00"], …]}` or the list alone for every
//! device, `{"<device>": [[…], …]}` for some; times as in recordings.

use std::collections::HashMap;

use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use serde::Deserialize;

use super::recording::time;

/// From the first to the last instant, both in it.
pub type Window = (Timestamp, Timestamp);

/// The windows of devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Of every device that has none of its own.
    all: Vec<Window>,
    some: HashMap<DeviceId, Vec<Window>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    All(Vec<[Time; 2]>),
    Some(HashMap<String, Vec<[Time; 2]>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(u64),
    Text(String),
}

/// The text holds no labels.
#[derive(Debug, thiserror::Error)]
pub enum NotLabels {
    /// Its shape is another.
    #[error("expected {{\"windows\": [[\"<from>\", \"<to>\"], …]}}")]
    Shape(#[from] serde_json::Error),
    /// A window that is none.
    #[error("{0}: expected two times, as ms or ISO 8601, the earlier first")]
    Window(String),
}

impl Labels {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When the text has another shape.
    pub fn parse(text: &str) -> Result<Self, NotLabels> {
        let mut labels = Self::default();
        match serde_json::from_str(text)? {
            Raw::All(all) => labels.all = windows(all)?,
            Raw::Some(some) => {
                for (name, raw) in some {
                    let windows = windows(raw)?;
                    if name == "windows" {
                        labels.all = windows;
                    } else {
                        labels.some.insert(DeviceId::sanitized(&name), windows);
                    }
                }
            }
        }
        Ok(labels)
    }

    /// Those of a device, in order.
    pub fn of(&self, device: &DeviceId) -> &[Window] {
        self.some.get(device).unwrap_or(&self.all)
    }
}

fn windows(raw: Vec<[Time; 2]>) -> Result<Vec<Window>, NotLabels> {
    let mut windows = raw.into_iter().map(window).collect::<Result<Vec<_>, _>>()?;
    windows.sort_unstable();
    Ok(windows)
}

fn window([from, to]: [Time; 2]) -> Result<Window, NotLabels> {
    let parsed = from.parse().zip(to.parse());
    let parsed = parsed.filter(|(from, to)| from <= to);
    parsed.ok_or_else(|| NotLabels::Window(format!("[{}, {}]", from.text(), to.text())))
}

impl Time {
    fn parse(&self) -> Option<Timestamp> {
        match self {
            Self::Millis(millis) => Timestamp::from_millis(*millis),
            Self::Text(text) => time(text.trim()),
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
    fn all_shapes_are_read() {
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
