//! The sensors under `/sys/class/hwmon` on Linux: processors, drives, memory, boards.
//!
//! In: sysfs. Out: a device for every `tempN_input` of every chip; at each tick a temperature or a
//! fault for each. Nothing is lost: each input of a chip that does not answer has a timeout. So has
//! each input of a chip that is still busy with an earlier read: a second read of a stuck bus would
//! only block a second thread.
//!
//! Reading sysfs blocks, and some chips block forever. So each chip is read on its own blocking
//! thread, which sends results as they arrive; [`Source::read`] returns them shortly before the
//! deadline. A chip's state is shared with its thread, so `read` may be dropped at any time. At most
//! one thread per chip is busy. A process that ends while a chip is stuck must not wait for that
//! thread (`Runtime::shutdown_background`).

mod chip;
mod identity;
mod sysfs;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use self::chip::{Chip, Input};
use super::component::{resolution, role};
use super::{DiscoveredDevice, Outcome, Source};

/// The `[sources.hwmon]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HwmonConfig {
    /// Whether to read this source; default true.
    pub enabled: bool,
    /// Folder in which the kernel lists the chips; default `/sys/class/hwmon`.
    pub root: PathBuf,
    /// Time between two reads; default 10 s, as components change slowly and reading wakes them up.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// Time after which a read or a discovery counts as failed; default 2 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// Whether to read each core of a processor besides the package; default false.
    pub per_core: bool,
}

impl Default for HwmonConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            root: "/sys/class/hwmon".into(),
            interval: Duration::from_secs(10),
            deadline: Duration::from_secs(2),
            per_core: false,
        }
    }
}

/// The source over [`HwmonConfig::root`].
#[derive(Debug)]
pub struct Hwmon {
    config: HwmonConfig,
    host: String,
    chips: Vec<Arc<ChipReader>>,
    /// Whether a thread is discovering the chip in a directory.
    discovering: HashMap<PathBuf, Arc<AtomicBool>>,
}

/// One chip, its inputs to read, and whether a thread is reading it.
#[derive(Debug)]
struct ChipReader {
    chip: Chip,
    inputs: Vec<(DiscoveredDevice, Input)>,
    is_busy: Arc<AtomicBool>,
}

/// A guard for the only thread that may use a chip; released even if that thread panics.
struct BusyGuard(Arc<AtomicBool>);

impl BusyGuard {
    /// Sets the flag, or returns `None` if another thread has.
    fn claim(flag: &Arc<AtomicBool>) -> Option<Self> {
        let was_busy = flag.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Self(flag.clone()))
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Hwmon {
    /// Returns a source that names its devices after `host`. It reads nothing yet.
    pub fn new(config: HwmonConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            chips: Vec::new(),
            discovering: HashMap::new(),
        }
    }

    fn devices(&self) -> Vec<DiscoveredDevice> {
        let inputs = self.chips.iter().flat_map(|reader| &reader.inputs);
        inputs.map(|(device, _)| device.clone()).collect()
    }

    /// Discovers the chips in `dirs`, each on its own thread: limits are read from the hardware too.
    /// A chip that does not answer stays as it was known before.
    async fn discover_chips(&mut self, dirs: Vec<(u64, PathBuf)>) -> Vec<Chip> {
        let end = Instant::now() + self.config.deadline * 9 / 10;
        let (results, mut incoming) = mpsc::unbounded_channel();
        self.discovering
            .retain(|dir, _| dirs.iter().any(|(_, present)| present == dir));
        for (number, dir) in &dirs {
            let flag = self.discovering.entry(dir.clone()).or_default();
            if let Some(guard) = BusyGuard::claim(flag) {
                let (number, dir, results) = (*number, dir.clone(), results.clone());
                spawn_blocking(move || {
                    let _guard = guard;
                    // Fails once the receiver has timed out.
                    results.send(Chip::at(dir, number)).ok();
                });
            }
        }
        drop(results);
        let mut answered = HashMap::new();
        while let Ok(Some(chip)) = timeout_at(end, incoming.recv()).await {
            answered.insert(chip.dir.clone(), chip);
        }
        let chips = dirs.into_iter().filter_map(|(_, dir)| {
            let chip = answered.remove(&dir);
            if chip.is_none() {
                tracing::warn!(chip = %dir.display(), "hwmon chip does not answer");
            }
            let known = || self.chips.iter().find(|reader| reader.chip.dir == dir);
            chip.or_else(|| known().map(|reader| reader.chip.clone()))
        });
        chips.filter(|chip| !chip.inputs.is_empty()).collect()
    }

