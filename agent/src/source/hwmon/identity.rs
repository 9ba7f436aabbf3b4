//! Device ids that survive a reboot, although the kernel numbers the directories anew each time.
//!
//! In: the discovered chips. Out: an id for each input, all different. Nothing is lost: identical
//! chips still get different ids.
//!
//! Chips with the same name differ, in this order, by:
//! 1. the serial number of a drive: the id moves with the drive;
//! 2. the path in the tree of devices, without numbers that the kernel assigns in order of
//!    discovery (`nvme0`, `i2c-3`, `host2`): the nearest PCI address and the path below it, a
//!    platform device, or an I2C address with the port or channel of its bus;
//! 3. if several still look alike (two buses of one PCI function), their order by whole path: the
//!    kernel numbers such buses in the order of the hardware;
//! 4. without links in the tree, their fixed properties: model, labels, limits;
//! 5. if nothing differs, their order by hwmon number. Then the set of ids is always the same, but
//!    ids may be swapped at a reboot. A real `/sys` has links; copies of one may not.
//!
//! With 3 to 5 the first chip has the plain name, the next `_2` and so on. Removing one may shift
//! the ids of the others.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hasher;
use std::path::{Component, Path};

use rackwatch_core::device::DeviceId;

use super::super::component::{device_id, role, unique};
use super::chip::{Chip, Input};

/// Longest last part of an id in bytes: leaves room for role and host within 128.
const LONGEST_PART: usize = 56;

/// Returns the ids of every input of every chip, in the given order.
pub(super) fn ids(chips: &[Chip], host: &str) -> Vec<Vec<DeviceId>> {
    let stems = stems(chips);
    let mut order: Vec<usize> = (0..chips.len()).collect();
    // Ids that still collide get suffixes in this order, so it must not depend on the numbers.
    order.sort_by(|a, b| stems[*a].cmp(&stems[*b]));
    let mut taken = HashSet::new();
    let mut ids = vec![Vec::new(); chips.len()];
    for index in order {
        let chip = &chips[index];
        for input in &chip.inputs {
            let label = label(chip, input);
            let role = role(&chip.name, input.label.as_deref().unwrap_or_default());
            let id = device_id(role, host, &shortened(&stems[index], &label));
            ids[index].push(unique(&id, &mut taken));
        }
    }
    ids
}

/// Returns a unique text for each chip.
fn stems(chips: &[Chip]) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, chip) in chips.iter().enumerate() {
        alike.entry(stem(chip)).or_default().push(index);
    }
    let mut stems = vec![String::new(); chips.len()];
    for (stem, mut twins) in alike {
        twins.sort_by(|a, b| order(&chips[*a], &chips[*b]));
        for pair in twins.windows(2) {
            let (one, other) = (&chips[pair[0]], &chips[pair[1]]);
            if fixed_order(one, other) == Ordering::Equal {
                tracing::warn!(
                    chip = one.name,
                    one = %one.dir.display(),
                    other = %other.dir.display(),
                    "cannot distinguish two chips, a reboot may swap their ids",
                );
            }
        }
        for (n, index) in twins.into_iter().enumerate() {
            stems[index].clone_from(&stem);
            if n > 0 {
                // Writing to a string cannot fail.
                _ = write!(stems[index], "_{}", n + 1);
            }
        }
    }
    stems
}

/// Returns a chip's name with its serial number or path, without parts that change.
fn stem(chip: &Chip) -> String {
    let name = stable_name(&chip.name);
    let place = match (&chip.serial, &chip.place, &chip.bus) {
        (Some(serial), _, _) => serial.clone(),
        (None, Some(place), None) => stable_place(place),
        (None, Some(place), Some(bus)) => format!("{}.{bus}", stable_place(place)),
        (None, None, _) => String::new(),
    };
    // Platform devices repeat the driver's name: `coretemp.0`.
    if place.starts_with(name) {
        place
    } else if place.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{place}")
    }
}

/// Returns a driver's name without the counter that some wireless drivers append: `iwlwifi_1`,
/// `mt7921_phy0`.
fn stable_name(name: &str) -> &str {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if bare == "iwlwifi_" || bare.ends_with("_phy") {
        bare.trim_end_matches('_')
    } else {
        name
    }
}

/// Orders chips with the same stem: by fixed properties, and only then by number.
fn order(one: &Chip, other: &Chip) -> Ordering {
    fixed_order(one, other).then(one.number.cmp(&other.number))
}

fn fixed_order(one: &Chip, other: &Chip) -> Ordering {
    let place = |chip: &Chip| chip.place.as_deref().map(natural);
    place(one)
        .cmp(&place(other))
        .then_with(|| content(one).cmp(&content(other)))
}

/// Returns a path with padded numbers, so `i2c-10` sorts after `i2c-9`. Numbers of hwmon and of
/// `NVMe` controllers are left out, as they depend on the order of loading.
fn natural(place: &Path) -> String {
    let mut text = String::new();
    for part in
        parts(place).filter(|part| !(is_numbered(part, "hwmon") || is_numbered(part, "nvme")))
    {
        let mut digits = String::new();
        for c in part.chars().chain(['/']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            if !digits.is_empty() {
                _ = write!(text, "{digits:0>12}");
                digits.clear();
            }
            text.push(c);
        }
    }
    text
}

