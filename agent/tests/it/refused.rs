//! A reachable Redis that refuses writes.

use rackwatch_core::keys;
use rackwatch_testing::{RedisServer, wait_until};
use redis::aio::MultiplexedConnection;

use crate::fake::{Behaviour, Fake};
use crate::site::{Agent, SOON, config, connect, descriptions, entries, wait_for_entries};

async fn send(redis: &mut MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut sent = redis::cmd(words.next().unwrap());
    for word in words {
        sent.arg(word);
    }
    sent.exec_async(redis).await.unwrap();
}

#[tokio::test]
async fn no_reading_is_lost_while_redis_refuses_writes() {
    let full = ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"];
    let replica = ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"];
    for [refuse, accept] in [full, replica] {
        let server = RedisServer::start().unwrap();
        let mut redis = connect(&server).await;
        let (source, reads) = Fake::counted("inlet");
        let agent = Agent::start(config(&server), vec![source]);
        wait_for_entries(&mut redis, 3).await;

        send(&mut redis, refuse).await;
        let refused = entries(&mut redis).await.len();
        reads.wait_for(10).await;
        assert_eq!(entries(&mut redis).await.len(), refused, "{refuse}");
        send(&mut redis, accept).await;

        wait_for_entries(&mut redis, refused + 20).await;
        let sent = agent.stop().await.unwrap();
        let entries = entries(&mut redis).await;
        let numbers: Vec<_> = entries.iter().map(|e| e.seq.as_ref().unwrap().n).collect();
        // A promoted replica has another replication id: the last minute is sent again.
        let again = if refuse.starts_with("REPLICAOF") {
            refused
        } else {
            0
        };
        let last = sent.entries - again as u64;
        let all: Vec<_> = (1..=again as u64).chain(1..=last).collect();
        assert_eq!(numbers, all, "no gap: {refuse}");
    }
}

#[tokio::test]
async fn a_redis_that_hangs_does_not_delay_the_stop() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let (source, reads) = Fake::counted("inlet");
    let agent = Agent::start(config(&server), vec![source]);
    wait_for_entries(&mut redis, 3).await;
    send(&mut redis, "CLIENT PAUSE 60000").await;
    reads.wait_for(5).await;
    let sent = agent.stop().await.unwrap();
    assert!(sent.unsent > 0, "{sent:?}");
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
async fn the_oldest_readings_are_dropped_when_too_many_wait() {
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let mut config = config(&server);
    config.publish.queue = 4.try_into().unwrap();
    let (source, reads) = Fake::counted("inlet");
    let agent = Agent::start(config, vec![source]);
    reads.wait_for(10).await;
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 3).await;
    let sent = agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    let first = entries[0].seq.as_ref().unwrap().n;
    assert!(sent.dropped > 0);
    assert_eq!(first, sent.dropped + 1, "the gap is what was dropped");
}