    /// Replaces the chips, and names their inputs. A known chip keeps its flag: a thread may still be
    /// stuck in it.
    fn adopt(&mut self, chips: Vec<Chip>) {
        // Named before any input is left out, so that `per_core` changes no other name.
        let ids = identity::ids(&chips, &self.host);
        let old = std::mem::take(&mut self.chips);
        let readers = chips.into_iter().zip(ids).map(|(chip, ids)| {
            let before = old.iter().find(|reader| reader.chip.dir == chip.dir);
            let is_busy = before
                .map(|reader| reader.is_busy.clone())
                .unwrap_or_default();
            let inputs = chip.inputs.iter().cloned().zip(ids);
            let inputs = inputs
                .filter(|(input, _)| self.config.per_core || !is_core(input))
                .map(|(input, device)| (self.describe(&chip, &input, device), input))
                .collect();
            Arc::new(ChipReader {
                chip,
                inputs,
                is_busy,
            })
        });
        self.chips = readers.collect();
    }

    fn describe(&self, chip: &Chip, input: &Input, device: DeviceId) -> DiscoveredDevice {
        let channel = format!("temp{}", input.channel);
        let label = input.label.as_deref().unwrap_or(&channel);
        let name = match &chip.model {
            Some(model) => format!("{} {label} ({model})", chip.name),
            None => format!("{} {label}", chip.name),
        };
        let description = Description {
            target: self.host.clone(),
            source: "hwmon".to_owned(),
            name,
            role: role(&chip.name, label),
            interval: self.config.interval,
            resolution: resolution(&chip.name),
            limits: input.limits,
            hardware: chip
                .serial
                .as_ref()
                .map(|serial| format!("{serial} {channel}")),
            ..Description::default()
        };
        DiscoveredDevice {
            device,
            description,
        }
    }
}

#[async_trait]
impl Source for Hwmon {
    fn kind(&self) -> &'static str {
        "hwmon"
    }

    fn interval(&self) -> Duration {
        self.config.interval
    }

    fn deadline(&self) -> Duration {
        self.config.deadline
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let root = self.config.root.clone();
        let dirs = spawn_blocking(move || chip::dirs(&root)).await;
        let chips = self.discover_chips(dirs.unwrap_or_default()).await;
        self.adopt(chips);
        self.devices()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        // A tenth earlier than the deadline: when that passes, the results so far are dropped.
        let end = Instant::now() + self.config.deadline * 9 / 10;
        let (results, mut incoming) = mpsc::unbounded_channel();
        for (number, reader) in self.chips.iter().enumerate() {
            start_read(number, reader, results.clone());
        }
        drop(results);
        let mut outcomes: Vec<Vec<Option<_>>> = self
            .chips
            .iter()
            .map(|reader| vec![None; reader.inputs.len()])
            .collect();
        // Ends when every thread is done, or at the deadline.
        while let Ok(Some((chip, input, value))) = timeout_at(end, incoming.recv()).await {
            outcomes[chip][input] = Some(value);
        }
        let inputs = self.chips.iter().flat_map(|reader| &reader.inputs);
        inputs
            .zip(outcomes.into_iter().flatten())
            .map(|((known, _), value)| (known.device.clone(), value.unwrap_or(Err(Fault::TIMEOUT))))
            .collect()
    }
}

/// Index of the chip, index of its input, and the outcome.
type InputOutcome = (usize, usize, Result<Celsius, Fault>);

/// Starts to read a chip on its own thread, unless an earlier thread is still busy with it.
fn start_read(
    number: usize,
    reader: &Arc<ChipReader>,
    results: mpsc::UnboundedSender<InputOutcome>,
) {
    let Some(guard) = BusyGuard::claim(&reader.is_busy) else {
        return;
    };
    let reader = reader.clone();
    spawn_blocking(move || {
        let _guard = guard;
        for (index, (_, input)) in reader.inputs.iter().enumerate() {
            let value = reader.chip.read(input);
            // The receiver is gone once the deadline has passed.
            if results.send((number, index, value)).is_err() {
                return;
            }
        }
    });
}

/// Returns whether an input is one of a processor's cores, as coretemp and others label them.
fn is_core(input: &Input) -> bool {
    input
        .label
        .as_deref()
        .is_some_and(|l| l.starts_with("Core "))
}
