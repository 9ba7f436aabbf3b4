//! One chip under `/sys/class/hwmon`: its inputs and their readings.
//!
//! In: its directory. Out: its inputs with their fixed properties, and at each read one outcome per
//! input. Nothing is lost: an input that cannot be read has a fault. File names are those of the
//! kernel's `Documentation/hwmon/sysfs-interface.rst`.

use std::fs;
use std::path::{Path, PathBuf};

use rackwatch_core::device::HardwareLimits;
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;

use super::sysfs;

/// A chip with its identity and inputs.
#[derive(Clone, Debug)]
pub(super) struct Chip {
    /// Directory `hwmonN` in the class directory.
    pub(super) dir: PathBuf,
    /// The number N of the directory.
    pub(super) number: u64,
    /// Name that the driver gives it.
    pub(super) name: String,
    /// Model, if it is a drive.
    pub(super) model: Option<String>,
    /// Serial number, if it is a drive: unique in the world.
    pub(super) serial: Option<String>,
    /// Path in the tree of devices with links resolved; `None` without links.
    pub(super) place: Option<PathBuf>,
    /// I2C bus among those of its controller, if the bus names it.
    pub(super) bus: Option<String>,
    /// Inputs, sorted by channel.
    pub(super) inputs: Vec<Input>,
}

/// A temperature input of a chip.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    /// The number K in `tempK_input`.
    pub(super) channel: u32,
    /// Label that the driver gives it, if any.
    pub(super) label: Option<String>,
    /// Limits of the chip itself.
    pub(super) limits: HardwareLimits,
}

/// Returns the directories of the chips under `root`, sorted by number. Empty if `root` cannot be
/// listed, as on a host without chips.
pub(super) fn dirs(root: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut dirs: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix("hwmon")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    dirs.sort();
    dirs
}

impl Chip {
    /// Discovers the chip in `dir`. Blocks.
    pub(super) fn at(dir: PathBuf, number: u64) -> Self {
        let device = dir.join("device");
        let place = place(&dir);
        let name = sysfs::name(&dir.join("name")).unwrap_or_else(|| "hwmon".to_owned());
        // NVMe drives have `serial`, SCSI and ATA drives `wwid` (a World Wide Name). With other
        // drivers these files may mean anything. A `wwid` may be `t10.ATA MODEL SERIAL`.
        let serial = match name.as_str() {
            "nvme" => sysfs::name(&device.join("serial")),
            "drivetemp" => sysfs::name(&device.join("wwid")),
            _ => None,
        };
        let last_word = |text: String| text.split_whitespace().last().map(str::to_owned);
        Self {
            number,
            name,
            model: sysfs::name(&device.join("model")),
            serial: serial.and_then(last_word),
            bus: place.as_deref().and_then(bus),
            place,
            inputs: inputs(&dir),
            dir,
        }
    }

    /// Reads an input. Blocks.
    pub(super) fn read(&self, input: &Input) -> Result<Celsius, Fault> {
        let file = |what: &str| self.dir.join(format!("temp{}_{what}", input.channel));
        // Most chips lack these files; an unreadable one counts as absent.
        let flag = |what: &str| sysfs::text(&file(what)).ok()?.parse::<i64>().ok();
        if flag("fault").is_some_and(|flag| flag != 0) {
            return Err(Fault::SENSOR_FAULT);
        }
        if flag("enable") == Some(0) {
            return Err(Fault::DISABLED);
        }
        sysfs::temperature(&file("input"))
    }
}

/// Returns the path of the device that the chip belongs to; if the driver names none, the chip's
/// own path.
fn place(dir: &Path) -> Option<PathBuf> {
    let device = dir.join("device");
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if is_link(&device) {
        device.canonicalize().ok()
    } else if is_link(dir) {
        dir.canonicalize().ok()
    } else {
        None
    }
}

/// Returns the number of the port or multiplexer channel in the name of an I2C bus, which the
/// hardware defines, unlike the number of the bus: `SMBus PIIX4 adapter port 2 at 0b00`,
/// `i2c-0-mux (chan_id 1)`.
fn bus(place: &Path) -> Option<String> {
    let name = sysfs::name(&place.parent()?.join("name"))?;
    let (_, number) = name
        .split_once(" port ")
        .or_else(|| name.split_once("chan_id "))?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    (!digits.is_empty()).then(|| format!("bus{digits}"))
}

fn inputs(dir: &Path) -> Vec<Input> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let channel = |name: &str| -> Option<u32> {
        let channel = name.strip_prefix("temp")?.strip_suffix("_input")?;
        channel.parse().ok()
    };
    let mut channels: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| channel(entry.file_name().to_str()?))
        .collect();
    channels.sort_unstable();
    channels
        .into_iter()
        .map(|channel| {
            let file = |what: &str| dir.join(format!("temp{channel}_{what}"));
            Input {
                channel,
                label: sysfs::name(&file("label")),
                limits: HardwareLimits {
                    low_critical: sysfs::limit(&file("lcrit")),
                    high_warning: sysfs::limit(&file("max")),
                    high_critical: sysfs::limit(&file("crit")),
                    ..HardwareLimits::default()
                },
            }
        })
        .collect()
}
