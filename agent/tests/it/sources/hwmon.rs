//! The hwmon source: identities, faults, limits, and a chip that does not answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rackwatch_agent::source::Source;
use rackwatch_agent::source::hwmon::{Hwmon, HwmonConfig};
use rackwatch_core::device::Role;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::{Celsius, Kelvin};
use tempfile::TempDir;

use super::fake_hwmon::{flat, linked, orders, server, workstation};
use super::{Outcomes, read, texts};

fn source(root: PathBuf, per_core: bool) -> Hwmon {
    let config = HwmonConfig {
        root,
        per_core,
        deadline: Duration::from_millis(500),
        ..HwmonConfig::default()
    };
    Hwmon::new(config, "node7")
}

/// Replaces a file by a pipe and returns it. Opening the file blocks until the pipe is written to, as
/// a read of a hung bus does.
fn stuck_file(dir: &TempDir, path: &Path) -> PathBuf {
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::remove_file(path).unwrap();
    fs::hard_link(&pipe, path).unwrap();
    pipe
}

async fn read_linked(numbers: &[usize], first: usize, per_core: bool) -> Outcomes {
    let dir = tempfile::tempdir().unwrap();
    let root = linked(&dir, &server(), numbers, first);
    read(&mut source(root, per_core)).await
}

#[tokio::test]
async fn every_input_is_a_device_and_bad_ones_are_faults() {
    let outcomes = read_linked(&[0, 1, 2, 3, 4, 5, 6, 7, 8], 9, false).await;
    let outcomes: Vec<_> = outcomes
        .iter()
        .map(|(id, value)| format!("{id} {value}"))
        .collect();
    assert_eq!(
        outcomes,
        [
            "cpu-node7-coretemp.0.Package_id_0 62",
            "cpu-node7-coretemp.1.Package_id_1 63",
            "disk-node7-nvme.S64GNE0R0.Composite 41.85",
            "disk-node7-nvme.S64GNE0R1.Composite 50.85",
            "memory-node7-spd5118.0000:00:1f.4.0050.temp1 35",
            "memory-node7-spd5118.0000:00:1f.4.0050_2.temp1 37.5",
            "memory-node7-spd5118.0000:00:1f.4.0051.temp1 36.25",
            "memory-node7-spd5118.0000:00:1f.4.0051_2.temp1 38.75",
            "other-node7-nct6775.656.AUXTIN !out_of_range",
            "other-node7-nct6775.656.BAD !garbled",
            "other-node7-nct6775.656.SYSTIN !sensor_fault",
            "other-node7-nct6775.656.temp4 !disabled",
            "other-node7-nct6775.656.temp5 !out_of_range",
        ]
    );
}

#[tokio::test]
async fn ids_do_not_depend_on_the_numbers_of_the_kernel() {
    let first = read_linked(&(0..9).collect::<Vec<_>>(), 0, true).await;
    assert_eq!(first.len(), 17);
    for (n, numbers) in orders(9).iter().enumerate() {
        // The buses of the DIMMs move too, from one digit to two.
        let again = read_linked(numbers, 7 + n, true).await;
        assert_eq!(again, first, "{numbers:?}");
    }
}

#[tokio::test]
async fn removing_a_chip_keeps_the_ids_of_the_others() {
    let mut chips = workstation();
    for numbers in [[0, 1, 2, 3, 4, 5], [5, 3, 4, 0, 1, 2]] {
        let dir = tempfile::tempdir().unwrap();
        let root = linked(&dir, &chips, &numbers, numbers[0]);
        let now = read(&mut source(root, false)).await;
        let now: Vec<_> = now.keys().map(String::as_str).collect();
        assert_eq!(
            now,
            [
                "disk-node7-drivetemp.S45NNA0N.temp1",
                "disk-node7-drivetemp.naa.5000c500a1b2c3d4.temp1",
                "gpu-node7-amdgpu.0000:03:00.0.edge.temp1",
                "gpu-node7-amdgpu.0000:03:00.0.edge.temp2",
                "memory-node7-spd5118.0000:00:14.0.0050.bus0.temp1",
                "memory-node7-spd5118.0000:00:14.0.0050.bus1.temp1",
                "other-node7-iwlwifi.0000:00:14.3.temp1",
            ]
        );
    }
    chips.remove(0);
    let dir = tempfile::tempdir().unwrap();
    let root = linked(&dir, &chips, &[0, 1, 2, 3, 4], 0);
    let now = read(&mut source(root, false)).await;
    assert_eq!(
        now["memory-node7-spd5118.0000:00:14.0.0050.bus1.temp1"],
        "31"
    );
}

