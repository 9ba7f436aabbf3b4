//! Sends the backlog to Redis.
//!
//! In: the backlog. Out: entries of `raw_sensor_data`, or of the partition of the agent's zone, in order, each at least once, and before them
//! the descriptions of their devices in `rackwatch:devices`, all in one round trip. Nothing is lost
//! here: an entry leaves the backlog when Redis has acknowledged it. One whose acknowledgement was
//! lost is sent twice, with the same `seq`. Beyond `publish.safety_cap` Redis drops the oldest. What
//! was sent within the last minute goes again when the stream has vanished or Redis has another
//! replication id: it may have lost what it had acknowledged.
//!
//! While Redis is away, or refuses because it is full, loading or a replica, the publisher waits and
//! tries again, for ever. At the stop it has three seconds for what is left.

mod batch;
mod route;
mod sender;
mod skew;

use std::time::{Duration, Instant};

use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::redis::{Connection, Connector, Purpose, Remedy, remedy};
use redis::RedisError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::backlog::Backlog;
use crate::clock;
use batch::{Batch, Outcome};
use route::{Found, Route};
use skew::Skew;

pub use sender::{Sender, new_run};

/// How long after the stop the rest of the backlog may take.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// How long saying goodbye may take, after that.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

/// How many entries one round trip carries: some 200 kB, and about 2 ms of Redis' time.
const BATCH: usize = 1_000;

/// The shortest and the longest wait after Redis refused: it may take readings again at any moment,
/// and a failure in the racks should be seen within seconds then.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How often to ask for a layout that is being changed.
const HOLD: Duration = Duration::from_millis(500);

/// What becomes of the devices when the agent stops cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Their descriptions say that the agent left.
    Leave,
    /// They are forgotten: they never were real.
    Remove,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Entries that Redis acknowledged.
    pub entries: u64,
    /// Readings in them.
    pub readings: u64,
    /// Readings that were dropped because too many waited.
    pub dropped: u64,
    /// Readings that were still waiting at the end, and are lost.
    pub unsent: u64,
    /// Readings that are on disk for the next start.
    pub spooled: u64,
}

/// Sends the backlog until it is closed and empty.
#[derive(Debug)]
pub struct Publisher {
    backlog: Backlog,
    connector: Connector,
    connection: Option<Connection>,
    /// Where entries go, as far as that is known.
    route: Option<Route>,
    /// The replication id of the Redis that has what was sent.
    replication: Option<String>,
    skew: Skew,
    /// The layout is being changed, and that was logged.
    on_hold: bool,
    sender: Sender,
    departure: Departure,
    backoff: Backoff,
    /// How often it failed in a row.
    failures: u32,
    /// The kind of error that was logged, until all is well again.
    trouble: Option<String>,
    summary: Summary,
}

impl Publisher {
    /// A publisher of `backlog`.
    pub fn new(
        backlog: Backlog,
        connector: Connector,
        sender: Sender,
        departure: Departure,
    ) -> Self {
        Self {
            backlog,
            connector,
            connection: None,
            route: None,
            replication: None,
            skew: Skew::default(),
            on_hold: false,
            sender,
            departure,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            failures: 0,
            trouble: None,
            summary: Summary::default(),
        }
    }

    /// Sends until nothing is left and nothing will come, or until the time after `stop` is up.
    pub async fn run(mut self, stop: CancellationToken) -> Summary {
        let time_is_up = async {
            stop.cancelled().await;
            tokio::time::sleep(FLUSH_DEADLINE).await;
        };
        tokio::select! {
            () = self.publish_all() => {}
            () = time_is_up => {}
        }
        self.say_goodbye().await;
        self.backlog.save().await;
        let fate = self.backlog.fate().await;
        self.summary.dropped = fate.dropped;
        self.summary.unsent = fate.waiting;
        self.summary.spooled = fate.spooled;
        if fate.waiting > 0 {
            warn!(
                unsent = fate.waiting,
                "stopped before all readings were sent, they are lost"
            );
        }
        if fate.spooled > 0 {
            info!(
                spooled = fate.spooled,
                "readings are in the spool, the next start sends them"
            );
        }
        self.summary
    }

    async fn publish_all(&mut self) {
        while self.backlog.wait().await {
            let Some(mut connection) = self.connect().await else {
                continue;
            };
            if self.skew.is_due() {
                self.look_at_the_clock(&mut connection).await;
            }
            let Some(route) = &self.route else { continue };
            let work = self.backlog.next(BATCH).await;
            let batch = Batch::new(work, &self.sender, route, self.skew.news());
            match batch.send(&mut connection).await {
                Ok(outcome) => self.settle(batch, outcome).await,
                Err(error) => {
                    self.backlog.done(batch.into_work(), 0).await;
                    self.failed(&error).await;
                }
            }
        }
    }

