//! The sensors that Linux offers under `/sys/class/hwmon`: processors, drives, memory, boards.
//!
//! In: sysfs. Out: one device for every `tempN_input` of every chip, and at each tick a temperature
//! or a fault for each. Nothing is lost: a chip that does not answer gives a timeout for each of its
//! inputs, and so does one that is still busy with an earlier read, since a second read of a stuck
//! bus would only tie up a second thread.
//!
//! Reading sysfs blocks, and some chips block for ever. So each chip is read on a blocking thread of
//! its own and hands its results over as they come; [`Source::read`] returns what has come shortly
//! before the deadline. A chip's state is shared with its thread, so `read` may be dropped at any
//! time. At most one thread a chip is ever busy. A process that ends while a chip is stuck must not
//! wait for that thread (`Runtime::shutdown_background`).

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

/// The `[hwmon]` section of the agent's config.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HwmonConfig {
    /// Read this source at all.
    pub enabled: bool,
    /// Where the kernel lists the chips.
    pub root: PathBuf,
    /// How often to read. Components change slowly, and reading wakes them up: 10 s.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub interval: Duration,
    /// How long a read may take, and looking for chips.
    #[serde(with = "rackwatch_runtime::config::duration")]
    pub deadline: Duration,
    /// Read each core of a processor too, not only the package.
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
    lanes: Vec<Arc<Lane>>,
    /// By directory: a thread is looking at that chip.
    looking: HashMap<PathBuf, Arc<AtomicBool>>,
}

/// One chip, the inputs of it that are read, and whether a thread is reading it.
#[derive(Debug)]
struct Lane {
    chip: Chip,
    inputs: Vec<(DiscoveredDevice, Input)>,
    busy: Arc<AtomicBool>,
}

/// Held by the one thread that may do something; gives it back even if that thread panics.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn claim(flag: &Arc<AtomicBool>) -> Option<Self> {
        let was_busy = flag.swap(true, Ordering::AcqRel);
        (!was_busy).then(|| Self(flag.clone()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Hwmon {
    /// A source that names its devices after `host`. It reads nothing yet.
    pub fn new(config: HwmonConfig, host: &str) -> Self {
        Self {
            config,
            host: host.to_owned(),
            lanes: Vec::new(),
            looking: HashMap::new(),
        }
    }

    fn found(&self) -> Vec<DiscoveredDevice> {
        let inputs = self.lanes.iter().flat_map(|lane| &lane.inputs);
        inputs.map(|(found, _)| found.clone()).collect()
    }

    /// Looks at the chips in `dirs`, each on a thread of its own, since limits too are read from the
    /// hardware. Of one that does not answer, what was known stays.
    async fn look(&mut self, dirs: Vec<(u64, PathBuf)>) -> Vec<Chip> {
        let end = Instant::now() + self.config.deadline * 9 / 10;
        let (results, mut incoming) = mpsc::unbounded_channel();
        self.looking
            .retain(|dir, _| dirs.iter().any(|(_, there)| there == dir));
        for (number, dir) in &dirs {
            let flag = self.looking.entry(dir.clone()).or_default();
            if let Some(claim) = Busy::claim(flag) {
                let (number, dir, results) = (*number, dir.clone(), results.clone());
                spawn_blocking(move || {
                    let _claim = claim;
                    // Fails when nobody waits any more.
                    results.send(Chip::at(dir, number)).ok();
                });
            }
        }
        drop(results);
        let mut seen = HashMap::new();
        while let Ok(Some(chip)) = timeout_at(end, incoming.recv()).await {
            seen.insert(chip.dir.clone(), chip);
        }
        let chips = dirs.into_iter().filter_map(|(_, dir)| {
            let chip = seen.remove(&dir);
            if chip.is_none() {
                tracing::warn!(chip = %dir.display(), "a hwmon chip does not say what it has");
            }
            let known = || self.lanes.iter().find(|lane| lane.chip.dir == dir);
            chip.or_else(|| known().map(|lane| lane.chip.clone()))
        });
        chips.filter(|chip| !chip.inputs.is_empty()).collect()
    }

    /// Names what was found. A chip that was there before keeps the flag of a thread that may still
    /// be stuck in it.
    fn adopt(&mut self, chips: Vec<Chip>) {
        // Named before any input is left out, so that `per_core` changes no other name.
        let ids = identity::ids(&chips, &self.host);
        let old = std::mem::take(&mut self.lanes);
        let lanes = chips.into_iter().zip(ids).map(|(chip, ids)| {
            let before = old.iter().find(|lane| lane.chip.dir == chip.dir);
            let busy = before.map(|lane| lane.busy.clone()).unwrap_or_default();
            let inputs = chip.inputs.iter().cloned().zip(ids);
            let inputs = inputs
                .filter(|(input, _)| self.config.per_core || !is_core(input))
                .map(|(input, device)| (self.describe(&chip, &input, device), input))
                .collect();
            Arc::new(Lane { chip, inputs, busy })
        });
        self.lanes = lanes.collect();
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
        let chips = self.look(dirs.unwrap_or_default()).await;
        self.adopt(chips);
        self.found()
    }

    async fn read(&mut self, _at: Timestamp) -> Vec<Outcome> {
        // Earlier than the deadline by a tenth, so that what has come is not thrown away with us.
        let end = Instant::now() + self.config.deadline * 9 / 10;
        let (results, mut incoming) = mpsc::unbounded_channel();
        for (number, lane) in self.lanes.iter().enumerate() {
            start(number, lane, results.clone());
        }
        drop(results);
        let mut outcomes: Vec<Vec<Option<_>>> = self
            .lanes
            .iter()
            .map(|lane| vec![None; lane.inputs.len()])
            .collect();
        // Ends when every thread is done, or at the deadline.
        while let Ok(Some((lane, input, value))) = timeout_at(end, incoming.recv()).await {
            outcomes[lane][input] = Some(value);
        }
        let inputs = self.lanes.iter().flat_map(|lane| &lane.inputs);
        inputs
            .zip(outcomes.into_iter().flatten())
            .map(|((found, _), value)| (found.device.clone(), value.unwrap_or(Err(Fault::TIMEOUT))))
            .collect()
    }
}

/// Number of the chip, of its input, and what that said.
type Report = (usize, usize, Result<Celsius, Fault>);

/// Reads a chip on a thread of its own, unless one is still at it.
fn start(number: usize, lane: &Arc<Lane>, results: mpsc::UnboundedSender<Report>) {
    let Some(claim) = Busy::claim(&lane.busy) else {
        return;
    };
    let lane = lane.clone();
    spawn_blocking(move || {
        let _claim = claim;
        for (index, (_, input)) in lane.inputs.iter().enumerate() {
            let value = lane.chip.read(input);
            // Nobody waits any more: the deadline has passed.
            if results.send((number, index, value)).is_err() {
                return;
            }
        }
    });
}

/// One of a processor's cores, as coretemp and others label them.
fn is_core(input: &Input) -> bool {
    input
        .label
        .as_deref()
        .is_some_and(|l| l.starts_with("Core "))
}
