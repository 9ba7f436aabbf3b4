//! A source that does what a test says.

use std::time::Duration;

use async_trait::async_trait;
use rackwatch_agent::source::{Found, Outcome, Source};
use rackwatch_core::device::{Description, DeviceId, Role};
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;

/// How a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// All devices answer at once.
    Answers,
    /// A read never ends.
    Hangs,
    /// A read blocks its thread for a long time.
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
}

impl Fake {
    pub(crate) fn boxed(name: &'static str, behaviour: Behaviour) -> Box<dyn Source> {
        let count = 2;
        Box::new(Self {
            name,
            count,
            behaviour,
        })
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

    async fn discover(&mut self) -> Vec<Found> {
        let found = self.devices().map(|device| Found {
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
        match self.behaviour {
            Behaviour::Answers => {}
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Blocks => block(),
            Behaviour::Panics => panic!("as the test wants"),
        }
        let celsius = Celsius::new(21.5).unwrap();
        self.devices().map(|device| (device, Ok(celsius))).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the misbehaviour under test")]
fn block() {
    std::thread::sleep(Duration::from_secs(8));
}
