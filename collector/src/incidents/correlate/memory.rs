//! The correlator of the demo: takes alerts from the partition, and passes incidents to the screen.

use std::time::Duration;

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::silence::Silence;
use rackwatch_core::incident::{Ack, IncidentId, IncidentRecord, IncidentTiming, Incidents};
use rackwatch_core::site::Site;
use rackwatch_runtime::clock;
use tokio::sync::mpsc;

use crate::incidents::windows::Window;
use crate::notify::AlertSink;

/// Interval between two steps, as in the correlator over Redis.
const STEP_INTERVAL: Duration = Duration::from_millis(250);

/// An action of an operator on the page.
#[derive(Clone, Debug)]
pub enum OperatorAction {
    /// Acknowledges one open incident.
    Ack(IncidentId, Ack),
    /// Replaces all silences and maintenance windows.
    SetSilences {
        /// All silences, expired ones included.
        silences: Vec<Silence>,
        /// All maintenance windows, past ones included.
        windows: Vec<Window>,
    },
}

/// An alert sink that passes records on to [`run`].
#[derive(Debug)]
pub struct Forward(mpsc::UnboundedSender<AlertRecord>);

impl AlertSink for Forward {
    fn write(&mut self, record: &AlertRecord) {
        // This fails only while the demo stops.
        let _sent = self.0.send(record.clone());
    }
}

/// Returns the two ends of a queue of alerts. It is unbounded, since a demo has few alerts.
pub fn forward() -> (Forward, mpsc::UnboundedReceiver<AlertRecord>) {
    let (send, receive) = mpsc::unbounded_channel();
    (Forward(send), receive)
}

/// Groups `alerts` into incidents until their queue closes.
pub async fn run(
    mut alerts: mpsc::UnboundedReceiver<AlertRecord>,
    mut actions: mpsc::UnboundedReceiver<OperatorAction>,
    on_record: impl Fn(&IncidentRecord) + Send,
) {
    let mut incidents = Incidents::new(IncidentTiming::default());
    let site = Site::default();
    let (mut silences, mut windows) = (Vec::new(), Vec::new());
    let mut ticks = tokio::time::interval(STEP_INTERVAL);
    loop {
        tokio::select! {
            record = alerts.recv() => match record {
                Some(record) => {
                    let spot = site.spot_of(&record, None);
                    incidents.observe(&record, spot, clock::now());
                }
                None => return,
            },
            Some(action) = actions.recv() => match action {
                OperatorAction::Ack(id, ack) => {
                    incidents.acknowledge(&id, ack);
                }
                OperatorAction::SetSilences { silences: all, windows: planned } => {
                    (silences, windows) = (all, planned);
                }
            },
            _ = ticks.tick() => {
                let now = clock::now();
                let open = windows.iter().filter_map(|window: &Window| window.silence(now));
                let in_force = silences.iter().cloned().chain(open);
                incidents.set_silences(in_force.collect());
                incidents.advance(now).records.iter().for_each(&on_record);
            }
        }
    }
}