#[tokio::test]
async fn without_links_ids_are_unique_and_their_set_is_stable() {
    let mut before: Option<Outcomes> = None;
    for numbers in orders(9) {
        let dir = tempfile::tempdir().unwrap();
        let root = flat(&dir, &server(), &numbers);
        let now = read(&mut source(root, true)).await;
        assert_eq!(now.len(), 17);
        let before = before.get_or_insert_with(|| now.clone());
        let ids = |outcomes: &Outcomes| outcomes.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(ids(&now), ids(before), "{numbers:?}");
        // Nothing distinguishes identical drives and DIMMs here; all others keep their ids.
        let distinguishable = |outcomes: &Outcomes| -> Outcomes {
            let keep = |id: &str| !id.contains("nvme") && !id.contains("spd5118");
            outcomes
                .clone()
                .into_iter()
                .filter(|(id, _)| keep(id))
                .collect()
        };
        assert_eq!(
            distinguishable(&now),
            distinguishable(before),
            "{numbers:?}"
        );
    }
}

#[tokio::test]
async fn properties_of_a_chip_are_described() {
    let dir = tempfile::tempdir().unwrap();
    let root = linked(&dir, &server(), &(0..9).collect::<Vec<_>>(), 0);
    let found = source(root, false).discover().await;
    let drive = found
        .iter()
        .find(|f| f.device.as_str().starts_with("disk-"))
        .unwrap();
    let description = &drive.description;
    assert_eq!(description.role, Role::Disk);
    assert_eq!(description.name, "nvme Composite (SAMSUNG MZQL23T8)");
    assert_eq!(description.resolution, Some(Kelvin(1.0)));
    assert_eq!(description.interval, Duration::from_secs(10));
    let degrees = |limit: Option<Celsius>| limit.map(Celsius::degrees);
    assert_eq!(degrees(description.limits.high_warning), Some(81.85));
    assert_eq!(degrees(description.limits.high_critical), Some(84.85));
    assert_eq!(degrees(description.limits.low_critical), None);
}

#[tokio::test]
async fn a_removed_chip_has_vanished_until_the_next_discovery() {
    let dir = tempfile::tempdir().unwrap();
    let root = flat(&dir, &server(), &(0..9).collect::<Vec<_>>());
    let mut source = source(root.clone(), false);
    assert_eq!(source.discover().await.len(), 13);
    fs::remove_dir_all(root.join("hwmon6")).unwrap();
    let now = texts(&source.read(Timestamp::default()).await);
    assert_eq!(now["cpu-node7-coretemp.Package_id_0"], "!vanished");
    assert_eq!(now["cpu-node7-coretemp_2.Package_id_1"], "63");
    assert_eq!(source.discover().await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_chip_times_out_and_delays_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let root = flat(&dir, &server(), &(0..9).collect::<Vec<_>>());
    let input = root.join("hwmon6/temp1_input");
    let pipe = stuck_file(&dir, &input);
    let mut source = source(root, false);
    source.discover().await;
    let stuck = "cpu-node7-coretemp.Package_id_0";

    let begin = Instant::now();
    let deadline = source.deadline();
    let outcomes = tokio::time::timeout(deadline, source.read(Timestamp::default())).await;
    let first = texts(&outcomes.expect("in time"));
    assert_eq!(first[stuck], "!timeout");
    assert_eq!(first["cpu-node7-coretemp_2.Package_id_1"], "63");
    assert!(begin.elapsed() < deadline);

    // A stuck chip is not read again, so this read waits for nothing, even after a discovery.
    source.discover().await;
    let begin = Instant::now();
    let second = texts(&source.read(Timestamp::default()).await);
    assert_eq!(second[stuck], "!timeout");
    assert!(begin.elapsed() < deadline / 2, "{:?}", begin.elapsed());

    // After a dropped read the next one works.
    fs::remove_file(&input).unwrap();
    fs::write(&input, "64000\n").unwrap();
    let soon = Duration::from_millis(1);
    _ = tokio::time::timeout(soon, source.read(Timestamp::default())).await;
    fs::write(&pipe, "1000\n").unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let third = texts(&source.read(Timestamp::default()).await);
        if third[stuck] == "64" {
            break;
        }
        assert!(Instant::now() < end, "{third:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_stuck_at_the_start_hides_no_other_and_is_discovered_later() {
    let dir = tempfile::tempdir().unwrap();
    let root = flat(&dir, &server(), &(0..9).collect::<Vec<_>>());
    let limit = root.join("hwmon6/temp1_crit");
    let pipe = stuck_file(&dir, &limit);
    let mut source = source(root, false);
    let begin = Instant::now();
    assert_eq!(source.discover().await.len(), 12);
    assert!(begin.elapsed() < source.deadline());
    assert_eq!(source.discover().await.len(), 12);
    fs::write(&pipe, "100000\n").unwrap();
    fs::remove_file(&limit).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while source.discover().await.len() != 13 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_host_without_chips_has_no_devices() {
    let mut source = source("/nonexistent".into(), false);
    assert!(source.discover().await.is_empty());
    assert!(source.read(Timestamp::default()).await.is_empty());
}

#[test]
fn the_configuration_has_defaults_and_refuses_unknown_keys() {
    let config: HwmonConfig = toml::from_str("interval = \"1m\"").unwrap();
    assert_eq!(config.interval, Duration::from_mins(1));
    assert_eq!(config.root, PathBuf::from("/sys/class/hwmon"));
    assert!(toml::from_str::<HwmonConfig>("percore = true").is_err());
    assert!(toml::from_str::<HwmonConfig>("interval = 10").is_err());
}
