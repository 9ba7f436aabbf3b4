//! Rules: the defaults, what a configuration may say, and what a plan comes to.

use std::fmt::Write;
use std::time::Duration;

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{DeviceId, HardwareLimits, Role};
use rackwatch_core::rules::{DeviceTraits, Plan, Profile, RuleSet, parse};
use rackwatch_core::units::{Celsius, Kelvin};
use rackwatch_testing::assert_golden;

fn plan(rules: &RuleSet, role: Role) -> Plan {
    let celsius = |degrees| Celsius::new(degrees).ok();
    rules.plan(&DeviceTraits {
        device: &DeviceId::new("x-R1-1").unwrap(),
        role,
        rack: Some("R1"),
        limits: HardwareLimits {
            high_warning: celsius(70.0),
            high_critical: celsius(80.0),
            ..HardwareLimits::default()
        },
        resolution: Some(Kelvin(0.5)),
        interval: Duration::from_secs(10),
    })
}

/// Returns the error of a configuration with these rules.
fn error(toml: &str) -> String {
    let rules = parse(toml).unwrap();
    RuleSet::with_defaults(&rules).unwrap_err().to_string()
}

/// Every number of every default rule, and the fingerprint under which its state is saved. A renamed Rust
/// field changes nothing here; a changed fingerprint starts the detectors of every site cold.
#[test]
fn default_plans_and_their_fingerprints_stay() {
    let mut text = String::new();
    for profile in [Profile::Default, Profile::AshraeA2] {
        let rules = RuleSet::of_profile(profile, &[]).unwrap();
        for role in Role::ALL {
            writeln!(text, "{profile:?}, {role}").unwrap();
            let plan = plan(&rules, role);
            for (rule, key) in plan.rules.iter().zip(plan.keys()) {
                assert_eq!(rule.name, key.name());
                let thresholds = Severity::ALL.map(|severity| {
                    let window = rule.window(severity).map(|window| window.as_secs());
                    (rule.threshold(severity), window)
                });
                writeln!(
                    text,
                    "  {}: {thresholds:?}, for {:?}, keep_firing_for {:?}, state version {}, {:016x}",
                    rule.name,
                    rule.timing.pending_for,
                    rule.timing.keep_firing_for,
                    key.version(),
                    key.fingerprint(),
                )
                .unwrap();
            }
        }
    }
    assert_golden!("rules/default_plans.txt", text);
}

/// Keys that decide when a finding fires do not affect the state of the detector.
#[test]
fn timing_does_not_change_a_fingerprint_and_numbers_do() {
    let fingerprint = |own: &str| {
        let rules = RuleSet::with_defaults(&parse(own).unwrap()).unwrap();
        let plan = plan(&rules, Role::Inlet);
        let key = plan.keys().iter().find(|key| key.name() == "drift");
        key.unwrap().fingerprint()
    };
    let default = fingerprint("");
    let timing = "[[rules]]\ntype = 'drift'\nkeep_firing_for = '1h'\nfor = '5m'";
    assert_eq!(fingerprint(timing), default);
    for number in [
        "warning = 3.5",
        "info = 'off'",
        "score = 3.5",
        "slow = '15d'",
    ] {
        let own = format!("[[rules]]\ntype = 'drift'\n{number}");
        assert_ne!(fingerprint(&own), default, "{number}");
    }
}

#[test]
fn every_profile_has_valid_rules_that_an_operator_could_write() {
    for profile in Profile::ALL {
        let rules = parse(&profile.rules_toml()).unwrap();
        let as_own = RuleSet::only(&rules).unwrap();
        let built_in = RuleSet::of_profile(profile, &[]).unwrap();
        for role in Role::ALL {
            assert_eq!(
                plan(&as_own, role),
                plan(&built_in, role),
                "{profile:?} {role}"
            );
        }
    }
}

