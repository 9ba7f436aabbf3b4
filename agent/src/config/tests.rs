//! The example file is the reference: it shows every key with its default.

use std::path::PathBuf;

use super::*;
use crate::name::Name;
use crate::source::targets::TargetKind;

/// Keys that the example must show besides those of targets.
const KEYS: &str = "url username password_file password ca_file client_cert_file client_key_file \
    sentinel_username sentinel_password_file sentinel_password tls_insecure connect_timeout \
    response_timeout backoff_min backoff_max format filter name host rack zone safety_cap queue path \
    max_bytes max_age sync enabled root interval deadline per_core racks sensors seed scenario \
    match role u off at_once program type oid scale unit invalid library";

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent.example.toml")
}

fn load(path: &Path) -> AgentConfig {
    config::load_from(Some(path), path, []).unwrap().config
}

/// Returns the example with all commented keys enabled, but not the prose.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") || key.starts_with("[[") => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Returns the example without the second of two keys that exclude each other.
fn without_alternatives(text: &str) -> String {
    let alternatives = ["password = ", "sentinel_password = ", "community_file = "];
    let lines = text.lines();
    let kept = lines.filter(|line| !alternatives.iter().any(|key| line.starts_with(key)));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_equals_the_defaults() {
    assert_eq!(load(&example()), AgentConfig::default());
}

#[test]
fn the_example_shows_every_key_and_each_is_accepted() {
    let all = uncommented(&std::fs::read_to_string(example()).unwrap());
    let kinds = TargetKind::kinds();
    let of_kinds = kinds.names().flat_map(|name| kinds.keys(name));
    let of_targets = kinds.common_keys().iter().chain(of_kinds).copied();
    // A table of its own in the example.
    let of_targets = of_targets.filter(|key| *key != "sensors");
    for key in KEYS.split_whitespace().chain(of_targets) {
        let shown = all
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(shown, "{key} is not shown");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("all.toml");
    std::fs::write(&file, without_alternatives(&all)).unwrap();
    let config = load(&file);
    assert_eq!(config.devices.len(), 1);
    assert_eq!(config.targets.len(), 3);
    assert_eq!(config.agent.name.as_str(), "node7");
}

#[test]
fn a_host_that_changes_its_name_is_named_by_agent_host() {
    let agent = |toml: &str| toml::from_str::<AgentConfig>(toml).unwrap().agent;
    let named = agent("[agent]\nhost = 'node7'");
    assert_eq!(
        (named.name.as_str(), named.host.as_str()),
        ("node7", "node7")
    );
    let both = agent("[agent]\nhost = 'node7'\nname = 'cooling'");
    assert_eq!(
        (both.name.as_str(), both.host.as_str()),
        ("cooling", "node7")
    );
    let own = Name::of_this_host();
    let neither = agent("");
    assert_eq!((&neither.name, &neither.host), (&own, &own));
    let name = agent("[agent]\nname = 'cooling'");
    assert_eq!((name.name.as_str(), &name.host), ("cooling", &own));
}

#[test]
fn names_with_invisible_characters_are_refused() {
    let target = "[[targets]]\nname = 'b'\ntype = 'redfish'\naddress = 'b'\n";
    for (section, key) in [
        ("[agent]\n", "name"),
        ("[agent]\n", "host"),
        ("[agent]\n", "rack"),
        ("[agent]\n", "zone"),
        ("[[devices]]\nmatch = '*'\n", "rack"),
        ("[[devices]]\nmatch = '*'\n", "name"),
        (target, "rack"),
    ] {
        for text in [r"B07\nforged", r"B\u202e07", " ", &"x".repeat(129)] {
            let toml = format!("{section}{key} = \"{text}\"");
            let error = toml::from_str::<AgentConfig>(&toml)
                .unwrap_err()
                .to_string();
            assert!(error.contains("invisible characters"), "{toml}: {error}");
        }
    }
}
