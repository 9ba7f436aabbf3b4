//! Redis that is there but does not take everything.

use rackwatch_core::keys;
use rackwatch_testing::{RedisServer, wait_until};
use redis::aio::MultiplexedConnection;

use crate::fake::{Behaviour, Fake};
use crate::site::{Agent, SOON, config, connect, descriptions, entries, wait_for_entries};

async fn set(redis: &mut MultiplexedConnection, name: &str, value: &str) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET")
        .arg(name)
        .arg(value)
        .exec_async(redis)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_redis_is_waited_for_and_nothing_is_lost() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let agent = Agent::start(
        config(&server),
        vec![Fake::boxed("inlet", Behaviour::Answers)],
    );
    wait_for_entries(&mut redis, 3).await;

    set(&mut redis, "maxmemory", "1").await;
    let refused = entries(&mut redis).await.len();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(entries(&mut redis).await.len() <= refused + 2);
    set(&mut redis, "maxmemory", "0").await;

    wait_for_entries(&mut redis, refused + 20).await;
    let sent = agent.stop().await.unwrap();
    let numbers: Vec<_> = entries(&mut redis)
        .await
        .iter()
        .map(|entry| entry.seq.as_ref().unwrap().n)
        .collect();
    assert_eq!(
        numbers,
        (1..=sent.entries).collect::<Vec<_>>(),
        "no gap, no repeat"
    );
}

#[tokio::test]
async fn readings_do_not_depend_on_descriptions() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut wrong = redis::cmd("SET");
    wrong
        .arg(keys::DEVICES)
        .arg("not a hash")
        .exec_async(&mut redis)
        .await
        .unwrap();
    let agent = Agent::start(
        config(&server),
        vec![Fake::boxed("inlet", Behaviour::Answers)],
    );
    wait_for_entries(&mut redis, 3).await;

    redis::cmd("DEL")
        .arg(keys::DEVICES)
        .exec_async(&mut redis)
        .await
        .unwrap();
    wait_until(SOON, "the devices are described", async || {
        (descriptions(&mut redis).await.len() == 2).then_some(())
    })
    .await
    .unwrap();
    let sent = agent.stop().await.unwrap();
    assert_eq!(
        entries(&mut redis).await.len() as u64,
        sent.entries,
        "no repeat"
    );
}

#[tokio::test]
async fn the_oldest_are_dropped_when_too_many_wait() {
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let mut config = config(&server);
    config.publish.queue = 4;
    let agent = Agent::start(config, vec![Fake::boxed("inlet", Behaviour::Answers)]);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 3).await;
    let sent = agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    let first = entries[0].seq.as_ref().unwrap().n;
    assert!(sent.dropped > 0);
    assert_eq!(first, sent.dropped + 1, "the gap is what was dropped");
}
