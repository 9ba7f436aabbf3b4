//! Sends the backlog to Redis.
//!
//! In: the backlog. Out: entries of `raw_sensor_data`, or of the partition of the agent's zone, in
//! order, each at least once. The descriptions of their devices go to `rackwatch:devices` first, in
//! the same round trip. Nothing is lost here: an entry leaves the backlog when Redis has
//! acknowledged it. If the acknowledgement is lost, the entry is sent twice with the same `seq`.
//! Beyond `publish.safety_cap` Redis drops the oldest entries. When the stream has vanished or the
//! replication id has changed, Redis may have lost entries that it acknowledged: those of the last
//! minute are sent again. The skew of the host's clock is measured before anything is sent, and entries report the skew
//! of the time at which their readings were taken ([`crate::host_clock`]).
//!
//! While Redis is unreachable, full, loading or a replica, the publisher retries until it succeeds.
//! At the stop it has three seconds for what is left.

mod batch;
mod route;
mod sender;

use std::time::Duration;

use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use redis::RedisError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::backlog::Backlog;
use crate::host_clock::Moment;
use batch::{Batch, BatchOutcome};
use route::{Route, RouteReply};

pub use sender::{Sender, new_run};

/// Time after the stop to send the rest of the backlog.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Time after that to update the descriptions of the devices.
const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(1);

/// Entries of one round trip: some 200 kB, and about 2 ms of Redis' time.
const BATCH_SIZE: usize = 1_000;

/// Shortest and longest wait after Redis refused. Redis may recover at any moment, and a failure in
/// the racks should be seen within seconds then.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Time between two looks at a partitioning that is being changed.
const HOLD: Duration = Duration::from_millis(500);

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Entries that Redis acknowledged.
    pub entries: u64,
    /// Readings in the acknowledged entries.
    pub readings: u64,
    /// Readings dropped because too many waited.
    pub dropped: u64,
    /// Readings lost at the end because they were only in memory.
    pub unsent: u64,
    /// Readings on disk for the next start.
    pub spooled: u64,
}

/// Sends the backlog until it is closed and empty.
#[derive(Debug)]
pub struct Publisher {
    backlog: Backlog,
    connector: Connector,
    connection: Option<Connection>,
    /// Stream that entries go to; `None` until Redis was asked.
    route: Option<Route>,
    /// Replication id of the Redis that has the entries sent so far.
    replication: Option<String>,
    /// Whether a change of the partitioning was logged.
    is_on_hold: bool,
    sender: Sender,
    backoff: Backoff,
    /// Failures in a row.
    failures: u32,
    /// Kind of error that was logged, until a batch succeeds.
    failure: Option<String>,
    summary: Summary,
}

impl Publisher {
    /// Returns a publisher of `backlog`.
    pub fn new(backlog: Backlog, connector: Connector, sender: Sender) -> Self {
        Self {
            backlog,
            connector,
            connection: None,
            route: None,
            replication: None,
            is_on_hold: false,
            sender,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failures: 0,
            failure: None,
            summary: Summary::default(),
        }
    }

    /// Sends until the backlog is closed and empty, or until the time after `stop` is up.
    pub async fn run(mut self, stop: CancellationToken) -> Summary {
        let time_is_up = async {
            stop.cancelled().await;
            tokio::time::sleep(FLUSH_TIMEOUT).await;
        };
        tokio::select! {
            () = self.publish_all() => {}
            () = time_is_up => {}
        }
        self.depart().await;
        self.backlog.save().await;
        let left = self.backlog.stats().await;
        self.summary.dropped = left.dropped;
        self.summary.unsent = left.waiting;
        self.summary.spooled = left.spooled;
        if left.waiting > 0 {
            warn!(
                unsent = left.waiting,
                "stopped before all readings were sent, losing the rest"
            );
        }
        if left.spooled > 0 {
            info!(
                spooled = left.spooled,
                "kept readings in the spool for the next start"
            );
        }
        self.summary
    }

    async fn publish_all(&mut self) {
        while self.backlog.wait().await {
            let Some(mut connection) = self.connect().await else {
                continue;
            };
            if self.backlog.is_skew_due(Moment::now()) {
                self.measure_skew(&mut connection).await;
            }
            let Some(route) = &self.route else { continue };
            let work = self.backlog.next(BATCH_SIZE).await;
            let batch = Batch::new(work, &self.sender, route);
            match batch.send(&mut connection).await {
                Ok(outcome) => self.apply(batch, outcome).await,
                Err(error) => {
                    self.backlog.acknowledge(batch.into_work(), 0).await;
                    self.handle_failure(&error).await;
                }
            }
        }
    }

