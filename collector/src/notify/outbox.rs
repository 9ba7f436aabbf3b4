//! The outbox of one notifier: incidents that people are to be told of, sent until they arrive.
//!
//! Promise: each at least once, in order, with the same key however often it is sent. What was not sent stays
//! pending in the notifier's consumer group, so that a restart or another collector goes on with it. What the
//! receiver refuses for good is logged and left: it must not hold up the rest. In a storm, when much was sent within a
//! minute, what comes next is collected for a moment and sent as one. What became of each is in the delivery ledger.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use rackwatch_core::alert::Severity;
use rackwatch_core::incident::{Event, IncidentRecord};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_runtime::backoff::{self, Backoff};
use rackwatch_runtime::clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, Ledger, State};
use super::route::Routes;
use super::standing::Standing;
use crate::failpoint;
use crate::feed::Feed;
use crate::stage::StageError;

/// The wait after the first failed try.
const FIRST: Duration = Duration::from_secs(1);
/// A receiver may ask for so much patience at most.
const LONGEST: Duration = Duration::from_hours(1);
/// Messages of so long count for a storm.
const STORM: Duration = Duration::from_mins(1);
/// In a storm so much is collected.
const COLLECT: Duration = Duration::from_secs(15);
/// And no more than so many.
const MOST: usize = 50;
/// Of those so many are named.
const NAMED: usize = 3;

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It arrived.
    Arrived {
        /// The receiver says in its own words that it deals with it.
        confirmed: bool,
    },
    /// It is worth another try, in so long if the receiver says so.
    Later {
        /// Why it did not arrive.
        why: String,
        /// What the receiver asks for.
        after: Option<Duration>,
    },
    /// Another try would be refused too.
    Refused {
        /// Why.
        why: String,
    },
}

/// What is sent. Its key names it, the same at each try.
#[derive(Clone, Debug)]
pub enum Message<'m> {
    /// What became of an incident.
    One {
        /// That.
        record: &'m IncidentRecord,
        /// Its key.
        key: &'m str,
    },
    /// Several at once.
    Digest {
        /// In a line.
        text: &'m str,
        /// Each of them.
        records: Vec<&'m IncidentRecord>,
        /// Its key.
        key: &'m str,
    },
    /// Whether the way is open.
    Test {
        /// In a line.
        text: &'m str,
        /// Its key.
        key: &'m str,
    },
}

impl Message<'_> {
    /// Its key.
    pub fn key(&self) -> &str {
        match self {
            Self::One { key, .. } | Self::Digest { key, .. } | Self::Test { key, .. } => key,
        }
    }
}

/// Somewhere to send incidents.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Tries once.
    async fn send(&mut self, message: &Message<'_>) -> Sent;

    /// Whether it also hears that somebody has taken an incident on: where people see that at the receiver.
    fn hears_acks(&self) -> bool {
        false
    }

    /// How often what is open is to be said again, where the receiver forgets.
    fn repeats(&self) -> Option<Duration> {
        None
    }

    /// Whether several may come as one. Not where each has a life of its own at the receiver.
    fn digests(&self) -> bool {
        false
    }
}

/// One notifier at work.
pub struct Outbox {
    name: String,
    channel: Box<dyn Channel>,
    routes: Routes,
    ledger: Ledger,
    /// So many messages in a minute are a storm.
    storm: usize,
    backoff: Backoff,
    stop: CancellationToken,
    /// When the last messages were sent.
    sent: VecDeque<Instant>,
    standing: Standing,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What waits to be told.
struct Waiting {
    id: StreamId,
    record: IncidentRecord,
    key: String,
}

impl Outbox {
    /// Of the notifier `name`.
    pub fn new(
        name: &str,
        channel: Box<dyn Channel>,
        routes: Routes,
        ledger: Ledger,
        (storm, retry_max): (usize, Duration),
        stop: CancellationToken,
    ) -> Self {
        Self {
            name: name.to_owned(),
            standing: Standing::new(channel.repeats()),
            channel,
            routes,
            ledger,
            storm,
            backoff: Backoff::new(FIRST, retry_max),
            stop,
            sent: VecDeque::new(),
        }
    }

