//! The pipeline in memory: sampler → partition → console and page, connected by queues.

use std::net::SocketAddr;
use std::sync::Arc;

use rackwatch_agent::app as agent;
use rackwatch_agent::sampler::{EVENT_QUEUE, Sampler, SamplerEvent};
use rackwatch_agent::source::Source;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::IncidentRecord;
use rackwatch_core::partition::PartitionId;
use rackwatch_core::rules::{Profile, RuleSet};
use rackwatch_runtime::clock;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::common::{Failure, usage};
use super::args::DemoArgs;
use crate::app::{self, RunError};
use crate::config::{AlertsConfig, PartitionConfig};
use crate::feed::memory::MemoryFeed;
use crate::incidents::correlate::memory::{self, OperatorAction};
use crate::ingest::partition::{Partition, Parts};
use crate::ingest::raw_stream::memory::{MemoryRawStream, SamplerMessage};
use crate::ingest::recorder::Recorder;
use crate::notify::console::{Console, Screen};
use crate::notify::{AlertSink, SinkThread, alert_sink};
use crate::series::{InMemory, SeriesConfig};
use crate::stats::Stats;
use crate::web::Web;
use crate::web::backend::memory::MemoryBackend;
use crate::web::read_model::{Change, SharedReadModel};

/// Alerts that may wait for the console. If it is slower, the partition waits, so none is lost.
const ALERT_QUEUE: usize = 256;

/// Spawns all stages except the web server, which it returns.
pub(super) fn start(
    args: &DemoArgs,
    address: SocketAddr,
    screen: &Screen,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
    stages: &mut JoinSet<Result<(), RunError>>,
) -> Result<Web, Failure> {
    let sources = agent::sources(&args.agent_config()).map_err(usage)?;
    let rules = Arc::new(RuleSet::with_defaults(&[])?);
    let envelope = Profile::default().envelope();
    let view = Arc::new(SharedReadModel::new(Arc::clone(&rules), envelope));
    view.set_ready(true);
    let series = InMemory::new(&SeriesConfig::default());
    let (operate, actions) = mpsc::unbounded_channel();
    let (resolve, resolutions) = mpsc::unbounded_channel();
    let backend = MemoryBackend::new(
        series.clone(),
        Arc::clone(&view),
        Arc::clone(stats),
        operate,
        resolve,
    );
    let web = Web::new(
        &args.web_config(address),
        Arc::clone(stats),
        Arc::clone(&view),
        Box::new(backend),
        true,
    )
    .map_err(usage)?;

    let sampled = spawn_sampler(sources, &view, stop, stages);
    let (alert, alerts) = mpsc::channel(ALERT_QUEUE);
    let partition = Partition::new(Parts {
        id: PartitionId::PLAIN,
        stream: MemoryRawStream::new(sampled, alert, resolutions, stop.clone()),
        recorder: Recorder::memory(series),
        rules,
        envelope,
        stats: Arc::clone(stats),
        save_every: PartitionConfig::default().save_every,
        max_devices: PartitionConfig::default().max_devices,
        stop: stop.clone(),
    });
    stages.spawn(async move { Ok(partition.run().await?) });
    spawn_alerts(alerts, actions, view, screen, stop, stages)?;
    Ok(web)
}

/// Spawns the sampler, whose events go to the view and, as messages, to the partition.
fn spawn_sampler(
    sources: Vec<Box<dyn Source>>,
    view: &Arc<SharedReadModel>,
    stop: &CancellationToken,
    stages: &mut JoinSet<Result<(), RunError>>,
) -> Receiver<SamplerMessage> {
    let (observe, observed) = mpsc::channel(EVENT_QUEUE);
    let sampling = Sampler::new(sources).run(stop.clone(), observe);
    stages.spawn(async move {
        sampling
            .await
            .map_err(|error| RunError::Sampling(Box::new(error)))
    });
    let (send, sent) = mpsc::channel(EVENT_QUEUE);
    stages.spawn(forward_events(observed, send, Arc::clone(view)));
    sent
}

/// Spawns the alert sinks and the correlator, which print to the screen and update the view.
fn spawn_alerts(
    alerts: Receiver<AlertRecord>,
    actions: UnboundedReceiver<OperatorAction>,
    view: Arc<SharedReadModel>,
    screen: &Screen,
    stop: &CancellationToken,
    stages: &mut JoinSet<Result<(), RunError>>,
) -> Result<(), Failure> {
    let sinks = app::alert_sinks(&AlertsConfig::default(), screen)?;
    let mut sinks: Vec<_> = sinks.into_iter().filter_map(|(_, sink)| sink).collect();
    let (forward, forwarded) = memory::forward();
    sinks.push(SinkThread::start("incidents", Box::new(forward))?);
    let to_view = ViewSink(Arc::clone(&view));
    sinks.push(SinkThread::start("dashboard", Box::new(to_view))?);
    let delivery = alert_sink::run(MemoryFeed::new(alerts), sinks, stop.clone());
    stages.spawn(async move { delivery.await.map_err(RunError::Alerts) });
    let console = Console::new(screen.clone());
    stages.spawn(async move {
        let publish = |record: &IncidentRecord| {
            console.print_incident(record);
            view.apply([Change::Incident(Box::new(record.clone()))]);
        };
        memory::run(forwarded, actions, publish).await;
        Ok(())
    });
    Ok(())
}

/// Passes the sampler's events to the view and to the partition.
async fn forward_events(
    mut events: Receiver<SamplerEvent>,
    partition: Sender<SamplerMessage>,
    view: Arc<SharedReadModel>,
) -> Result<(), RunError> {
    while let Some(event) = events.recv().await {
        view.apply(changes(&event));
        // A closed queue means that the partition has stopped, so this stage stops too.
        if partition.send(message(event)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Alert sink that updates the view.
struct ViewSink(Arc<SharedReadModel>);

impl AlertSink for ViewSink {
    fn write(&mut self, record: &AlertRecord) {
        self.0.apply([Change::Alert(Box::new(record.clone()))]);
    }
}

/// Returns the changes of the view for an event.
fn changes(event: &SamplerEvent) -> Vec<Change> {
    match event {
        SamplerEvent::Discovered(devices) => devices
            .iter()
            .cloned()
            .map(|d| Change::Described(d.device, Some(Box::new(d.description))))
            .collect(),
        SamplerEvent::Sample(sample, _) => {
            let readings = sample.readings.iter().cloned();
            let readings = readings.map(|reading| Change::Reading {
                reading,
                by_agent: true,
            });
            let now = Change::Time(clock::now());
            std::iter::once(now).chain(readings).collect()
        }
    }
}

/// Converts an event to a message for the partition.
fn message(event: SamplerEvent) -> SamplerMessage {
    match event {
        SamplerEvent::Discovered(devices) => SamplerMessage::Devices(
            devices
                .into_iter()
                .map(|d| (d.device, d.description))
                .collect(),
        ),
        SamplerEvent::Sample(sample, _) => SamplerMessage::Sample(sample),
    }
}
