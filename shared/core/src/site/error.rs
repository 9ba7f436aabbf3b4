//! Faults in a site file, with their place in it.

use globset::{Glob, GlobMatcher};

use crate::name;

/// A fault in a site file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{table}[{index}].{key}{}: {why}", value.as_ref().map_or_else(String::new, |v| format!(" = {v:?}")))]
pub struct SiteError {
    /// The name of the table: `racks` or `devices`.
    pub table: &'static str,
    /// The position of the table among those of its name, from 0.
    pub index: usize,
    /// The key with the fault.
    pub key: &'static str,
    /// The faulty value, if there is one.
    pub value: Option<String>,
    /// The fault in a few words.
    pub why: String,
}

/// The place of one table in the file: its name and position.
pub(super) struct TablePlace(pub(super) &'static str, pub(super) usize);

impl TablePlace {
    /// Returns a fault at this place.
    pub(super) fn error(&self, key: &'static str, value: Option<&str>, why: &str) -> SiteError {
        SiteError {
            table: self.0,
            index: self.1,
            key,
            value: value.map(str::to_owned),
            why: why.to_owned(),
        }
    }

    /// Compiles the globs of `key`.
    pub(super) fn globs(
        &self,
        key: &'static str,
        texts: &[String],
    ) -> Result<Vec<GlobMatcher>, SiteError> {
        let glob = |text: &String| match Glob::new(text) {
            Ok(glob) => Ok(glob.compile_matcher()),
            Err(error) => Err(self.error(key, Some(text), &format!("not a valid glob: {error}"))),
        };
        texts.iter().map(glob).collect()
    }

    /// Checks the names in `key`.
    pub(super) fn names(&self, key: &'static str, names: &[String]) -> Result<(), SiteError> {
        for text in names {
            name::check(text)
                .map_err(|why| self.error(key, Some(text), &format!("not a name: {why}")))?;
        }
        Ok(())
    }
}
