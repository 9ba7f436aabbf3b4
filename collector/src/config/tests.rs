//! The example file is the reference: it shows every key, and the defaults are its values.

mod notify;

use std::fs;

use rackwatch_runtime::config::tagged::keys_of;
use toml::{Table, Value};

use super::*;
use crate::notify::route::RouteConfig;
use crate::notify::{CommonConfig, NotifierKind};

/// Keys of `[[rules]]` that the example has to show.
const RULE_KEYS: &str = "type name role rack device info warning critical hysteresis for keep_firing_for tighten score fast \
    slow warm_up cool_down rate";

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/collector.example.toml")
}

fn load(path: &Path) -> CollectorConfig {
    config::load_from(Some(path), path, []).unwrap().config
}

/// Returns the example with every key that is commented out, and without the prose.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") || key.starts_with("[[") => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Returns the keys that each section must show.
fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
    let kinds = NotifierKind::kinds::<CommonConfig>();
    let of_kinds = kinds.names().flat_map(|name| kinds.keys(name).to_vec());
    let notify = ["type"].into_iter().chain(of_kinds);
    let notify = notify.chain(kinds.common_keys().iter().copied());
    vec![
        ("redis", keys_of::<RedisConfig>().to_vec()),
        ("log", keys_of::<LogConfig>().to_vec()),
        ("partition", keys_of::<PartitionConfig>().to_vec()),
        ("stream", keys_of::<StreamConfig>().to_vec()),
        ("series", keys_of::<SeriesConfig>().to_vec()),
        ("alerts", keys_of::<AlertsConfig>().to_vec()),
        ("incidents", keys_of::<IncidentsConfig>().to_vec()),
        ("notify", notify.collect()),
        ("health", keys_of::<HealthConfig>().to_vec()),
        ("heartbeat", keys_of::<HeartbeatConfig>().to_vec()),
        ("web", keys_of::<WebConfig>().to_vec()),
        ("rules", RULE_KEYS.split_whitespace().collect()),
    ]
}

/// Returns whether a table, or one of the tables in an array, has `key`.
fn shows(section: &Value, key: &str) -> bool {
    match section {
        Value::Array(all) => all.iter().any(|one| shows(one, key)),
        other => other.get(key).is_some(),
    }
}

/// Returns the example without the second of two keys that exclude each other.
fn without_alternatives(text: &str) -> String {
    let alternatives = [
        "password = ",
        "sentinel_password = ",
        "url_file = ",
        "oauth_",
    ];
    let lines = text.lines();
    let kept = lines.filter(|line| !alternatives.iter().any(|key| line.starts_with(key)));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_the_defaults() {
    let (shown, defaults) = (load(&example()), CollectorConfig::default());
    assert_eq!(format!("{shown:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_example_shows_every_key_and_all_of_them_are_accepted() {
    let all = uncommented(&fs::read_to_string(example()).unwrap());
    let table: Table = toml::from_str(&all).unwrap();
    let sections = sections();
    let known: Vec<_> = sections.iter().map(|(name, _)| *name).collect();
    assert_eq!(known.len(), keys_of::<CollectorConfig>().len());
    for (name, keys) in sections {
        assert!(keys_of::<CollectorConfig>().contains(&name), "{name}");
        assert!(!keys.is_empty(), "{name} has no keys");
        for key in keys {
            assert!(shows(&table[name], key), "{name}.{key} is not shown");
        }
    }
    for key in keys_of::<RouteConfig>() {
        assert!(shows(&table["notify"][0]["routes"], key), "{key}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    fs::write(&file, without_alternatives(&all)).unwrap();
    let config = load(&file);
    assert_eq!(config.rules.len(), 6);
    config.rule_set().unwrap();
}

#[test]
fn the_documentation_lists_every_notifier_type_with_its_keys() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/notify.md");
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let kinds = NotifierKind::kinds::<CommonConfig>();
    for name in kinds.names() {
        let row = rows
            .iter()
            .find(|row| row.starts_with(&format!("| `{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        for key in kinds.keys(name) {
            assert!(row.contains(&format!("`{key}`")), "{name}: {key}");
        }
    }
}

#[test]
fn a_file_of_rules_has_errors_like_those_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    for (text, expected) in [
        (
            "[[rules]]\ntype = 'spike'\nrate = 1",
            "wrong key rules[0].rate in FILE line 3 column 1: a key of runaway rules, not of spike",
        ),
        (
            "[[rules]]\ntype = 'spike'\n[[rules]]\nwarning = 5",
            "missing key rules[1].type in FILE line 3 column 1, expected high_temp, ",
        ),
        (
            "[[rules]]\ntype = 'high_temp'\nrack = []",
            "wrong value of rules[0].rack in FILE line 3 column 8: expected at least one item: remove the key to match \
             all (seen: an array)",
        ),
        (
            "[[rules]]\ntype = 'high_temp'\nrole = []",
            "wrong value of rules[0].role in FILE line 3 column 8: expected at least one item",
        ),
        (
            "[redis]\nurl = 'redis://a'",
            "missing key rules in FILE, add at least one [[rules]] table",
        ),
        ("[[rules]", "FILE line 1 column 9 is not valid TOML: "),
    ] {
        fs::write(&file, text).unwrap();
        let error = load_rules(&file).unwrap_err().to_string();
        let error = error.replace(&file.display().to_string(), "FILE");
        assert!(error.starts_with(expected), "{error}");
    }
    fs::write(&file, "[redis]\nunknown = 1\n[[rules]]\ntype = 'spike'").unwrap();
    assert_eq!(load_rules(&file).unwrap().len(), 1);
}