    /// Returns a connection with a known route, or `None` if there is none for the moment.
    async fn connect(&mut self) -> Option<Connection> {
        let mut connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            // The caller drops the whole future when the time is up.
            let never = CancellationToken::new();
            let opened = self.connector.open_until(Purpose::Commands, &never);
            let connection = opened.await?;
            // This may be another Redis, or one that lost everything.
            self.backlog.rewrite_descriptions();
            self.route = None;
            self.connection = Some(connection.clone());
            connection
        };
        if self.route.is_none() {
            match route::find(&mut connection, &self.sender.zone).await {
                Ok(reply) => self.set_route(reply).await,
                Err(error) => self.handle_failure(&error).await,
            }
        }
        self.route.as_ref().map(|_| connection)
    }

    async fn measure_skew(&mut self, connection: &mut Connection) {
        let asked = Moment::now();
        let reply: redis::RedisResult<(u64, u64)> =
            redis::cmd("TIME").query_async(connection).await;
        // A broken connection shows at the next command.
        if let Ok(redis_time) = reply {
            let round_trip = asked.instant.elapsed();
            self.backlog.update_skew(asked, round_trip, redis_time);
        }
    }

    async fn set_route(&mut self, reply: RouteReply) {
        let (old, new) = (self.replication.as_ref(), reply.replication);
        if old.is_some() && new.is_some() && old != new.as_ref() {
            self.resend("redis was replaced or restarted");
        }
        self.replication = new.or(self.replication.take());
        if reply.route.is_none() {
            if !self.is_on_hold {
                info!(
                    "holding readings back until a collector has set the partitioning or finished \
                     changing it"
                );
            }
            tokio::time::sleep(HOLD).await;
        }
        self.is_on_hold = reply.route.is_none();
        self.route = reply.route;
    }

    fn resend(&self, reason: &'static str) {
        let entries = self.backlog.resend();
        if entries > 0 {
            warn!(
                reason,
                entries, "sending the entries of the last minute again"
            );
        }
    }

    async fn apply(&mut self, batch: Batch, outcome: BatchOutcome) {
        let sent = batch.totals(&outcome);
        self.summary.entries += sent.entries as u64;
        self.summary.readings += sent.readings;
        if outcome.descriptions_written {
            self.backlog.mark_descriptions_written(batch.descriptions());
        }
        if outcome.descriptions_lost {
            warn!("redis lost device descriptions, writing them again");
            self.backlog.rewrite_descriptions();
        }
        self.backlog
            .acknowledge(batch.into_work(), sent.entries)
            .await;
        if let Some(route) = &mut self.route {
            route.exists |= sent.entries > 0;
            if outcome
                .partitioning
                .is_some_and(|partitioning| partitioning != route.partitioning)
            {
                self.route = None;
            }
        }
        if outcome.stream_vanished {
            self.route = None;
            self.resend("the stream vanished");
        }
        match outcome.error {
            Some(error) => self.handle_failure(&error).await,
            None => self.handle_success(),
        }
    }

    fn handle_success(&mut self) {
        self.backoff.reset();
        self.failures = 0;
        if self.failure.take().is_some() {
            info!("redis is accepting writes again");
        }
    }

    /// Logs each new kind of error once, and waits. The next attempt opens a new connection: the
    /// address may lead to another Redis by then, such as a new master.
    async fn handle_failure(&mut self, error: &RedisError) {
        self.connection = None;
        self.failures += 1;
        let remedy = remedy(error);
        let kind = kind(error);
        // The connector logs more about a broken connection.
        let is_broken = remedy == Remedy::Reconnect && self.failures == 1;
        if !is_broken && self.failure.as_ref() != Some(&kind) {
            if remedy == Remedy::Fatal {
                error!(%error, "redis refuses readings, keeping them until this is fixed");
            } else {
                warn!(%error, "redis does not accept readings, will retry");
            }
            self.failure = Some(kind);
        }
        tokio::time::sleep(self.backoff.next_jittered(backoff::random())).await;
    }

    /// Updates the descriptions of the devices: this agent stops.
    async fn depart(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let commands = batch::departure(&self.backlog.leaving());
        let executed = commands.exec_async(&mut connection);
        match tokio::time::timeout(DEPARTURE_TIMEOUT, executed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "cannot announce the stop in redis"),
            Err(_) => warn!("cannot announce the stop in redis: no answer in time"),
        }
    }
}

/// Returns the error code of Redis, or the client's kind of error.
fn kind(error: &RedisError) -> String {
    error
        .code()
        .map_or_else(|| format!("{:?}", error.kind()), str::to_owned)
}