    /// With what was told by this channel before, and is not over.
    pub fn knowing(mut self, told: &[IncidentRecord]) -> Self {
        let wanted = told
            .iter()
            .filter(|record| self.routes.want(record, record.at));
        for record in wanted {
            self.standing.take(record);
        }
        self
    }

    /// Sends what `feed` has until told to stop.
    ///
    /// # Errors
    ///
    /// When Redis refuses for a reason that does not pass.
    pub async fn run(
        mut self,
        mut feed: impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        match self.work(&mut feed).await {
            Err(StageError::Stopped) => Ok(()),
            ended => ended,
        }
    }

    async fn work(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<(), StageError> {
        let mut held: Vec<Waiting> = Vec::new();
        let mut since = None;
        loop {
            for waiting in self.queue(feed).await? {
                // What comes after something that is held waits behind it.
                if !held.is_empty() || self.is_storm() {
                    since.get_or_insert_with(Instant::now);
                    held.push(waiting);
                    continue;
                }
                let message = Message::One {
                    record: &waiting.record,
                    key: &waiting.key,
                };
                self.deliver(&message, &[&waiting]).await?;
                self.standing.take(&waiting.record);
                failpoint::pass(failpoint::SENT);
                feed.acknowledge(&[waiting.id]).await?;
            }
            self.repeat().await?;
            let is_due = since.is_some_and(|since: Instant| since.elapsed() >= COLLECT);
            if is_due || held.len() >= MOST {
                let all: Vec<Waiting> = std::mem::take(&mut held);
                since = None;
                self.deliver_together(&all).await?;
                failpoint::pass(failpoint::SENT);
                let ids: Vec<StreamId> = all.iter().map(|waiting| waiting.id).collect();
                feed.acknowledge(&ids).await?;
            }
        }
    }

    /// Says again what is open, once: the next time comes soon. No news, and so not in the ledger.
    async fn repeat(&mut self) -> Result<(), StageError> {
        for record in self.standing.due() {
            let key = record.notification_id.as_deref().unwrap_or_default();
            let message = Message::One {
                record: &record,
                key,
            };
            let sending = self.channel.send(&message);
            let sent = self.stop.run_until_cancelled(sending).await;
            if let Sent::Later { why, .. } | Sent::Refused { why } =
                sent.ok_or(StageError::Stopped)?
            {
                tracing::debug!(
                    notifier = self.name,
                    why,
                    "what is open cannot be said again"
                );
                break;
            }
        }
        Ok(())
    }

    /// What has come that people are to be told of by this channel: it is in the ledger before the first of it is sent.
    async fn queue(
        &mut self,
        feed: &mut impl Feed<Record = IncidentRecord>,
    ) -> Result<Vec<Waiting>, StageError> {
        let mut queue = Vec::new();
        for fed in feed.next().await? {
            let wanted = match fed.record {
                Ok(record) => self.wanted(fed.id, record).await,
                Err(reason) => {
                    tracing::warn!(entry = %fed.id, reason, "incident cannot be understood");
                    None
                }
            };
            match wanted {
                Some(waiting) => queue.push(waiting),
                None => feed.acknowledge(&[fed.id]).await?,
            }
        }
        let all: Vec<&Waiting> = queue.iter().collect();
        self.note(&all, State::Queued, 0, "").await;
        Ok(queue)
    }

    /// What people are to be told, by this channel.
    async fn wanted(&mut self, id: StreamId, record: IncidentRecord) -> Option<Waiting> {
        if record.event == Event::Resolved {
            // Whether that is told or not.
            self.standing.take(&record);
        }
        // What nobody is to be told of is a change that only other programs follow.
        let key = match &record.notification_id {
            Some(id) => id.clone(),
            None if record.event == Event::Acked && self.channel.hears_acks() => {
                format!("{}-acked-{}", record.id, record.at.millis())
            }
            None => return None,
        };
        let waiting = Waiting { id, record, key };
        if self.routes.want(&waiting.record, clock::now()) {
            return Some(waiting);
        }
        self.note(&[&waiting], State::Passed, 0, "no route wants it")
            .await;
        None
    }

    fn is_storm(&mut self) -> bool {
        while self.sent.front().is_some_and(|at| at.elapsed() >= STORM) {
            self.sent.pop_front();
        }
        self.storm > 0 && self.channel.digests() && self.sent.len() >= self.storm
    }

    async fn deliver_together(&mut self, all: &[Waiting]) -> Result<(), StageError> {
        let each: Vec<&Waiting> = all.iter().collect();
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return Ok(());
        };
        if all.len() == 1 {
            let message = Message::One {
                record: &first.record,
                key: &first.key,
            };
            return self.deliver(&message, &each).await;
        }
        let records: Vec<&IncidentRecord> = all.iter().map(|waiting| &waiting.record).collect();
        let (text, key) = (digest(&records), format!("{}..{}", first.key, last.key));
        let message = Message::Digest {
            text: &text,
            records,
            key: &key,
        };
        self.deliver(&message, &each).await
    }

