//! What is known of the sensors of a host's components, whichever way they are read.
//!
//! In: names of chips and sensors, and numbers as read. Out: roles, steps, and whether a number can
//! be a temperature. Nothing is lost: what cannot be one becomes a fault.

use std::collections::HashSet;

use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::reading::Fault;
use rackwatch_core::units::{Celsius, Kelvin};

/// Coldest reading of a component that is believed, in m°C: the lower end of industrial chips.
const COLDEST: i64 = -40_000;

/// Hottest reading of a component that is believed, in m°C: silicon is dead beyond.
const HOTTEST: i64 = 150_000;

/// What chips of 8 bits say for "nothing connected", in m°C: 127 and, with half degrees, 127.5.
/// Their other such words, -128 and 255, are out of range anyway.
const MARKERS: [i64; 2] = [127_000, 127_500];

/// The temperature of `millidegrees`, unless it cannot be one of a component that answers.
pub(super) fn plausible(millidegrees: i64) -> Result<Celsius, Fault> {
    if !(COLDEST..=HOTTEST).contains(&millidegrees) || MARKERS.contains(&millidegrees) {
        return Err(Fault::OUT_OF_RANGE);
    }
    // Exact in an f64, and so divided that 20100 gives the same as "20.1".
    Celsius::new(millidegrees as f64 / 1_000.0).map_err(|_| Fault::OUT_OF_RANGE)
}

/// Whether a sensor of that name says how far a part is from its limit: in degrees, but falling where the part gets
/// hotter, and so no temperature. Boards of Intel have `P1 Therm Margin` and `DIMM Thrm Mrgn 1`, others `CPU0_MARGIN`.
pub(super) fn is_margin(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["margin", "mrgn", "therm mgn"]
        .iter()
        .any(|word| name.contains(word))
}

/// What a sensor measures, by the name of its chip's driver and its label.
pub(super) fn role(chip: &str, label: &str) -> Role {
    let label = label.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| label.contains(word));
    if says(&["inlet", "intake"]) {
        return Role::Inlet;
    }
    if says(&["exhaust", "outlet", "exit air"]) {
        return Role::Exhaust;
    }
    if says(&["ambient"]) {
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

/// What a sensor of a board measures, by the name that its BMC gives it.
pub(super) fn role_on_board(name: &str) -> Role {
    let of_air = role("", name);
    if of_air != Role::Other {
        return of_air;
    }
    let name = name.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if says(&["gpu"]) {
        Role::Gpu
    } else if says(&["dimm", "memory"]) {
        Role::Memory
    } else if says(&["hdd", "ssd", "nvme", "drive", "disk"]) {
        Role::Disk
    } else if says(&["cpu", "processor"]) && !says(&["vr"]) {
        // Voltage regulators of a processor are hotter than it is allowed to be.
        Role::Cpu
    } else {
        Role::Other
    }
}

/// The step of a chip's readings, where its driver is known to give whole degrees: coretemp by its
/// kernel documentation, `NVMe` and SCT (drivetemp) since their standards do.
pub(super) fn resolution(chip: &str) -> Option<Kelvin> {
    matches!(chip, "coretemp" | "nvme" | "drivetemp").then_some(Kelvin(1.0))
}

/// `<role>-<host>-<n>`; `n` loses its hyphens, so that the host can be told from it.
pub(super) fn device_id(role: Role, host: &str, n: &str) -> DeviceId {
    // Longer names than this are not ASCII host labels (RFC 1123: 63); it leaves room for `n`.
    let host: String = host.chars().take(60).collect();
    DeviceId::sanitized(&format!("{role}-{host}-{}", n.replace('-', "_")))
}

/// `id`, or where that is taken `id.2`, `id.3` and so on, whichever is the first free one.
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
    fn markers_and_absurd_numbers_are_no_temperatures() {
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
    fn the_host_can_be_told_from_the_id() {
        let id = device_id(Role::Disk, "node-7", "nvme.S64-1.Composite");
        assert_eq!(id.as_str(), "disk-node-7-nvme.S64_1.Composite");
        assert_eq!(id.rack_part(), Some("node-7"));
    }

    #[test]
    fn a_label_that_names_air_beats_the_chip() {
        assert_eq!(role("nct6775", "Front Intake"), Role::Inlet);
        assert_eq!(role("coretemp", "Core 0"), Role::Cpu);
        assert_eq!(role("nct6775", "SYSTIN"), Role::Other);
        assert_eq!(role("", "Exit Air Temp"), Role::Exhaust);
    }

    #[test]
    fn margins_are_told_by_their_names() {
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
