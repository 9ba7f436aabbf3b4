//! Sources that misbehave, and the sources beside them.

use rackwatch_agent::app::RunError;
use rackwatch_agent::sampler::{self, Sampler, SamplerEvent};
use rackwatch_agent::source::Source;
use rackwatch_core::reading::{Fault, Reading};
use rackwatch_testing::RedisServer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fake::{self, Behaviour, Fake};
use crate::site::{Agent, SOON, config};

/// Runs the sampler until it has `enough` readings of `device`, and returns all readings.
async fn sampled(sources: Vec<Box<dyn Source>>, device: &str, enough: usize) -> Vec<Reading> {
    let stop = CancellationToken::new();
    let (out, mut observed) = mpsc::channel(sampler::EVENT_QUEUE);
    let running = tokio::spawn(Sampler::new(sources).run(stop.clone(), out));
    let collect = async {
        let mut readings: Vec<Reading> = Vec::new();
        let count = |readings: &[Reading]| {
            readings
                .iter()
                .filter(|r| r.device.as_str() == device)
                .count()
        };
        while count(&readings) < enough {
            if let SamplerEvent::Sample(sample, _) = observed.recv().await.unwrap() {
                readings.extend(sample.readings);
            }
        }
        readings
    };
    let readings = tokio::time::timeout(SOON, collect).await.unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
    readings
}

#[tokio::test]
async fn a_stuck_source_has_timeouts_and_delays_no_other() {
    let sources = vec![
        Fake::boxed("stuck", Behaviour::Hangs),
        Fake::boxed("inlet", Behaviour::Answers),
    ];
    let readings = sampled(sources, "stuck-2", 3).await;
    let of = |device: &str| {
        let of = readings.iter().filter(|r| r.device.as_str() == device);
        of.cloned().collect::<Vec<_>>()
    };
    assert!(of("stuck-1").iter().all(|r| r.value == Err(Fault::TIMEOUT)));
    assert!(of("inlet-1").len() > of("stuck-1").len());
    assert!(of("inlet-1").iter().all(|r| r.value.is_ok()));
    let times: Vec<_> = of("inlet-1").iter().map(|r| r.at.millis()).collect();
    assert!(times.iter().all(|at| at % 20 == 0), "{times:?}");
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test]
async fn a_source_whose_threads_block_delays_no_other_and_no_stop() {
    let sources = vec![
        Fake::boxed("blocked", Behaviour::Blocks),
        Fake::boxed("inlet", Behaviour::Answers),
    ];
    let readings = sampled(sources, "blocked-2", 3).await;
    // The sampler has ended while the threads were still blocked.
    fake::release();
    let (blocked, inlet): (Vec<_>, Vec<_>) = readings
        .iter()
        .partition(|r| r.device.as_str().starts_with("blocked"));
    assert!(blocked.iter().all(|r| r.value == Err(Fault::TIMEOUT)));
    assert!(inlet.len() > blocked.len());
    assert!(inlet.iter().all(|r| r.value.is_ok()));
}

#[tokio::test]
async fn devices_are_reported_before_their_readings() {
    let stop = CancellationToken::new();
    let (out, mut observed) = mpsc::channel(sampler::EVENT_QUEUE);
    let sources = vec![Fake::boxed("inlet", Behaviour::Answers)];
    let running = tokio::spawn(Sampler::new(sources).run(stop.clone(), out));
    let first = observed.recv().await.unwrap();
    assert!(
        matches!(&first, SamplerEvent::Discovered(found) if found.len() == 2),
        "{first:?}"
    );
    // Dropping the receiver stops the sampler too.
    drop(observed);
    tokio::time::timeout(SOON, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_panic_stops_the_agent_and_is_an_error() {
    let server = RedisServer::start().unwrap();
    let agent = Agent::start(config(&server), vec![Fake::boxed("mad", Behaviour::Panics)]);
    let error = agent.ended().await.unwrap_err();
    assert!(matches!(error, RunError::Sampler { .. }), "{error:?}");
}