    /// Sends a message however long it takes.
    async fn deliver(&mut self, message: &Message<'_>, all: &[&Waiting]) -> Result<(), StageError> {
        let (name, key) = (self.name.clone(), message.key().to_owned());
        let mut tries = 0;
        loop {
            tries += 1;
            let sending = self.channel.send(message);
            let sent = self.stop.run_until_cancelled(sending).await;
            let (why, after) = match sent.ok_or(StageError::Stopped)? {
                Sent::Arrived { confirmed } => {
                    if tries > 1 {
                        tracing::info!(notifier = name, key, "it takes incidents again");
                    }
                    self.sent.push_back(Instant::now());
                    self.backoff.reset();
                    let state = if confirmed {
                        State::Confirmed
                    } else {
                        State::Sent
                    };
                    self.note(all, state, tries, "").await;
                    return Ok(());
                }
                Sent::Refused { why } => {
                    tracing::error!(
                        notifier = name,
                        key,
                        why,
                        "it refuses an incident, which is not sent again"
                    );
                    self.backoff.reset();
                    self.note(all, State::Failed, tries, &why).await;
                    return Ok(());
                }
                Sent::Later { why, after } => (why, after),
            };
            if tries == 1 {
                tracing::warn!(
                    notifier = name,
                    key,
                    why,
                    "an incident cannot be sent, tried until it arrives"
                );
            }
            self.note(all, State::Retrying, tries, &why).await;
            let pause = self.backoff.next_jittered(backoff::random());
            let pause = after.map_or(pause, |after| after.clamp(FIRST, LONGEST));
            tracing::debug!(notifier = name, key, why, ?pause, "tried again later");
            let pausing = self.stop.run_until_cancelled(tokio::time::sleep(pause));
            pausing.await.ok_or(StageError::Stopped)?;
        }
    }