    /// The connection, with a route to publish on; none where there is none for the moment.
    async fn connect(&mut self) -> Option<Connection> {
        let mut connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            // Never stopped by this token: the caller drops the whole future when the time is up.
            let for_ever = CancellationToken::new();
            let opened = self.connector.open_until(Purpose::Commands, &for_ever);
            let connection = opened.await?;
            // It may be another Redis now, or one that lost everything.
            self.backlog.descriptions_lost();
            self.route = None;
            self.connection = Some(connection.clone());
            connection
        };
        if self.route.is_none() {
            match route::find(&mut connection, &self.sender.zone).await {
                Ok(found) => self.found(found).await,
                Err(error) => self.failed(&error).await,
            }
        }
        self.route.as_ref().map(|_| connection)
    }

    async fn look_at_the_clock(&mut self, connection: &mut Connection) {
        let (asked, began) = (clock::now(), Instant::now());
        let told: redis::RedisResult<(u64, u64)> = redis::cmd("TIME").query_async(connection).await;
        // A connection that broke shows at the next command.
        if let Ok(told) = told {
            self.skew.learn(asked, began.elapsed(), told);
        }
    }

    async fn found(&mut self, found: Found) {
        let (old, new) = (self.replication.as_ref(), found.replication);
        if old.is_some() && new.is_some() && old != new.as_ref() {
            self.send_again("this is another redis, or one that was restarted");
        }
        self.replication = new.or(self.replication.take());
        if found.route.is_none() {
            if !self.on_hold {
                info!(
                    "the layout is being changed, or on a cluster not set by a collector yet: readings \
                     wait until that is done"
                );
            }
            tokio::time::sleep(HOLD).await;
        }
        self.on_hold = found.route.is_none();
        self.route = found.route;
    }

    fn send_again(&self, why: &'static str) {
        let entries = self.backlog.send_again();
        if entries > 0 {
            warn!(
                why,
                entries, "what was sent within the last minute is sent again"
            );
        }
    }

    async fn settle(&mut self, batch: Batch, outcome: Outcome) {
        let sent = batch.sent(&outcome);
        self.summary.entries += sent.entries as u64;
        self.summary.readings += sent.readings;
        if outcome.described {
            self.backlog.described(batch.descriptions());
        }
        if outcome.lost {
            warn!("redis has lost the descriptions of the devices, writing them again");
            self.backlog.descriptions_lost();
        }
        self.backlog.done(batch.into_work(), sent.entries).await;
        if let Some(route) = &mut self.route {
            route.exists |= sent.entries > 0;
            if sent.entries > 0 {
                self.skew.said();
            }
            if outcome.layout.is_some_and(|layout| layout != route.layout) {
                self.route = None;
            }
        }
        if outcome.vanished {
            self.route = None;
            self.send_again("the stream has vanished");
        }
        match outcome.error {
            Some(error) => self.failed(&error).await,
            None => self.succeeded(),
        }
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.failures = 0;
        if self.trouble.take().is_some() {
            info!("redis takes everything again");
        }
    }

    /// Logs each new kind of trouble once, and waits. The next try has a connection of its own: the
    /// address may lead to another Redis by then (a new master), and it costs little.
    async fn failed(&mut self, error: &RedisError) {
        self.connection = None;
        self.failures += 1;
        let remedy = remedy(error);
        let kind = kind(error);
        // Of a connection that broke the connector has more to say.
        let broke = remedy == Remedy::Reconnect && self.failures == 1;
        if !broke && self.trouble.as_ref() != Some(&kind) {
            if remedy == Remedy::Fatal {
                error!(%error, "redis refuses readings, keeping them until it is put right");
            } else {
                warn!(%error, "redis does not take readings, trying until it does");
            }
            self.trouble = Some(kind);
        }
        tokio::time::sleep(self.backoff.next_jittered(backoff::random())).await;
    }

    async fn say_goodbye(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let goodbye = batch::goodbye(&self.backlog.leaving(), self.departure);
        let said = goodbye.exec_async(&mut connection);
        match tokio::time::timeout(GOODBYE_DEADLINE, said).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "cannot tell redis that this agent leaves"),
            Err(_) => warn!("cannot tell redis that this agent leaves: no answer in time"),
        }
    }
}

/// The first word of Redis' answer, or the client's kind of error.
fn kind(error: &RedisError) -> String {
    error
        .code()
        .map_or_else(|| format!("{:?}", error.kind()), str::to_owned)
}
