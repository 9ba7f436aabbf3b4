//! `[[targets]]` in the configuration: every key with every kind, and what is missing.

use std::collections::BTreeMap;
use std::path::Path;

use rackwatch_agent::config::{self, AgentConfig};
use rackwatch_agent::source::targets::TargetKind;
use rackwatch_core::words::list;

/// A valid value for each key of any kind.
const VALUES: &[(&str, &str)] = &[
    ("name", "\"x\""),
    ("address", "\"10.0.0.1\""),
    ("port", "1"),
    ("user", "\"monitor\""),
    ("password_file", "\"/p\""),
    ("interval", "\"30s\""),
    ("deadline", "\"20s\""),
    ("rack", "\"B07\""),
    ("u", "12"),
    ("cipher_suite", "3"),
    ("privilege", "\"user\""),
    ("login", "\"session\""),
    ("ca_file", "\"/ca\""),
    (
        "fingerprint",
        "\"0000000000000000000000000000000000000000000000000000000000000000\"",
    ),
    ("insecure", "true"),
    ("preset", "\"apc-uio\""),
    ("sensors", "[]"),
    ("community_file", "\"/c\""),
    ("authentication", "\"sha512\""),
    ("privacy_file", "\"/y\""),
    ("privacy", "\"des\""),
];

/// The keys that an SNMP target has only with a user of v3.
const V3_KEYS: [&str; 3] = ["user", "password_file", "privacy_file"];

fn load(text: &str) -> Result<AgentConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let shown = |path: &Path| path.display().to_string();
    config::load(Some(&file), None)
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string().replace(&shown(&file), "FILE"))
}

fn error_of(text: &str) -> String {
    load(text).unwrap_err()
}

/// Returns the smallest valid entry of a kind, by key.
fn entry(kind: &str) -> BTreeMap<&'static str, String> {
    let mut entry = BTreeMap::from([
        ("name", "\"bmc7\"".to_owned()),
        ("address", "\"10.0.0.1\"".to_owned()),
        ("type", format!("{kind:?}")),
    ]);
    if kind == "snmp" {
        entry.insert("community_file", "\"/c\"".to_owned());
        entry.insert("preset", "\"apc-inrow\"".to_owned());
    }
    entry
}

fn text(entry: &BTreeMap<&'static str, String>) -> String {
    let lines = entry
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"));
    format!("[[targets]]\n{}", lines.collect::<String>())
}

