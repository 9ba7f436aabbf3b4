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

impl Chip {
    /// Every chip under `root`, in the order of their numbers. None if `root` cannot be listed, as
    /// on a host without any.
    pub(super) fn all(root: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(root) else {
            return Vec::new();
        };
        let mut chips: Vec<Self> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name.to_str()?.strip_prefix("hwmon")?.parse().ok()?;
                Some(Self::at(entry.path(), number))
            })
            .filter(|chip| !chip.inputs.is_empty())
            .collect();
        chips.sort_by_key(|chip| chip.number);
        chips
    }

    fn at(dir: PathBuf, number: u64) -> Self {
        let device = dir.join("device");
        let name = sysfs::optional_text(&dir.join("name")).unwrap_or_else(|| "hwmon".to_owned());
        // `serial` is NVMe's, `wwid` (a World Wide Name) that of SCSI and ATA drives. Of others a
        // file of that name may mean anything.
        let serial = match name.as_str() {
            "nvme" => sysfs::optional_text(&device.join("serial")),
            "drivetemp" => sysfs::optional_text(&device.join("wwid")),
            _ => None,
        };
        Self {
            number,
            name,
            model: sysfs::optional_text(&device.join("model")),
            serial,
            place: place(&dir),
            inputs: inputs(&dir),
            dir,
        }
    }

    /// Reads an input. Blocks.
    pub(super) fn read(&self, input: &Input) -> Result<Celsius, Fault> {
        let file = |what: &str| self.dir.join(format!("temp{}_{what}", input.channel));
        // Absent for most chips; a flag that cannot be read says nothing either.
        let flag = |what: &str| sysfs::text(&file(what)).ok();
        if flag("fault").is_some_and(|flag| flag != "0") {
            return Err(Fault::SENSOR_FAULT);
        }
        if flag("enable").is_some_and(|flag| flag == "0") {
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
                label: sysfs::optional_text(&file("label")),
                limits: HardwareLimits {
                    low_critical: sysfs::limit(&file("lcrit")),
                    high_warning: sysfs::limit(&file("max")),
                    high_critical: sysfs::limit(&file("crit")),
                },
            }
        })
        .collect()
}
