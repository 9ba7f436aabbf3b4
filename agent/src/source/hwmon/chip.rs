//! One chip under `/sys/class/hwmon`: what it has, and what it says.
//!
//! In: its directory. Out: its inputs with what is fixed about them, and for each read one result
//! an input. Nothing is lost: an input that cannot be read gives a fault. Names of files are those
//! of the kernel's `Documentation/hwmon/sysfs-interface.rst`.

use std::fs;
use std::path::{Path, PathBuf};

use rackwatch_core::device::HardwareLimits;
use rackwatch_core::reading::Fault;
use rackwatch_core::units::Celsius;

use super::sysfs;

/// A chip as found.
#[derive(Clone, Debug)]
pub(super) struct Chip {
    /// `hwmonN`, in the class directory.
    pub(super) dir: PathBuf,
    /// The N.
    pub(super) number: u64,
    /// The driver's name for it.
    pub(super) name: String,
    /// The model of a drive.
    pub(super) model: Option<String>,
    /// What tells this piece of hardware from any other in the world: a drive's serial number.
    pub(super) serial: Option<String>,
    /// Where it hangs in the tree of devices, links resolved; none where there are no links.
    pub(super) place: Option<PathBuf>,
    /// Which of several I2C buses of one controller it is on, as far as the bus says so itself.
    pub(super) bus: Option<String>,
    /// Its inputs, by channel.
    pub(super) inputs: Vec<Input>,
}

/// A temperature input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    /// K in `tempK_input`.
    pub(super) channel: u32,
    /// What the driver calls it, if anything.
    pub(super) label: Option<String>,
    /// The chip's own limits.
    pub(super) limits: HardwareLimits,
}

/// The directories of the chips under `root` with their numbers, in that order. None if `root`
/// cannot be listed, as on a host without any.
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
    /// What there is in `dir`. Blocks.
    pub(super) fn at(dir: PathBuf, number: u64) -> Self {
        let device = dir.join("device");
        let place = place(&dir);
        let name = sysfs::name(&dir.join("name")).unwrap_or_else(|| "hwmon".to_owned());
        // `serial` is NVMe's, `wwid` (a World Wide Name) that of SCSI and ATA drives. Of others a
        // file of that name may mean anything. A `wwid` may be `t10.ATA MODEL SERIAL`.
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
        // Absent for most chips; a flag that cannot be read says nothing either.
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

/// The device that the chip belongs to; where a driver gives none, the chip's own place.
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

/// The number of the port or of the multiplexer's channel in the name of an I2C bus, which unlike the
/// number of the bus is that of the hardware: `SMBus PIIX4 adapter port 2 at 0b00`,
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