/// Returns model, labels and limits as one text.
fn content(chip: &Chip) -> String {
    format!("{:?} {:?}", chip.model, chip.inputs)
}

/// Returns the stable part of a path: the nearest PCI address and everything below it, or without a
/// PCI address everything below `devices`. Numbers assigned in order of discovery are left out.
fn stable_place(place: &Path) -> String {
    let parts: Vec<&str> = parts(place).collect();
    let pci = parts.iter().rposition(|part| is_pci_address(part));
    let root = parts.iter().rposition(|part| *part == "devices");
    let from = pci.or(root.map(|root| root + 1)).unwrap_or(0);
    let stable: Vec<&str> = parts[from..]
        .iter()
        .filter_map(|part| stable_part(part))
        .collect();
    stable.join(".")
}

fn parts(place: &Path) -> impl Iterator<Item = &str> {
    place.components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    })
}

/// Returns the stable text of one part of a path; `None` for parts without meaning, or that change
/// at each boot.
fn stable_part(part: &str) -> Option<&str> {
    const MEANINGLESS: [&str; 5] = ["hwmon", "nvme", "platform", "virtual", "thermal"];
    const NUMBERED: [&str; 6] = ["hwmon", "nvme", "i2c-", "host", "ata", "nvme-subsys"];
    if MEANINGLESS.contains(&part) || NUMBERED.iter().any(|prefix| is_numbered(part, prefix)) {
        return None;
    }
    // SCSI: `target2:0:0` and `2:0:0:0` start with the number of the host.
    if let Some(address) = part.strip_prefix("target") {
        return address.split_once(':').map(|(_, rest)| rest);
    }
    if part.split(':').count() == 4 && part.split(':').all(is_number) {
        return None;
    }
    // I2C: `3-0050` is bus 3, address 0x50.
    match part.split_once('-') {
        Some((bus, address)) if is_number(bus) && address.len() == 4 => Some(address),
        _ => Some(part),
    }
}

fn is_numbered(part: &str, prefix: &str) -> bool {
    part.strip_prefix(prefix).is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns whether a part has domain, bus, device and function, as in `0000:3d:00.0`.
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let fields: Vec<&str> = part.split([':', '.']).collect();
    let [domain, bus, device, function] = fields[..] else {
        return false;
    };
    part.matches(':').count() == 2
        && domain.len() >= 4
        && (bus.len(), device.len(), function.len()) == (2, 2, 1)
        && [domain, bus, device, function].into_iter().all(hex)
}

/// Returns the input's label; its channel if there is none, or both if the label is not unique.
fn label(chip: &Chip, input: &Input) -> String {
    let channel = format!("temp{}", input.channel);
    let Some(label) = &input.label else {
        return channel;
    };
    let same = chip
        .inputs
        .iter()
        .filter(|other| other.label == input.label);
    if same.count() > 1 {
        format!("{label}.{channel}")
    } else {
        label.clone()
    }
}

/// Returns `stem.label`; if that is too long, its middle is replaced by a hash.
fn shortened(stem: &str, label: &str) -> String {
    let whole = format!("{stem}.{label}");
    if whole.len() <= LONGEST_PART {
        return whole;
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(whole.as_bytes());
    let head: String = stem.chars().take(20).collect();
    let tail: String = label.chars().take(16).collect();
    format!("{head}.{:016x}.{tail}", hash.finish())
}

/// A FNV-1a hasher of 64 bits. The standard library's hasher may change with its version, and ids
/// must not.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_assigned_by_the_kernel_are_left_out_of_a_path() {
        for (place, expected) in [
            (
                "/sys/devices/pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0",
                "0000:3d:00.0",
            ),
            ("/sys/devices/platform/coretemp.0", "coretemp.0"),
            (
                "/sys/devices/pci0000:00/0000:00:1f.4/i2c-12/12-0050",
                "0000:00:1f.4.0050",
            ),
            (
                "/sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:1/2:0:1:0",
                "0000:00:17.0.0:1",
            ),
            (
                "/sys/devices/virtual/thermal/thermal_zone0/hwmon1",
                "thermal_zone0",
            ),
        ] {
            assert_eq!(stable_place(Path::new(place)), expected);
        }
    }

    #[test]
    fn counters_of_drivers_are_left_out_of_names() {
        assert_eq!(stable_name("iwlwifi_1"), "iwlwifi");
        assert_eq!(stable_name("mt7921_phy0"), "mt7921_phy");
        assert_eq!(stable_name("spd5118"), "spd5118");
    }

    #[test]
    fn numbers_sort_by_value() {
        let nine = natural(Path::new("/sys/devices/i2c-9/9-0050"));
        let ten = natural(Path::new("/sys/devices/i2c-10/10-0050"));
        assert!(nine < ten);
    }

    #[test]
    fn long_names_are_shortened_and_stay_unique() {
        let one = shortened(&"a".repeat(100), "Core 1");
        let two = shortened(&"a".repeat(100), "Core 2");
        assert!(one.len() <= LONGEST_PART);
        assert_ne!(one, two);
        assert!(one.ends_with(".Core 1"));
    }
}
