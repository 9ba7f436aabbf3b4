//! The correlator of the demo: alerts straight from the partition, incidents straight to the screen.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, IncidentId, IncidentRecord, Incidents, Timing};
use rackwatch_core::site::Site;
use rackwatch_core::time::Timestamp;
use tokio::sync::mpsc;

use crate::incidents::windows::Window;
use crate::notify::Teller;

/// How often it is looked whether something is to be told.
const EVERY: Duration = Duration::from_millis(250);

/// What somebody at the page does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Takes an incident on.
    Ack(IncidentId, Ack),
    /// Says what is silent, and what is planned.
    Quiet {
        /// All silences.
        silences: Vec<Silence>,
        /// All windows.
        windows: Vec<Window>,
    },
}

/// Passes records on to [`run`].
#[derive(Debug)]
pub struct Forward(mpsc::UnboundedSender<AlertRecord>);

impl Teller for Forward {
    fn tell(&mut self, record: &AlertRecord) {
        // Whoever listens is gone only when the demo ends.
        let _told = self.0.send(record.clone());
    }

    fn flush(&mut self) {}
}

/// The two ends. Alerts are few: what waits between them is not bounded.
pub fn forward() -> (Forward, mpsc::UnboundedReceiver<AlertRecord>) {
    let (send, receive) = mpsc::unbounded_channel();
    (Forward(send), receive)
}

/// Makes incidents of `alerts` until they end.
pub async fn run(
    mut alerts: mpsc::UnboundedReceiver<AlertRecord>,
    mut acts: mpsc::UnboundedReceiver<Act>,
    told: impl Fn(&IncidentRecord) + Send,
) {
    let mut incidents = Incidents::new(Timing::default());
    let site = Site::default();
    let (mut silences, mut windows) = (Vec::new(), Vec::new());
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            record = alerts.recv() => match record {
                Some(record) => {
                    let spot = site.spot_of(&record, None);
                    incidents.take(&record, spot, now());
                }
                None => return,
            },
            Some(act) = acts.recv() => match act {
                Act::Ack(id, ack) => {
                    incidents.ack(&id, ack);
                }
                Act::Quiet { silences: said, windows: planned } => {
                    (silences, windows) = (said, planned);
                }
            },
            _ = ticks.tick() => {
                let open = windows.iter().filter_map(|window: &Window| window.silence(now()));
                let quiet = silences.iter().cloned().chain(open);
                incidents.silences(quiet.collect());
                incidents.settle(now()).records.iter().for_each(&told);
            }
        }
    }
}

fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().plus(since_1970.unwrap_or_default())
}
