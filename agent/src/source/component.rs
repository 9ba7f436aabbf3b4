//! Knowledge about sensors of components that several sources share. Pure.
//!
//! In: names of chips and sensors, and raw numbers. Out: roles, resolutions, and plausible
//! temperatures. Nothing is lost: an implausible number becomes a fault.

use std::collections::HashSet;

use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::{Celsius, Kelvin};

/// Coldest plausible reading in m°C: the lower end of industrial chips.
const COLDEST: i64 = -40_000;

/// Hottest plausible reading in m°C: silicon does not survive more.
const HOTTEST: i64 = 150_000;

/// Values in m°C with which 8-bit chips report "nothing connected": 127, and 127.5 with half
/// degrees. Their other markers, -128 and 255, are out of range anyway.
const MARKERS: [i64; 2] = [127_000, 127_500];

/// Returns the temperature, or a fault if no working component can have it.
pub(super) fn plausible(millidegrees: i64) -> Result<Celsius, Fault> {
    if !(COLDEST..=HOTTEST).contains(&millidegrees) || MARKERS.contains(&millidegrees) {
        return Err(Fault::OUT_OF_RANGE);
    }
    // Dividing gives the same f64 as parsing "20.1" does.
    Celsius::new(millidegrees as f64 / 1_000.0).map_err(|_| Fault::OUT_OF_RANGE)
}

/// Returns whether the name is that of a margin: the distance from a limit, which falls as a part
/// gets hotter and is not a temperature. Intel's boards have `P1 Therm Margin` and
/// `DIMM Thrm Mrgn 1`, others `CPU0_MARGIN`.
pub(super) fn is_margin(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["margin", "mrgn", "therm mgn"]
        .iter()
        .any(|word| name.contains(word))
}

/// Returns a sensor's role by the name of its chip's driver and its label.
pub(super) fn role(chip: &str, label: &str) -> Role {
    let label = label.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
    if has(&["inlet", "intake"]) {
        return Role::Inlet;
    }
    if has(&["exhaust", "outlet", "exit air"]) {
        return Role::Exhaust;
    }
    if has(&["ambient"]) {
        return Role::Ambient;
    }
    match chip {
        "coretemp" | "k8temp" | "k10temp" | "zenpower" | "cpu_thermal" | "via_cputemp" => Role::Cpu,
        "nvme" | "drivetemp" => Role::Disk,
        "spd5118" | "jc42" => Role::Memory,
        "amdgpu" | "nouveau" | "radeon" | "xe" | "i915" => Role::Gpu,
        _ => Role::Other,
    }
}

/// Returns a sensor's role by the name that its BMC gives it.
pub(super) fn role_on_board(name: &str) -> Role {
    let of_air = role("", name);
    if of_air != Role::Other {
        return of_air;
    }
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["gpu"]) {
        Role::Gpu
    } else if has(&["dimm", "memory"]) {
        Role::Memory
    } else if has(&["hdd", "ssd", "nvme", "drive", "disk"]) {
        Role::Disk
    } else if has(&["cpu", "processor"]) && !has(&["vr"]) {
        // A processor's voltage regulators may be hotter than the processor.
        Role::Cpu
    } else {
        Role::Other
    }
}

/// Returns the resolution of a chip whose driver is known to return whole degrees: coretemp by its
/// kernel documentation, `NVMe` and SCT (drivetemp) by their standards.
pub(super) fn resolution(chip: &str) -> Option<Kelvin> {
    matches!(chip, "coretemp" | "nvme" | "drivetemp").then_some(Kelvin(1.0))
}

/// Returns `<role>-<host>-<n>`, with the hyphens of `n` replaced so the host can be found in it.
pub(super) fn device_id(role: Role, host: &str, n: &str) -> DeviceId {
    // Host labels have at most 63 characters (RFC 1123); this leaves room for `n`.
    let host: String = host.chars().take(60).collect();
    DeviceId::sanitized(&format!("{role}-{host}-{}", n.replace('-', "_")))
}

/// Returns `id`, or if that is taken the first free one of `id.2`, `id.3` and so on.
pub(super) fn unique(id: &DeviceId, taken: &mut HashSet<DeviceId>) -> DeviceId {
    let mut candidate = id.clone();
    let mut n = 2_u32;
    while !taken.insert(candidate.clone()) {
        let tail = format!(".{n}");
        let head: String = id
            .as_str()
            .chars()
            .take(DeviceId::MAX_LEN - tail.len())
            .collect();
        candidate = DeviceId::sanitized(&(head + &tail));
        n += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_implausible_numbers_are_faults() {
        for bad in [
            127_500,
            127_000,
            -128_000,
            255_000,
            3_892_314_000,
            -650_788_984,
            i64::MIN,
        ] {
            assert_eq!(plausible(bad), Err(Fault::OUT_OF_RANGE), "{bad}");
        }
        for (good, text) in [
            (20_100, "20.1"),
            (-40_000, "-40"),
            (0, "0"),
            (126_999, "126.999"),
        ] {
            assert_eq!(plausible(good).unwrap(), Celsius::parse(text).unwrap());
        }
    }

    #[test]
    fn ids_stay_unique_at_any_length() {
        let mut taken = HashSet::new();
        let long = DeviceId::sanitized(&"x".repeat(200));
        for _ in 0..20 {
            let id = unique(&long, &mut taken);
            assert!(id.as_str().len() <= DeviceId::MAX_LEN);
        }
        assert_eq!(taken.len(), 20);
    }

    #[test]
    fn the_host_can_be_found_in_the_id() {
        let id = device_id(Role::Disk, "node-7", "nvme.S64-1.Composite");
        assert_eq!(id.as_str(), "disk-node-7-nvme.S64_1.Composite");
        assert_eq!(id.rack_part(), Some("node-7"));
    }

    #[test]
    fn a_label_for_air_overrides_the_chip() {
        assert_eq!(role("nct6775", "Front Intake"), Role::Inlet);
        assert_eq!(role("coretemp", "Core 0"), Role::Cpu);
        assert_eq!(role("nct6775", "SYSTIN"), Role::Other);
        assert_eq!(role("", "Exit Air Temp"), Role::Exhaust);
    }

    #[test]
    fn margins_are_recognised_by_name() {
        for name in [
            "P1 Therm Margin",
            "P1 DTS Therm Mgn",
            "DIMM Thrm Mrgn 1",
            "CPU_0_MARGIN",
        ] {
            assert!(is_margin(name), "{name}");
        }
        for name in ["CPU1 Temp", "MB Ambient", "Inlet Temp"] {
            assert!(!is_margin(name), "{name}");
        }
    }
}
