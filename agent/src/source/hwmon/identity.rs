//! Names that outlive a reboot, for inputs whose directories are numbered anew at each.
//!
//! In: the chips that were found. Out: an id for each input, all different. Nothing is lost: what
//! cannot be told apart is still named apart.
//!
//! A chip is told from others of its name by, in this order:
//! 1. the serial number of a drive: the id goes with the drive;
//! 2. its place in the tree of devices, without the numbers that the kernel gives out in the order
//!    of finding (`nvme0`, `i2c-3`, `host2`): the nearest PCI address and what hangs below it, a
//!    platform device, an I2C address with the port or channel of its bus;
//! 3. where several still look alike (two buses of one PCI function), their order by whole place,
//!    as the kernel numbers such buses in the order of the hardware;
//! 4. without links in the tree, what is fixed about them: model, labels, limits;
//! 5. the last resort, for twins with nothing at all to tell them by: their order by hwmon number.
//!    The set of their ids is always the same, but which is which may change at a reboot. A real
//!    `/sys` has links; copies of one may not.
//!
//! With 3 to 5 the first has the plain name, the next `_2` and so on, so that a twin that is taken
//! out may hand its id to the next one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hasher;
use std::path::{Component, Path};

use rackwatch_core::device::DeviceId;

use super::super::component::{device_id, role, unique};
use super::chip::{Chip, Input};

/// The longest `n` of an id: leaves room for role and host within 128.
const LONGEST: usize = 56;

/// The id of every input of every chip, in the order given.
pub(super) fn ids(chips: &[Chip], host: &str) -> Vec<Vec<DeviceId>> {
    let stems = stems(chips);
    let mut order: Vec<usize> = (0..chips.len()).collect();
    // Ids that still collide are told apart in this order, so it must not be that of the numbers.
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

/// For each chip a text that no other chip has.
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
                    "nothing tells these two chips apart: their ids may be swapped after a reboot",
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

/// A chip's name and what tells it from others, without anything that changes.
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

/// A driver's name without the number that some wireless drivers count up: `iwlwifi_1`,
/// `mt7921_phy0`.
fn stable_name(name: &str) -> &str {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if bare == "iwlwifi_" || bare.ends_with("_phy") {
        bare.trim_end_matches('_')
    } else {
        name
    }
}

/// Order of chips that have one stem: by what is fixed, and only then by number.
fn order(one: &Chip, other: &Chip) -> Ordering {
    fixed_order(one, other).then(one.number.cmp(&other.number))
}

fn fixed_order(one: &Chip, other: &Chip) -> Ordering {
    let place = |chip: &Chip| chip.place.as_deref().map(natural);
    place(one)
        .cmp(&place(other))
        .then_with(|| content(one).cmp(&content(other)))
}

/// A place with numbers padded, so that `i2c-10` comes after `i2c-9`. Without the numbers of hwmon
/// and of `NVMe` controllers, which follow the order of loading.
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

/// Model, labels and limits as one text.
fn content(chip: &Chip) -> String {
    format!("{:?} {:?}", chip.model, chip.inputs)
}

/// What of a place stays the same: the nearest PCI address and what hangs below it, or all below
/// `devices` where there is no PCI address, both without numbers given out in the order of finding.
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

/// None for parts that say nothing, or something else after each boot.
fn stable_part(part: &str) -> Option<&str> {
    const SAY_NOTHING: [&str; 5] = ["hwmon", "nvme", "platform", "virtual", "thermal"];
    const NUMBERED: [&str; 6] = ["hwmon", "nvme", "i2c-", "host", "ata", "nvme-subsys"];
    if SAY_NOTHING.contains(&part) || NUMBERED.iter().any(|prefix| is_numbered(part, prefix)) {
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

/// As in `0000:3d:00.0`: domain, bus, device, function.
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

/// The input's label, with its channel where the label is missing or not the only one.
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

/// `stem.label`; where that is too long, the middle of it is replaced by a hash of it.
fn shortened(stem: &str, label: &str) -> String {
    let whole = format!("{stem}.{label}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(whole.as_bytes());
    let head: String = stem.chars().take(20).collect();
    let tail: String = label.chars().take(16).collect();
    format!("{head}.{:016x}.{tail}", hash.finish())
}

/// FNV-1a, 64 bits: ids must not change with the version of the standard library, as its own
/// hasher may.
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
    fn what_the_kernel_numbers_is_left_out_of_a_place() {
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
    fn numbers_that_drivers_count_up_are_left_out_of_names() {
        assert_eq!(stable_name("iwlwifi_1"), "iwlwifi");
        assert_eq!(stable_name("mt7921_phy0"), "mt7921_phy");
        assert_eq!(stable_name("spd5118"), "spd5118");
    }

    #[test]
    fn numbers_are_ordered_as_numbers() {
        let nine = natural(Path::new("/sys/devices/i2c-9/9-0050"));
        let ten = natural(Path::new("/sys/devices/i2c-10/10-0050"));
        assert!(nine < ten);
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let one = shortened(&"a".repeat(100), "Core 1");
        let two = shortened(&"a".repeat(100), "Core 2");
        assert!(one.len() <= LONGEST);
        assert_ne!(one, two);
        assert!(one.ends_with(".Core 1"));
    }
}
