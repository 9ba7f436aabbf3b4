//! Files of rules, as named by `--rules`.

use std::path::Path;

use anyhow::Context;
use rackwatch_core::rules::RawRule;
use serde::Deserialize;

/// The `[[rules]]` of a configuration file; other sections are ignored.
#[derive(Deserialize)]
struct RulesFile {
    #[serde(default)]
    rules: Vec<RawRule>,
}

/// Reads the `[[rules]]` of a configuration file.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<RawRule>> {
    let context = || format!("cannot read the rules in {}", file.display());
    let text = std::fs::read_to_string(file).with_context(context)?;
    Ok(toml::from_str::<RulesFile>(&text)
        .with_context(context)?
        .rules)
}
