//! The source over NVML, with a library compiled for the test.

use std::path::Path;
use std::process::Command;

use rackwatch_agent::source::Source;
use rackwatch_agent::source::nvidia::{Nvidia, NvidiaConfig};
use rackwatch_core::device::Role;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

fn with_library(path: &Path) -> Nvidia {
    let config = NvidiaConfig {
        library: Some(path.to_owned()),
        ..NvidiaConfig::default()
    };
    Nvidia::new(config, "node7")
}

#[tokio::test]
async fn gpus_are_identified_by_uuid() {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (
        folder.path().join("fake.c"),
        folder.path().join("libfake.so"),
    );
    std::fs::write(&source, include_str!("fake_nvml.c")).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-w", "-o"]).arg(&library);
    let made = compile.arg(&source).status().unwrap();
    assert!(made.success());
    let mut nvidia = with_library(&library);
    let found = nvidia.discover().await;
    assert_eq!(found.len(), 2);
    let first = &found[0];
    assert_eq!(first.device.as_str(), "gpu-node7-1a2b3c4d");
    assert_eq!(first.description.role, Role::Gpu);
    assert_eq!(first.description.name, "Test Card 9000");
    let limits = first.description.limits;
    assert_eq!(limits.high_warning.map(Celsius::degrees), Some(90.0));
    assert_eq!(limits.high_critical.map(Celsius::degrees), Some(95.0));
    let read = nvidia.read(Timestamp::default()).await;
    let texts: Vec<_> = read
        .iter()
        .map(|(device, value)| match value {
            Ok(value) => format!("{device} {value}"),
            Err(fault) => format!("{device} !{fault}"),
        })
        .collect();
    assert_eq!(
        texts,
        ["gpu-node7-1a2b3c4d 61", "gpu-node7-2b3c4d5e !vanished"]
    );
}

#[tokio::test]
async fn a_missing_library_is_not_an_error() {
    let mut nvidia = with_library(Path::new("/nowhere/libnvidia-ml.so"));
    assert_eq!(nvidia.discover().await, []);
    assert_eq!(nvidia.read(Timestamp::default()).await, []);
    assert!(
        !NvidiaConfig {
            enabled: false,
            ..NvidiaConfig::default()
        }
        .is_available()
    );
}
