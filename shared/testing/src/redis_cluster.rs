//! A cluster of three masters and three replicas, all private.

use anyhow::{Context, Result, ensure};
use redis::{Value, cmd};
use std::time::Duration;

use crate::{RedisServer, free_port, wait_until_sync};

const MASTERS: usize = 3;
const SOON: Duration = Duration::from_secs(30);
/// A master that does not answer for so long is replaced, in milliseconds.
const NODE_TIMEOUT: &str = "2000";

/// Running servers; they end when dropped.
#[derive(Debug)]
pub struct RedisCluster {
    /// Masters first, then their replicas in the same order.
    servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts all of them, and waits until each thinks that the cluster is well and every replica
    /// follows.
    ///
    /// # Errors
    ///
    /// When `redis-server` is not installed, or they do not find each other in time.
    pub fn start() -> Result<Self> {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..MASTERS * 2 {
            // Nothing keeps the port of the bus from being taken meanwhile: then try another.
            let (server, bus) = started().or_else(|_| started())?;
            servers.push(server);
            buses.push(bus);
        }
        let cluster = Self { servers };
        cluster.introduce(&buses)?;
        cluster.give_slots()?;
        let what = "every node knows all others";
        wait_until_sync(SOON, what, || cluster.knows_all().then_some(()))?;
        for replica in MASTERS..MASTERS * 2 {
            let master: String = cluster.ask(replica - MASTERS, &["CLUSTER", "MYID"])?;
            let _ok: Value = cluster.ask(replica, &["CLUSTER", "REPLICATE", &master])?;
        }
        let what = "the cluster is well, and every replica follows";
        wait_until_sync(SOON, what, || cluster.is_well().then_some(()))?;
        Ok(cluster)
    }

    /// Returns the address that names the first two nodes. Clients must learn the others.
    pub fn url(&self) -> String {
        let hosts = self.servers.iter().take(2);
        let hosts: Vec<_> = hosts
            .map(|server| format!("127.0.0.1:{}", server.port()))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Returns the number of the node that has `key` at the start, from 0 to 2. Its replica's is three higher.
    ///
    /// # Errors
    ///
    /// When a node does not answer.
    pub fn master_of(&self, key: &str) -> Result<usize> {
        let slot: usize = self.ask(MASTERS, &["CLUSTER", "KEYSLOT", key])?;
        Ok((0..MASTERS)
            .find(|master| slots(*master).contains(&slot))
            .unwrap_or_default())
    }

    /// Returns a node by its number: masters first.
    pub fn node(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// Sends a command to a node.
    ///
    /// # Errors
    ///
    /// When it does not answer, or with an error.
    pub fn ask<T: redis::FromRedisValue>(&self, number: usize, words: &[&str]) -> Result<T> {
        let mut connection = self.servers[number].client().get_connection()?;
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let what = || format!("ask node {number}: {}", words.join(" "));
        command.query(&mut connection).with_context(what)
    }

    fn introduce(&self, buses: &[u16]) -> Result<()> {
        for number in 0..self.servers.len() {
            let epoch = (number + 1).to_string();
            let _ok: Value = self.ask(number, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
        }
        for (server, bus) in self.servers.iter().zip(buses).skip(1) {
            let (port, bus) = (server.port().to_string(), bus.to_string());
            let _ok: Value = self.ask(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        Ok(())
    }

    fn give_slots(&self) -> Result<()> {
        for master in 0..MASTERS {
            let all = slots(master);
            let (first, last) = (all.start().to_string(), all.end().to_string());
            let _ok: Value = self.ask(master, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        Ok(())
    }

    fn knows_all(&self) -> bool {
        let expected = format!("cluster_known_nodes:{}", self.servers.len());
        self.all_say(&["CLUSTER", "INFO"], |info| {
            info.contains(&expected) && info.contains("cluster_state:ok")
        })
    }

    fn is_well(&self) -> bool {
        let follows = |number| {
            self.ask::<String>(number, &["INFO", "replication"])
                .is_ok_and(|info| info.contains("master_link_status:up"))
        };
        // Only who has heard of every replica can vote for one.
        let nodes = self.all_say(&["CLUSTER", "NODES"], |nodes| {
            nodes.matches(" slave ").count() + nodes.matches(",slave ").count() == MASTERS
        });
        self.knows_all() && nodes && (MASTERS..MASTERS * 2).all(follows)
    }

    fn all_say(&self, words: &[&str], is: impl Fn(&str) -> bool) -> bool {
        (0..self.servers.len()).all(|number| {
            self.ask::<String>(number, words)
                .is_ok_and(|text| is(&text))
        })
    }
}

/// Returns the slots of a master at the start.
fn slots(master: usize) -> std::ops::RangeInclusive<usize> {
    let all = 16_384;
    all * master / MASTERS..=all * (master + 1) / MASTERS - 1
}

/// Starts a node. Returns it and the port of its bus.
fn started() -> Result<(RedisServer, u16)> {
    let bus = free_port()?;
    let server = RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus.to_string(),
        "--cluster-node-timeout",
        NODE_TIMEOUT,
    ])?;
    ensure!(server.port() != bus, "the bus got the port of the clients");
    Ok((server, bus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_takes_over() {
        let mut cluster = RedisCluster::start().unwrap();
        let master = cluster.master_of("raw_sensor_data:{0}").unwrap();
        cluster.node(master).stop().unwrap();
        wait_until_sync(SOON, "its replica is master", || {
            let info: String = cluster
                .ask(master + MASTERS, &["INFO", "replication"])
                .ok()?;
            info.contains("role:master").then_some(())
        })
        .unwrap();
    }
}