#[test]
fn every_key_is_accepted_by_its_kinds_and_refused_by_the_others() {
    let kinds = TargetKind::kinds();
    let names: Vec<_> = kinds.names().collect();
    let mut known: Vec<_> = kinds.common_keys().to_vec();
    known.extend(names.iter().flat_map(|name| kinds.keys(name)));
    let listed: Vec<_> = VALUES.iter().map(|(key, _)| *key).collect();
    for key in &known {
        assert!(listed.contains(key), "no value for {key} in this test");
    }
    for (key, value) in VALUES {
        assert!(known.contains(key), "{key} is not a key of any kind");
        for name in &names {
            let mut entry = entry(name);
            entry.insert(key, (*value).to_owned());
            if name == &"snmp" && V3_KEYS.contains(key) {
                entry.remove("community_file");
                entry.insert("user", "\"monitor\"".to_owned());
                entry.insert("password_file", "\"/p\"".to_owned());
            }
            let line = 2 + entry.keys().position(|other| other == key).unwrap();
            let text = text(&entry);
            if kinds.common_keys().contains(key) || kinds.keys(name).contains(key) {
                assert!(load(&text).is_ok(), "{:?}: {text}", load(&text));
                continue;
            }
            let owners: Vec<_> = names
                .iter()
                .filter(|name| kinds.keys(name).contains(key))
                .map(|name| format!("{name:?}"))
                .collect();
            let owners = list(&owners, "or");
            assert_eq!(
                error_of(&text),
                format!(
                    "wrong key targets[0].{key} in FILE line {line} column 1: `{key}` is a key of \
                     type = {owners}, this entry has type = {name:?}"
                )
            );
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_the_keys_of_its_kind() {
    let mut entry = entry("redfish");
    entry.insert("location", "1".to_owned());
    let error = error_of(&text(&entry));
    let expected =
        "unknown key targets[0].location in FILE line 3 column 1, expected one of type, name, ";
    assert!(error.starts_with(expected), "{error}");
    assert!(
        error.contains("ca_file") && !error.contains("preset"),
        "{error}"
    );
}

#[test]
fn a_missing_key_is_named_with_its_target_and_line() {
    let first = text(&entry("redfish"));
    for (kind, key, expected) in [
        (
            "redfish",
            "address",
            "targets[1].address of \"bmc7\" in FILE line 5",
        ),
        ("redfish", "name", "targets[1].name in FILE line 5"),
        ("ipmi", "type", "targets[1].type of \"bmc7\" in FILE line 5"),
        (
            "snmp",
            "community_file",
            "targets[1].community_file of \"bmc7\" in FILE line 5",
        ),
        (
            "snmp",
            "preset",
            "targets[1].preset of \"bmc7\" in FILE line 5",
        ),
    ] {
        let mut entry = entry(kind);
        entry.remove(key);
        let error = error_of(&(first.clone() + &text(&entry)));
        assert!(
            error.starts_with(&format!("missing key {expected}")),
            "{key}: {error}"
        );
    }
}

#[test]
fn keys_that_exclude_each_other_are_refused() {
    let community = "community_file = '/c'\n";
    let user = "user = 'monitor'\npassword_file = '/p'\n";
    for (keys, expected) in [
        (
            format!("{user}{community}"),
            "wrong key targets[0].community_file in FILE line 8 column 1: `user` is set too: remove one of them",
        ),
        (
            format!("{community}password_file = '/p'\n"),
            "wrong key targets[0].community_file in FILE line 6 column 1: `password_file` is set too: remove one of them",
        ),
        (
            format!("{community}privacy_file = '/y'\n"),
            "missing key targets[0].user of \"pdu\" in FILE line 1 column 1, needed for privacy_file",
        ),
    ] {
        let entry = "name = 'pdu'\naddress = '10.0.0.1'\ntype = 'snmp'\npreset = 'apc-uio'\n";
        assert_eq!(error_of(&format!("[[targets]]\n{entry}{keys}")), expected);
    }
}

#[test]
fn names_are_unique() {
    let two = text(&entry("redfish")).repeat(2);
    assert_eq!(
        error_of(&two),
        "wrong value of targets[1].name in FILE line 7 column 8: targets[0].name in FILE line 3 column 8 has the \
         same value: give each its own (seen: \"bmc7\")"
    );
    let mut entry = entry("snmp");
    let sensor = "{ oid = \"1.3.6\", name = \"x\" }";
    entry.insert("sensors", format!("[{sensor}, {sensor}]"));
    let expected = "wrong value of targets[0].sensors[1].name in FILE line 6 column ";
    assert!(error_of(&text(&entry)).starts_with(expected));
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    for (kind, key, value, expected) in [
        (
            "redfish",
            "port",
            "70000",
            "wrong value of targets[0].port in FILE line 4 column 8",
        ),
        (
            "ipmi",
            "cipher_suite",
            "-1",
            "wrong value of targets[0].cipher_suite in FILE line 3 column 16",
        ),
        (
            "ipmi",
            "type",
            "\"ipmi2\"",
            "wrong value of targets[0].type in FILE line 4 column 8: expected one of ipmi, redfish, snmp",
        ),
        (
            "snmp",
            "sensors",
            "[{ oid = \"iso.3\", name = \"x\" }]",
            "wrong value of targets[0].sensors[0].oid in FILE line 6 column 20: expected an object identifier",
        ),
        (
            "snmp",
            "sensors",
            "[{ oid = \"1.3.6\", name = \"x\", position = 1 }]",
            "unknown key targets[0].sensors[0].position in FILE line 6 column",
        ),
    ] {
        let mut entry = entry(kind);
        entry.insert(key, value.to_owned());
        let error = error_of(&text(&entry));
        assert!(error.starts_with(expected), "{error}\n{}", text(&entry));
    }
}