    async fn note(&self, all: &[&Waiting], state: State, tries: u32, why: &str) {
        let at: Timestamp = clock::now();
        for waiting in all {
            let record = &waiting.record;
            let delivery = Delivery {
                channel: self.name.clone(),
                key: waiting.key.clone(),
                incident_id: record.id.as_str().to_owned(),
                event: record.event.to_string(),
                title: record.title.clone(),
                state,
                tries,
                at_ms: at.millis(),
                why: why.to_owned(),
            };
            self.ledger.note(&delivery).await;
        }
    }
}

/// Such as `12 messages at once, 3 critical: cooling is failing: room hall-1; …`.
fn digest(records: &[&IncidentRecord]) -> String {
    let open = records.iter().filter(|record| record.until.is_none());
    let critical = open
        .filter(|record| record.severity == Severity::Critical)
        .count();
    let mut worst: Vec<_> = records.iter().collect();
    worst.sort_by_key(|record| std::cmp::Reverse(record.severity));
    let named: Vec<&str> = worst
        .iter()
        .take(NAMED)
        .map(|record| record.title.as_str())
        .collect();
    let more = if records.len() > NAMED { "; …" } else { "" };
    format!(
        "{} messages at once, {critical} critical: {}{more}",
        records.len(),
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rackwatch_core::incident::IncidentId;

    use super::*;
    use crate::feed::FeedEntry;
    use crate::notify::example;

    /// Gives so many records, then nothing, then stops.
    struct Few {
        left: u32,
        quiet: u32,
        done: Arc<Mutex<Vec<StreamId>>>,
    }

    #[async_trait]
    impl Feed for Few {
        type Record = IncidentRecord;

        async fn next(&mut self) -> Result<Vec<FeedEntry<IncidentRecord>>, StageError> {
            if self.left == 0 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                self.quiet += 1;
                return if self.quiet > 5 {
                    Err(StageError::Stopped)
                } else {
                    Ok(Vec::new())
                };
            }
            self.left -= 1;
            let ms = u64::from(100 - self.left);
            let record = IncidentRecord {
                notification_id: Some(format!("{ms}-1")),
                ..example()
            };
            let id = StreamId { ms, seq: 0 };
            Ok(vec![FeedEntry {
                id,
                record: Ok(record),
            }])
        }

        async fn acknowledge(&mut self, ids: &[StreamId]) -> Result<(), StageError> {
            self.done.lock().unwrap().extend(ids);
            Ok(())
        }
    }

    /// Keeps the keys of what is sent.
    struct Kept {
        keys: Arc<Mutex<Vec<String>>>,
        digests: bool,
        repeats: Option<Duration>,
    }

    #[async_trait]
    impl Channel for Kept {
        async fn send(&mut self, message: &Message<'_>) -> Sent {
            self.keys.lock().unwrap().push(message.key().to_owned());
            Sent::Arrived { confirmed: false }
        }

        fn digests(&self) -> bool {
            self.digests
        }

        fn repeats(&self) -> Option<Duration> {
            self.repeats
        }
    }

    fn outbox(channel: Kept, storm: usize) -> Outbox {
        Outbox::new(
            "ops",
            Box::new(channel),
            Routes::default(),
            Ledger::none(),
            (storm, FIRST),
            CancellationToken::new(),
        )
    }

    async fn sent(count: u32, storm: usize, digests: bool) -> (Vec<String>, usize) {
        let (keys, done) = (Arc::default(), Arc::default());
        let feed = Few {
            left: count,
            quiet: 0,
            done: Arc::clone(&done),
        };
        let kept = Kept {
            keys: Arc::clone(&keys),
            digests,
            repeats: None,
        };
        outbox(kept, storm).run(feed).await.unwrap();
        let keys = keys.lock().unwrap().clone();
        let done = done.lock().unwrap().len();
        (keys, done)
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_storm_what_comes_next_comes_together() {
        let (keys, done) = sent(30, 10, true).await;
        assert_eq!(keys.len(), 11, "{keys:?}");
        assert_eq!(keys[10], "81-1..100-1");
        assert_eq!(done, 30, "nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn where_each_has_a_life_of_its_own_each_is_sent() {
        assert_eq!(sent(30, 10, false).await.0.len(), 30);
        assert_eq!(sent(30, 0, true).await.0.len(), 30, "switched off");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_is_said_again_until_it_is_over() {
        let keys = Arc::default();
        let told = |n: u32, event| IncidentRecord {
            id: IncidentId::from_wire(&format!("{n:016x}")),
            notification_id: Some(format!("before-{n}")),
            event,
            ..example()
        };
        let kept = Kept {
            keys: Arc::clone(&keys),
            digests: false,
            repeats: Some(Duration::from_secs(8)),
        };
        // After one record nothing comes for 25 seconds, and it is looked every five of them.
        let feed = Few {
            left: 1,
            quiet: 0,
            done: Arc::default(),
        };
        let before = [told(1, Event::Opened), told(2, Event::Resolved)];
        let outbox = outbox(kept, 0).knowing(&before);
        outbox.run(feed).await.unwrap();
        let keys = keys.lock().unwrap().clone();
        assert_eq!(keys, ["100-1", "before-1", "100-1", "before-1", "100-1"]);
    }

    #[test]
    fn a_digest_names_the_worst() {
        let warning = IncidentRecord {
            severity: Severity::Warning,
            title: "too hot: sensor a".to_owned(),
            ..example()
        };
        let all = [&warning, &example(), &warning, &warning];
        assert_eq!(
            digest(&all),
            "4 messages at once, 1 critical: cooling is failing: rack B07; too hot: sensor a; too hot: sensor a; …"
        );
    }
}
