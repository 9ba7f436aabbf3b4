//! The source over `ipmitool`: its output, a simulated BMC, and tools that misbehave.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_agent::source::Source;
use rackwatch_agent::source::ipmi::{Ipmi, Row, parse};
use rackwatch_agent::source::lanes::Lanes;
use rackwatch_agent::source::target::TargetContext;
use rackwatch_agent::source::targets::{TargetConfig, TargetKind};
use rackwatch_core::device::{Role, Verdict};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;
use rackwatch_runtime::config::Secret;
use rackwatch_testing::{IpmiBmc, wait_until_sync};

use super::lines;

const CORPUS: &str = include_str!("ipmi_corpus.txt");

/// Returns the title, the output and the expected rows of every case.
fn corpus() -> Vec<(&'static str, String, Vec<String>)> {
    let cases = CORPUS.split("\n=== ").skip(1);
    cases
        .map(|case| {
            let (title, rest) = case.split_once('\n').unwrap();
            let (printed, expected) = rest.split_once("\n---\n").unwrap();
            let expected = expected.lines().filter(|line| !line.is_empty());
            (
                title,
                printed.to_owned(),
                expected.map(str::to_owned).collect(),
            )
        })
        .collect()
}

fn shown(row: &Row) -> String {
    let mut words = vec![row.name.clone()];
    words.extend(row.number.map(|number| format!("#{number:02x}")));
    let entity = row.entity;
    words.extend(entity.map(|(entity, instance)| format!("@{entity}.{instance}")));
    words.push(match &row.value {
        None => "?".to_owned(),
        Some(Ok(value)) => value.to_string(),
        Some(Err(fault)) => format!("!{fault}"),
    });
    let limits = row.limits;
    for (name, limit) in [
        ("low", limits.low_critical),
        ("high", limits.high_warning),
        ("critical", limits.high_critical),
    ] {
        words.extend(limit.map(|limit| format!("{name} {limit}")));
    }
    let range = row.range;
    words.extend(range.map(|range| format!("{}..{}", range.least, range.most)));
    let verdict = row.verdict.filter(|verdict| *verdict != Verdict::Ok);
    words.extend(verdict.map(|verdict| format!("says {}", verdict.name())));
    words.join(" ")
}

#[test]
fn the_corpus_is_parsed_as_expected() {
    let cases = corpus();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for (title, printed, expected) in cases {
        let parsed: Vec<_> = parse(&printed).iter().map(shown).collect();
        assert_eq!(parsed, expected, "{title}");
    }
}

#[test]
fn megabytes_of_garbage_are_parsed_in_bounds() {
    let line = "Inlet Temp       | 04h | ok  |  7.1 | 23 degrees C\n";
    let rows = parse(&line.repeat(5_000_000 / line.len()));
    assert_eq!(rows.len(), 2_000);
    assert_eq!(parse(&"|".repeat(5_000_000)), []);
    assert_eq!(parse(&"\u{fffd},".repeat(1_000_000)), []);
}

proptest! {
    /// No output without a unit becomes a temperature.
    #[test]
    fn no_temperature_without_its_unit(text in "(?s)[ -~|,\n\u{0}é]{0,400}") {
        for row in parse(&text) {
            prop_assert!(!row.name.is_empty());
            if let Some(Ok(value)) = row.value {
                prop_assert!(text.contains("degrees"), "{value}");
            }
        }
    }

    /// Output that is cut anywhere, or continues with another byte, never panics.
    #[test]
    fn torn_output_never_panics(case in 0..40_usize, cut in 0..2_000_usize, byte in any::<char>()) {
        let (_, printed, _) = &corpus()[case];
        let mut text: String = printed.chars().take(cut).collect();
        text.push(byte);
        let rows = parse(&text);
        prop_assert!(rows.len() <= text.lines().count());
    }
}

fn target(more: &str) -> TargetConfig {
    let text = format!(
        "name = \"bmc-b07-12\"\ntype = \"ipmi\"\naddress = \"127.0.0.1\"\ninterval = \"10s\"\n\
         rack = \"B07\"\nu = 12\n{more}"
    );
    toml::from_str(&text).unwrap()
}

fn remote(config: &TargetConfig, password: Option<Secret>, program: &str) -> Ipmi {
    let TargetKind::Ipmi(settings) = &config.kind else {
        panic!("another kind: {config:?}")
    };
    let context = TargetContext {
        ipmitool: program.to_owned(),
        lanes: Lanes::new(4),
    };
    Ipmi::remote(&config.common, settings, password, &context)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_is_read_over_the_network() {
    let bmc = IpmiBmc::start().unwrap();
    let config = target(&format!(
        "port = {}\nuser = \"admin\"\ncipher_suite = 3\n",
        bmc.port()
    ));
    let password = Some(IpmiBmc::PASSWORD.to_owned().into());
    let mut source = remote(&config, password, "ipmitool");
    let found = source.discover().await;
    let by_name = |name: &str| found.iter().find(|f| f.description.name == name).unwrap();
    let inlet = by_name("Inlet Temp");
    assert_eq!(inlet.device.as_str(), "inlet-bmc-b07-12-03h_55.1");
    let known = &inlet.description;
    assert_eq!(
        (known.role, known.rack.as_deref(), known.u, &*known.source),
        (Role::Inlet, Some("B07"), Some(12), "ipmi")
    );
    let critical = known.limits.high_critical.map(Celsius::degrees);
    let warning = known.limits.high_warning.map(Celsius::degrees);
    assert_eq!((warning, critical), (Some(35.0), Some(40.0)));
    assert_eq!(by_name("CPU2 Temp").description.role, Role::Cpu);
    assert_eq!(
        lines(&mut source).await,
        [
            "cpu-bmc-b07-12-01h_3.1 52",
            "cpu-bmc-b07-12-02h_3.2 55",
            "exhaust-bmc-b07-12-04h_55.2 38",
            "inlet-bmc-b07-12-03h_55.1 24"
        ]
    );
    bmc.set("Inlet Temp", 31).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !lines(&mut source)
        .await
        .contains(&"inlet-bmc-b07-12-03h_55.1 31".to_owned())
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the new value is not seen"
        );
    }
    // Without the BMC each of its sensors has a fault.
    drop(bmc);
    let faults = lines(&mut source).await;
    assert_eq!(faults.len(), 4);
    assert!(
        faults
            .iter()
            .all(|text| text.ends_with("!unreachable") || text.ends_with("!timeout")),
        "{faults:?}"
    );
}

