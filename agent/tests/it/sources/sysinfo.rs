//! The sysinfo source, on the same fictional server: the sensors that it merges are why hwmon is the
//! default.

use std::process::Command;

use rackwatch_agent::source::hwmon::{Hwmon, HwmonConfig};
use rackwatch_agent::source::sysinfo::{Sysinfo, SysinfoConfig};

use super::fake_hwmon::{flat, server};
use super::read;

/// Variable that marks the run in the mount namespace, where `/sys/class/hwmon` is the fake tree.
const INSIDE: &str = "RACKWATCH_TEST_INSIDE_FAKE_SYS";

/// Restarts itself with the tree mounted, as sysinfo reads a fixed path. That requires root and
/// `unshare`; without them the test reports that and passes.
#[tokio::test]
async fn sysinfo_merges_sensors_that_share_a_label_and_hwmon_does_not() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    let mount = "mount -t tmpfs none /sys/class && mkdir /sys/class/hwmon \
                 && mount --bind \"$1\" /sys/class/hwmon";
    let dir = tempfile::tempdir().unwrap();
    let root = flat(&dir, &server(), &(0..9).collect::<Vec<_>>());
    let inside = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &format!("{mount} && {then}"), "sh"]);
        command.arg(&root).arg(std::env::current_exe().unwrap());
        command
    };
    match inside("true").output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            println!(
                "skipped: cannot mount in a namespace of its own: {}",
                why.trim()
            );
            return;
        }
        Err(error) => {
            println!("skipped: cannot run unshare: {error}");
            return;
        }
    }
    let name = "sources::sysinfo::sysinfo_merges_sensors_that_share_a_label_and_hwmon_does_not";
    let output = inside(&format!("exec \"$2\" --exact {name} --nocapture"))
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

async fn inside() {
    let config = HwmonConfig {
        per_core: true,
        ..HwmonConfig::default()
    };
    let hwmon = read(&mut Hwmon::new(config, "node7")).await;
    let sysinfo = read(&mut Sysinfo::new(SysinfoConfig::default(), "node7")).await;
    println!("{sysinfo:#?}");
    let count = |outcomes: &super::Outcomes, kind: &str| {
        outcomes.keys().filter(|id| id.contains(kind)).count()
    };
    assert_eq!((count(&hwmon, "nvme"), count(&sysinfo, "nvme")), (2, 1));
    assert_eq!(
        (count(&hwmon, "spd5118"), count(&sysinfo, "spd5118")),
        (4, 1)
    );
    assert_eq!((count(&hwmon, "Core"), count(&sysinfo, "Core")), (4, 2));
    // The source turns values into faults that sysinfo accepts.
    let bad = sysinfo.iter().filter(|(id, _)| id.contains("nct6775"));
    assert!(
        bad.clone()
            .all(|(id, value)| value.starts_with('!') || id.ends_with("temp4")),
        "{sysinfo:?}"
    );
}
