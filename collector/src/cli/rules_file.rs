//! The rules of a file that a command names.

use std::path::Path;

use anyhow::Context;
use rackwatch_core::rules::RawRule;
use serde::Deserialize;

/// The part of a configuration file that has rules.
#[derive(Deserialize)]
struct RulesFile {
    #[serde(default)]
    rules: Vec<RawRule>,
}

/// The `[[rules]]` of a configuration file.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<RawRule>> {
    let what = || format!("read the rules in {}", file.display());
    let text = std::fs::read_to_string(file).with_context(what)?;
    Ok(toml::from_str::<RulesFile>(&text).with_context(what)?.rules)
}
