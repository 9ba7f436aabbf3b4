//! A source whose behaviour the test chooses.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_agent::source::{DiscoveredDevice, Outcome, Source};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_testing::wait_until;
use tokio::task::spawn_blocking;

use crate::site::SOON;

/// A counter of the reads of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads(Arc<AtomicUsize>);

impl Reads {
    /// Waits for this many more reads.
    pub(crate) async fn wait_for(&self, more: usize) {
        let target = self.0.load(Ordering::Relaxed) + more;
        wait_until(SOON, "the source is read", async || {
            (self.0.load(Ordering::Relaxed) >= target).then_some(())
        })
        .await
        .unwrap();
    }
}

/// The behaviour of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// All devices answer at once.
    Answers,
    /// A read never ends.
    Hangs,
    /// A read waits for a thread that blocks until [`release`], as a file of sysfs does.
    Blocks,
    /// A read panics.
    Panics,
}

/// Devices `<name>-1` to `<name>-<count>`, read every 20 ms.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) name: &'static str,
    pub(crate) count: usize,
    pub(crate) behaviour: Behaviour,
    reads: Reads,
}

impl Fake {
    pub(crate) fn boxed(name: &'static str, behaviour: Behaviour) -> Box<dyn Source> {
        Box::new(Self::new(name, behaviour))
    }

    /// Returns a source that answers, and the counter of its reads.
    pub(crate) fn counted(name: &'static str) -> (Box<dyn Source>, Reads) {
        let fake = Self::new(name, Behaviour::Answers);
        let reads = fake.reads.clone();
        (Box::new(fake), reads)
    }

    fn new(name: &'static str, behaviour: Behaviour) -> Self {
        Self {
            name,
            count: 2,
            behaviour,
            reads: Reads::default(),
        }
    }

    fn devices(&self) -> impl Iterator<Item = DeviceId> + '_ {
        let id = |n| DeviceId::sanitized(&format!("{}-{n}", self.name));
        (1..=self.count).map(id)
    }
}

#[async_trait]
impl Source for Fake {
    fn kind(&self) -> &'static str {
        self.name
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(50)
    }

    async fn discover(&mut self) -> Vec<DiscoveredDevice> {
        let found = self.devices().map(|device| DiscoveredDevice {
            device,
            description: Description {
                source: self.name.to_owned(),
                role: Role::Inlet,
                interval: self.interval(),
                ..Description::default()
            },
        });
        found.collect()
    }

    async fn read(&mut self, _: Timestamp) -> Vec<Outcome> {
        self.reads.0.fetch_add(1, Ordering::Relaxed);
        match self.behaviour {
            Behaviour::Answers => {}
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Blocks => spawn_blocking(block).await.unwrap(),
            Behaviour::Panics => panic!("as the test demands"),
        }
        let celsius = Celsius::new(21.5).unwrap();
        self.devices().map(|device| (device, Ok(celsius))).collect()
    }
}

static RELEASED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn block() {
    let released = RELEASED.0.lock().unwrap();
    let woken = RELEASED
        .1
        .wait_timeout_while(released, SOON * 2, |released| !*released);
    drop(woken.unwrap());
}

/// Releases every blocked thread.
pub(crate) fn release() {
    *RELEASED.0.lock().unwrap() = true;
    RELEASED.1.notify_all();
}
