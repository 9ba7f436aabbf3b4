//! Readings and descriptions in Redis, whatever Redis does.

use std::collections::BTreeSet;

use rackwatch_agent::config::DeviceConfig;
use rackwatch_agent::name::Name;
use rackwatch_core::device::Role;
use rackwatch_core::keys;
use rackwatch_core::wire::{Decoded, EntryFormat};
use rackwatch_runtime::host;
use rackwatch_testing::{RedisServer, wait_until};

use crate::fake::{Behaviour, Fake};
use crate::site::{Agent, SOON, config, connect, descriptions, entries, wait_for_entries};

fn answering() -> Vec<Box<dyn rackwatch_agent::source::Source>> {
    vec![Fake::boxed("inlet", Behaviour::Answers)]
}

fn numbers(entries: &[Decoded]) -> Vec<u64> {
    let seq = |entry: &Decoded| entry.seq.as_ref().unwrap().n;
    entries.iter().map(seq).collect()
}

#[tokio::test]
async fn readings_and_descriptions_are_published() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut config = config(&server);
    config.agent.host = Name::new("hall-7").unwrap();
    let agent = Agent::start(config, answering());
    wait_for_entries(&mut redis, 10).await;

    let described = descriptions(&mut redis).await;
    let names: Vec<_> = described.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["inlet-1", "inlet-2"]);
    assert_eq!(described[0].1.agent, "node7");
    assert_eq!(described[0].1.host, "hall-7");
    let ids = host::ids();
    assert_eq!(
        (&described[0].1.machine, &described[0].1.boot),
        (&ids.machine, &ids.boot)
    );
    assert_eq!(described[0].1.role, Role::Inlet);
    assert!(!described[0].1.leaving);

    let sent = agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    assert_eq!(entries.len() as u64, sent.entries);
    assert_eq!((sent.dropped, sent.unsent), (0, 0));
    let expected: Vec<_> = (1..=sent.entries).collect();
    assert_eq!(numbers(&entries), expected, "each once, in order");
    assert!(
        entries
            .iter()
            .all(|e| e.reject.is_none() && e.readings[0].value.is_ok())
    );
    let described = descriptions(&mut redis).await;
    assert!(described.iter().all(|(_, description)| description.leaving));
}

#[tokio::test]
async fn a_frame_holds_all_readings_of_a_tick() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut config = config(&server);
    config.publish.format = EntryFormat::Frame;
    let agent = Agent::start(config, answering());
    wait_for_entries(&mut redis, 3).await;
    let sent = agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    assert!(entries.iter().all(|entry| entry.readings.len() == 2));
    assert_eq!(
        (entries.len() as u64, sent.entries * 2),
        (sent.entries, sent.readings)
    );
}

#[tokio::test]
async fn a_device_switched_off_is_neither_described_nor_published() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut config = config(&server);
    let off: DeviceConfig = toml::from_str("match = '*-1'\noff = true").unwrap();
    config.devices = vec![off];
    let agent = Agent::start(config, answering());
    wait_for_entries(&mut redis, 3).await;
    agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    let published: BTreeSet<_> = entries
        .iter()
        .map(|e| e.readings[0].device.as_str())
        .collect();
    assert_eq!(Vec::from_iter(published), ["inlet-2"]);
    assert_eq!(descriptions(&mut redis).await.len(), 1);
}

#[tokio::test]
async fn lost_descriptions_are_rewritten_before_the_next_tick() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let agent = Agent::start(config(&server), answering());
    wait_for_entries(&mut redis, 3).await;

    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    // With two devices the third entry belongs to the next tick: descriptions must exist by then.
    wait_until(SOON, "the next tick is published", async || {
        let (entries, described): (u64, u64) = redis::pipe()
            .atomic()
            .xlen(keys::RAW)
            .hlen(keys::DEVICES)
            .query_async(&mut redis)
            .await
            .unwrap();
        assert!(
            entries <= 2 || described == 2,
            "{entries} entries, {described} described"
        );
        (entries > 2).then_some(())
    })
    .await
    .unwrap();
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn redis_may_start_after_the_agent() {
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let (source, reads) = Fake::counted("inlet");
    let agent = Agent::start(config(&server), vec![source]);
    reads.wait_for(5).await;

    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 10).await;
    agent.stop().await.unwrap();
    assert_eq!(
        numbers(&entries(&mut redis).await)[0],
        1,
        "what waited was not lost"
    );
}

#[tokio::test]
async fn redis_may_restart() {
    let mut server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let agent = Agent::start(config(&server), answering());
    wait_for_entries(&mut redis, 3).await;

    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 3).await;
    assert_eq!(descriptions(&mut redis).await.len(), 2);
    agent.stop().await.unwrap();

    let numbers = numbers(&entries(&mut redis).await);
    assert!(numbers.is_sorted(), "{numbers:?}");
    let distinct: BTreeSet<_> = numbers.iter().collect();
    let span = numbers[numbers.len() - 1] - numbers[0] + 1;
    assert_eq!(distinct.len() as u64, span, "no gap");
}

#[tokio::test]
async fn the_stream_stays_within_the_safety_cap() {
    let server = RedisServer::start_with(&["--stream-node-max-entries", "5"]).unwrap();
    let mut redis = connect(&server).await;
    let mut config = config(&server);
    config.publish.safety_cap = 10.try_into().unwrap();
    let agent = Agent::start(config, answering());
    wait_until(SOON, "more than the cap was sent", async || {
        let entries = entries(&mut redis).await;
        (entries.last()?.seq.as_ref()?.n > 30).then_some(())
    })
    .await
    .unwrap();
    agent.stop().await.unwrap();
    let length: usize = redis::cmd("XLEN")
        .arg(keys::RAW)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(length <= 15, "{length}");
}
