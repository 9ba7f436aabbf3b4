//! Fake `/sys/class/hwmon` trees.
//!
//! In: the chips of a fictional server. Out: a directory for the `root` of a source. Every input has
//! a different value, so a value identifies the input.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A chip: its path in the tree of devices, the attributes of the device, and its own. `#` in the
/// path stands for a number that the kernel assigns in order of discovery.
pub(super) struct Chip {
    device: String,
    about: Vec<(&'static str, String)>,
    bus: Option<String>,
    own: Vec<(String, String)>,
}

impl Chip {
    fn new(name: &str, device: &str) -> Self {
        Self {
            device: device.to_owned(),
            about: Vec::new(),
            bus: None,
            own: vec![("name".to_owned(), name.to_owned())],
        }
    }

    fn about(mut self, file: &'static str, text: &str) -> Self {
        self.about.push((file, text.to_owned()));
        self
    }

    fn with(mut self, file: &str, text: impl Display) -> Self {
        self.own.push((file.to_owned(), text.to_string()));
        self
    }

    fn write(&self, own: &Path, about: &Path) {
        fs::create_dir_all(own).unwrap();
        fs::create_dir_all(about).unwrap();
        if let Some(bus) = &self.bus {
            fs::write(about.parent().unwrap().join("name"), bus).unwrap();
        }
        for (file, text) in &self.own {
            fs::write(own.join(file), format!("{text}\n")).unwrap();
        }
        for (file, text) in &self.about {
            // NVMe pads its strings with blanks.
            fs::write(about.join(file), format!("{text}  \n")).unwrap();
        }
    }
}

/// Returns a DIMM on each of two ports of one AMD controller, whose buses have names; two SATA drives with
/// World Wide Names; a wireless card and a graphics card of the kind that has no `device` link.
pub(super) fn workstation() -> Vec<Chip> {
    let mut chips = Vec::new();
    for port in 0..2 {
        let device = format!("pci0000:00/0000:00:14.0/i2c-#{port}/#{port}-0050");
        let mut dimm = Chip::new("spd5118", &device).with("temp1_input", 30_000 + port * 1_000);
        dimm.bus = Some(format!("SMBus PIIX4 adapter port {port} at 0b00\n"));
        chips.push(dimm);
    }
    let sata = "pci0000:00/0000:00:17.0/ata1#/host#0/target#0:0:0/#0:0:0:0";
    let wwids = [
        "naa.5000c500a1b2c3d4",
        "t10.ATA     SAMSUNG MZ7LH960HAJR-00005                      S45NNA0N",
    ];
    for (n, wwid) in wwids.iter().enumerate() {
        chips.push(
            Chip::new("drivetemp", &sata.replace("ata1#", &format!("ata{n}")))
                .about("wwid", wwid)
                .with("temp1_input", 32_000 + n * 1_000),
        );
    }
    chips.push(Chip::new("iwlwifi_1", "pci0000:00/0000:00:14.3").with("temp1_input", 44_000));
    chips.push(
        Chip::new("amdgpu", "pci0000:00/0000:03:00.0")
            .with("temp1_input", 50_000)
            .with("temp1_label", "edge")
            .with("temp2_input", 51_000)
            .with("temp2_label", "edge"),
    );
    chips
}

/// Returns two drives of one model, four DIMMs without labels on two buses of one controller, two sockets
/// with two cores each, and a board's chip with one broken, one unconnected and one garbled input.
pub(super) fn server() -> Vec<Chip> {
    let mut chips = Vec::new();
    for (n, bus) in ["3d", "3e"].iter().enumerate() {
        let device = format!("pci0000:00/0000:00:1d.{n}/0000:{bus}:00.0/nvme/nvme#");
        chips.push(
            Chip::new("nvme", &device)
                .about("model", "SAMSUNG MZQL23T8")
                .about("serial", &format!("S64GNE0R{n}"))
                .with("temp1_input", 41_850 + n * 9_000)
                .with("temp1_label", "Composite")
                .with("temp1_max", 81_850)
                .with("temp1_crit", 84_850),
        );
    }
    for n in 0..4 {
        let device = format!(
            "pci0000:00/0000:00:1f.4/i2c-#{}/#{}-005{}",
            n / 2,
            n / 2,
            n % 2
        );
        chips.push(
            Chip::new("spd5118", &device)
                .with("temp1_input", 35_000 + n * 1_250)
                .with("temp1_crit", 85_000),
        );
    }
    for socket in 0..2 {
        let mut chip = Chip::new("coretemp", &format!("platform/coretemp.{socket}"))
            .with("temp1_input", 62_000 + socket * 1_000)
            .with("temp1_label", format_args!("Package id {socket}"))
            .with("temp1_crit", 100_000);
        for core in 0..2 {
            let channel = core + 2;
            chip = chip
                .with(
                    &format!("temp{channel}_input"),
                    55_000 + 2_000 * socket + 1_000 * core,
                )
                .with(&format!("temp{channel}_label"), format_args!("Core {core}"));
        }
        chips.push(chip);
    }
    chips.push(
        Chip::new("nct6775", "platform/nct6775.656")
            .with("temp1_input", 127_500)
            .with("temp1_fault", 1)
            .with("temp1_label", "SYSTIN")
            .with("temp2_input", -128_000)
            .with("temp2_label", "AUXTIN")
            .with("temp3_input", "garbage")
            .with("temp3_label", "BAD")
            .with("temp4_input", 40_000)
            .with("temp4_enable", 0)
            .with("temp5_input", 127_500),
    );
    chips
}

/// Creates a tree as the kernel does, with chip `i` numbered `numbers[i]`, and returns its root.
/// The kernel's other numbers move with the `first` one.
pub(super) fn linked(dir: &TempDir, chips: &[Chip], numbers: &[usize], first: usize) -> PathBuf {
    let class = dir.path().join("sys/class/hwmon");
    fs::create_dir_all(&class).unwrap();
    for (chip, number) in chips.iter().zip(numbers) {
        let device = chip
            .device
            .replace("nvme#", &format!("nvme{number}"))
            .replace("#0", &first.to_string())
            .replace("#1", &(first + 1).to_string());
        let about = dir.path().join("sys/devices").join(device);
        let own = about.join(format!("hwmon/hwmon{number}"));
        chip.write(&own, &about);
        symlink("../..", own.join("device")).unwrap();
        symlink(&own, class.join(format!("hwmon{number}"))).unwrap();
    }
    class
}

/// Creates a tree of plain directories without serial numbers, and returns its root: nothing
/// distinguishes identical chips.
pub(super) fn flat(dir: &TempDir, chips: &[Chip], numbers: &[usize]) -> PathBuf {
    let class = dir.path().join("hwmon");
    for (chip, number) in chips.iter().zip(numbers) {
        let own = class.join(format!("hwmon{number}"));
        chip.write(&own, &own.join("device"));
        fs::remove_file(own.join("device/serial")).ok();
    }
    class
}

/// Returns some orders of `count` chips, first the original one.
pub(super) fn orders(count: usize) -> Vec<Vec<usize>> {
    // Steps that share no factor with any count below 11 visit each position once.
    let mut orders: Vec<Vec<usize>> = vec![(0..count).collect(), (0..count).rev().collect()];
    for step in [11, 13, 17, 19] {
        orders.push((0..count).map(|i| (i * step + 3) % count).collect());
    }
    orders
}
