//! The example file is the reference: it shows every key, and the defaults are its values.

use std::fs;

use super::*;

/// Keys that the example has to show.
const KEYS: &str = "url username password_file password ca_file tls_insecure connect_timeout \
    response_timeout backoff_min backoff_max format filter count lease save_every keep max_future backend raw_retention \
    rollup_retention max_batch profile flap console file json_file rotate_at rotate_keep group_wait group_window resolve_after repeat_interval_critical \
    repeat_interval_warning url secret_file timeout retry_max url_file key_file host port encryption from to user password_file ca_file repeat storm severity \
    racks rooms roles hours days zone every listen public_url access_file allow_unauthenticated tls_cert_file tls_key_file \
    max_streams type name role \
    rack device info warning critical hysteresis for keep_firing_for tighten score fast slow warm_up cool_down rate";

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/collector.example.toml")
}

fn load(path: &Path) -> CollectorConfig {
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
    let (shown, meant) = (load(&example()), CollectorConfig::default());
    assert_eq!(format!("{shown:#?}"), format!("{meant:#?}"));
}

#[test]
fn the_example_shows_every_key_and_all_of_them_are_accepted() {
    let all = uncommented(&fs::read_to_string(example()).unwrap());
    for key in KEYS.split_whitespace() {
        let shown = all
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(shown, "{key} is not shown");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    fs::write(&file, all).unwrap();
    let config = load(&file);
    assert_eq!(config.rules.len(), 6);
    assert_eq!(config.notify.len(), 1);
    config.rule_set().unwrap();
}