#[test]
fn an_invalid_rule_names_key_and_value() {
    let rule = |lines: &str| format!("[[rules]]\ntype = 'high_temp'\n{lines}");
    assert_eq!(
        error("[[rules]]\ntype = 'hot'"),
        format!("rules[0].type = hot: expected {}", AlertKind::rule_names())
    );
    assert_eq!(
        error(&rule("warning = 'of'")),
        "rules[0].warning = of: expected -60 to 200 °C, \"hardware\" or \"off\""
    );
    assert_eq!(
        error(&rule("warning = 33\ncritical = 30")),
        "rules[0].critical = 30: a worse level must lie beyond the milder one"
    );
    assert_eq!(
        error("[[rules]]\ntype = 'low_temp'\nwarning = 10\ncritical = 12"),
        "rules[0].critical = 12: a worse level must lie beyond the milder one"
    );
    assert!(error(&rule("for = 'soon'")).starts_with("rules[0].for = soon: not a duration"));
    assert_eq!(
        error(&rule("for = 90")),
        "rules[0].for = 90: not a duration such as 90s or 5m: put it in quotes"
    );
    assert_eq!(
        error(&rule("keep_firing_for = '2d'")),
        "rules[0].keep_firing_for = 2d: expected 0s to 1d"
    );
    assert!(error(&rule("rack = ['a[']")).starts_with("rules[0].rack = a[: not a glob"));
    assert_eq!(
        error("[[rules]]\ntype = 'spike'\nwarning = 5"),
        "rules[0].warning = 5: expected { by = <kelvin>, within = \"<duration>\" } or \"off\""
    );
    assert_eq!(
        error("[[rules]]\ntype = 'spike'\nwarning = { by = 500, within = '5m' }"),
        "rules[0].warning = { by = 500, within = 5m }: expected a change of 0.1 to 100 kelvin"
    );
    assert_eq!(
        error("[[rules]]\ntype = 'drift'\nscore = 0.5"),
        "rules[0].score = 0.5: expected 1 to 20"
    );
    assert_eq!(
        error("[[rules]]\ntype = 'no_data'\nwarning = 5"),
        "rules[0].warning = 5: expected \"on\" or \"off\""
    );
    assert_eq!(
        error("[[rules]]\ntype = 'no_data'\nname = 'clock_skew'"),
        "rules[0].name = clock_skew: reserved for alerts that need no rule"
    );
    assert_eq!(
        error("[[rules]]\ntype = 'spike'\nname = 'drop'"),
        "rules[0].name = drop: a rule of this name is already of type drop"
    );
}

/// Every key of every type in a rule of every type.
#[test]
fn a_key_of_another_type_is_an_error_that_names_its_types() {
    let kinds = AlertKind::RULES.into_iter();
    let all_keys = kinds.clone().flat_map(AlertKind::key_names);
    let all_keys: std::collections::BTreeSet<_> = all_keys.copied().collect();
    assert!(all_keys.contains("score") && all_keys.contains("critical"));
    for kind in kinds.clone() {
        for key in &all_keys {
            let is_own = kind.key_names().contains(key);
            let toml = format!("[[rules]]\ntype = '{kind}'\n{key} = [1]");
            let error = error(&toml);
            let begin = format!("rules[0].{key} = […]: ");
            assert!(error.starts_with(&begin), "{error}");
            let is_foreign = error.contains(&format!(" rules, not of {kind}"));
            assert_eq!(is_foreign, !is_own, "{error}");
            for other in kinds.clone().filter(|_| is_foreign) {
                let has_key = other.key_names().contains(key);
                let mut named = error[begin.len()..].split([' ', ',']);
                assert_eq!(
                    named.any(|word| word == other.name()),
                    has_key || other == kind,
                    "{error}"
                );
            }
        }
        let unknown = error(&format!("[[rules]]\ntype = '{kind}'\nwarnning = 1"));
        assert!(
            unknown.contains("unknown key") && unknown.contains("keep_firing_for"),
            "{unknown}"
        );
    }
}

/// Defaults and ranges of all keys, as `rackwatch-collector rules --keys` prints them.
#[test]
fn keys_are_described_for_people() {
    let mut text = String::new();
    for kind in AlertKind::RULES {
        writeln!(text, "{kind}: {}", kind.info().title).unwrap();
        for key in kind.keys() {
            let default = key
                .default
                .map_or(String::new(), |value| format!(", default {value}"));
            writeln!(
                text,
                "  {}: {}{default}. {}",
                key.name, key.expected, key.summary
            )
            .unwrap();
        }
    }
    assert_golden!("rules/keys.txt", text);
}

#[test]
fn a_profile_has_the_limits_of_its_class() {
    let limits = |profile, kind| {
        let rules = RuleSet::of_profile(profile, &[]).unwrap();
        let device = DeviceId::new("inlet-R1-1").unwrap();
        let device_traits = DeviceTraits {
            device: &device,
            role: Role::Inlet,
            rack: Some("R1"),
            limits: HardwareLimits::default(),
            resolution: None,
            interval: Duration::ZERO,
        };
        let plan = rules.plan(&device_traits);
        let rule = plan.rules.iter().find(|rule| rule.kind == kind).unwrap();
        Severity::ALL.map(|severity| rule.threshold(severity))
    };
    let high = |profile| limits(profile, AlertKind::HighTemp);
    let low = |profile| limits(profile, AlertKind::LowTemp);
    assert_eq!(high(Profile::Default), [None, Some(28.0), Some(32.0)]);
    assert_eq!(low(Profile::Default), [Some(18.0), Some(15.0), Some(10.0)]);
    assert_eq!(high(Profile::AshraeA3), [None, Some(27.0), Some(40.0)]);
    assert_eq!(low(Profile::AshraeA2), [None, Some(18.0), Some(10.0)]);
    assert_eq!(high(Profile::AshraeH1), [None, Some(22.0), Some(25.0)]);
}
