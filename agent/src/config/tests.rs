//! The example file is the reference: it shows every key, and the defaults are its values.

use std::path::PathBuf;

use super::*;

/// Keys that the example has to show, in each section the ones that are easily forgotten.
const KEYS: &str = "url username password_file password ca_file tls_insecure connect_timeout \
    response_timeout backoff_min backoff_max format filter name rack zone safety_cap queue \
    path max_bytes max_age sync enabled root interval deadline per_core racks sensors seed scenario match role u off at_once program type address port \
    user cipher_suite privilege login ca_file fingerprint insecure \
    preset community_file authentication privacy_file privacy oid scale unit invalid library";

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent.example.toml")
}

fn load(path: &Path) -> AgentConfig {
    config::load_from(Some(path), path, []).unwrap().config
}

/// The example with everything put in that is commented out, but for the prose.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") || key.starts_with("[[") => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(load(&example()), AgentConfig::default());
}

#[test]
fn the_example_shows_every_key_and_all_of_them_are_accepted() {
    let all = uncommented(&std::fs::read_to_string(example()).unwrap());
    for key in KEYS.split_whitespace() {
        let shown = all
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(shown, "{key} is not shown");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.toml");
    std::fs::write(&file, all).unwrap();
    let config = load(&file);
    assert_eq!(config.devices.len(), 1);
    assert_eq!(config.targets.len(), 1);
    assert_eq!(config.agent.name.as_str(), "node7");
}