/// Creates a stand-in for the tool that runs `script`.
fn tool(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("tool");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const ELIST: &str = "Temp             | 0Eh | ok  |  3.1 | 39 degrees C
Temp             | 0Fh | cr  |  3.2 | 97 degrees C
Ambient Temp     | 07h | ns  | 10.1 | Disabled";

#[tokio::test(flavor = "multi_thread")]
async fn sensors_with_the_same_name_are_distinct() {
    let folder = tempfile::tempdir().unwrap();
    let tool = tool(folder.path(), &format!("echo '{ELIST}'"));
    let mut source = remote(&target(""), None, tool.to_str().unwrap());
    assert_eq!(source.discover().await.len(), 3);
    assert_eq!(
        lines(&mut source).await,
        [
            "ambient-bmc-b07-12-07h_10.1 !disabled",
            "cpu-bmc-b07-12-0eh_3.1 39",
            "cpu-bmc-b07-12-0fh_3.2 97"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_without_limits_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("case \"$*\" in *-v*) exec sleep 987655;; esac\necho '{ELIST}'");
    let tool = tool(folder.path(), &script);
    let config = target("deadline = \"500ms\"\n");
    let mut source = remote(&config, None, tool.to_str().unwrap());
    assert_eq!(source.discover().await.len(), 3);
    assert!(
        lines(&mut source)
            .await
            .contains(&"cpu-bmc-b07-12-0eh_3.1 39".to_owned())
    );
}

/// Returns processes with this word on their command line.
fn running(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_tool_is_killed_with_all_its_children() {
    let folder = tempfile::tempdir().unwrap();
    // Lists its sensors, then hangs in a child process.
    let script = format!(
        "case \"$*\" in *dump*) exit 1;; esac\n\
         [ -e {0}/known ] || {{ echo '{ELIST}'; case \"$*\" in *-v*) touch {0}/known;; esac; exit 0; }}\n\
         sh -c 'sleep 987654; true'",
        folder.path().display()
    );
    let tool = tool(folder.path(), &script);
    let config = target("deadline = \"300ms\"\n");
    let mut source = remote(&config, None, tool.to_str().unwrap());
    assert_eq!(source.discover().await.len(), 3);
    let faults = lines(&mut source).await;
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(
        faults.iter().all(|text| text.ends_with("!timeout")),
        "{faults:?}"
    );
    wait_until_sync(Duration::from_secs(10), "all of it is killed", || {
        (running("987654") == 0).then_some(())
    })
    .unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_password_appears_on_no_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let script = format!(
        "tr '\\0' ' ' < /proc/$$/cmdline >> {0}; [ \"$IPMI_PASSWORD\" = hush-hush ] && echo '{ELIST}'",
        seen.display()
    );
    let tool = tool(folder.path(), &script);
    let password = Some("hush-hush".to_owned().into());
    let mut source = remote(
        &target("user = \"monitor\"\n"),
        password,
        tool.to_str().unwrap(),
    );
    assert!(!format!("{source:?}").contains("hush"));
    assert_eq!(source.discover().await.len(), 3);
    let lines = std::fs::read_to_string(seen).unwrap();
    assert!(
        lines.contains("-U monitor -E") && !lines.contains("hush"),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_bmc_is_tried_less_often() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let script = format!(
        "echo x >> {}; [ -e {}/bad ] && {{ echo 'Error: Unable to establish IPMI v2 / RMCP+ session' >&2; exit 1; }}\necho '{ELIST}'",
        count.display(),
        folder.path().display()
    );
    let tool = tool(folder.path(), &script);
    let mut source = remote(&target(""), None, tool.to_str().unwrap());
    source.discover().await;
    std::fs::write(folder.path().join("bad"), "").unwrap();
    let tries = || std::fs::read_to_string(&count).unwrap().len() / 2;
    let before = tries();
    for _ in 0..20 {
        let faults = lines(&mut source).await;
        assert_eq!(faults.len(), 3);
        let unreachable = Fault::UNREACHABLE.to_string();
        assert!(
            faults.iter().all(|text| text.ends_with(&unreachable)),
            "{faults:?}"
        );
    }
    assert_eq!(tries() - before, 2, "the first, and the next tick's");
}
