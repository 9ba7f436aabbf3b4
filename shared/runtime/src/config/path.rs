//! Paths of keys in a configuration, such as `targets[0].sensors[2].oid`.

use std::fmt;

use serde_path_to_error::Segment;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathStep {
    /// Into a table, by key.
    Key(String),
    /// Into an array, by index from 0.
    Index(usize),
}

/// The path of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPath(pub(super) Vec<PathStep>);

impl KeyPath {
    /// Reads a path in the form that it is displayed in. A part that is not an index counts as a
    /// key.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !key.is_empty() {
                steps.push(PathStep::Key(key.to_owned()));
            }
            while let Some((index, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']'))
            {
                steps.extend(index.parse().map(PathStep::Index));
                rest = after;
            }
        }
        Self(steps)
    }

    /// Returns the path extended by another that begins where this one ends.
    pub(super) fn join(mut self, inner: Self) -> Self {
        self.0.extend(inner.0);
        self
    }
}

impl From<&serde_path_to_error::Path> for KeyPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(PathStep::Key(key.clone())),
            Segment::Seq { index } => Some(PathStep::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if position == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_back_as_displayed() {
        for text in ["", "redis", "targets[0].sensors[2].oid", "a[1][2].b"] {
            assert_eq!(KeyPath::parse(text).to_string(), text);
        }
    }
}
