//! The stream that entries go to: by partitioning, through its changes, and after the stream vanishes.

use rackwatch_core::wire::{self, Decoded};
use rackwatch_testing::{RedisServer, wait_until};
use redis::aio::MultiplexedConnection;

use crate::fake::{Behaviour, Fake};
use crate::site::{Agent, SOON, config, connect, entries, wait_for_entries};

async fn set_partitioning(redis: &mut MultiplexedConnection, partitions: u16, state: &str) {
    let mut set = redis::cmd("HSET");
    set.arg("rackwatch:layout")
        .arg("partitions")
        .arg(partitions);
    set.arg("state").arg(state).exec_async(redis).await.unwrap();
}

type Raw = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;

async fn entries_of(redis: &mut MultiplexedConnection, stream: &str) -> Vec<Decoded> {
    let mut range = redis::cmd("XRANGE");
    range.arg(stream).arg("-").arg("+");
    let raw: Raw = range.query_async(redis).await.unwrap();
    raw.iter().map(|(_, fields)| wire::decode(fields)).collect()
}

fn numbers(entries: &[Decoded]) -> Vec<u64> {
    entries.iter().map(|e| e.seq.as_ref().unwrap().n).collect()
}

#[tokio::test]
async fn entries_follow_the_partitioning_and_none_is_lost_while_it_changes() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let mut config = config(&server);
    config.agent.zone = "ABC".to_owned();
    let (source, reads) = Fake::counted("inlet");
    let agent = Agent::start(config, vec![source]);
    wait_for_entries(&mut redis, 3).await;

    set_partitioning(&mut redis, 0, "changing").await;
    reads.wait_for(5).await;
    let before = wait_until(SOON, "no more entries arrive", async || {
        let before = entries(&mut redis).await.len();
        reads.wait_for(3).await;
        (entries(&mut redis).await.len() == before).then_some(before)
    });
    let before = before.await.unwrap();
    set_partitioning(&mut redis, 16, "set").await;
    // CRC-32 of ABC modulo 16.
    let stream = "raw_sensor_data:{8}";
    wait_until(SOON, "entries arrive in the partition", async || {
        (entries_of(&mut redis, stream).await.len() > 20).then_some(())
    })
    .await
    .unwrap();
    let sent = agent.stop().await.unwrap();

    let mut all = numbers(&entries(&mut redis).await);
    assert_eq!(all.len(), before);
    all.extend(numbers(&entries_of(&mut redis, stream).await));
    let expected: Vec<_> = (1..=sent.readings).collect();
    assert_eq!(all, expected, "each once, in order, no gap");
}

#[tokio::test]
async fn entries_of_a_vanished_stream_are_sent_again() {
    let server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let agent = Agent::start(
        config(&server),
        vec![Fake::boxed("inlet", Behaviour::Answers)],
    );
    wait_for_entries(&mut redis, 10).await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    wait_for_entries(&mut redis, 20).await;
    agent.stop().await.unwrap();
    let numbers = numbers(&entries(&mut redis).await);
    let expected: Vec<_> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "from the first reading on, in order");
}

#[tokio::test]
async fn a_restarted_redis_receives_the_last_minute_again() {
    let mut server = RedisServer::start().unwrap();
    let mut redis = connect(&server).await;
    let agent = Agent::start(
        config(&server),
        vec![Fake::boxed("inlet", Behaviour::Answers)],
    );
    wait_for_entries(&mut redis, 10).await;
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 20).await;
    agent.stop().await.unwrap();
    let numbers = numbers(&entries(&mut redis).await);
    let expected: Vec<_> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
}
