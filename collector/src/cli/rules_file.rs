//! The rules that a command is to try: those of a file, where one is named.

use std::path::Path;

use anyhow::Context;
use rackwatch_core::rules::RawRule;
use serde::Deserialize;

/// The part of a configuration file that counts here.
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
