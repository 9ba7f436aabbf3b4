//! The collectors that run, and in what they differ.
//!
//! In: the version of this program, its settings, and the site as it reads it. Out: a digest of each in Redis, beside those
//! of the other collectors, which `status`, `/metrics` and the API compare. Nothing depends on it: after a failure the
//! collector goes on, and its digests expire with its registration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use rackwatch_core::hash;
use rackwatch_core::keys;
use rackwatch_core::site::StoredSite;
use rackwatch_core::stored::{IfRefused, StoredValue, decode, encode};
use rackwatch_core::words::list;
use rackwatch_runtime::redis::{Connection, server_time};
use redis::RedisResult;
use serde::{Deserialize, Serialize};

/// Interval at which an unchanged announcement is written again, for a Redis that lost it.
const REPEAT: Duration = Duration::from_secs(2);
/// Digits of a digest that people read.
const SHOWN_DIGITS: usize = 6;
/// The value of a part that a collector did not announce.
const UNKNOWN: &str = "unknown";

/// The version of a collector, and digests of what decides its results. Secrets are not part of a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The version of the program.
    #[serde(rename = "version")]
    pub version: String,
    /// The digest of the rules in force, with the profile's.
    #[serde(rename = "rules")]
    pub rules: String,
    /// The digest of the site as this collector reads it.
    #[serde(rename = "site")]
    pub site: String,
    /// The digest of the notifiers and their routes.
    #[serde(rename = "notifiers")]
    pub notifiers: String,
    /// The digest of the timing of incidents.
    #[serde(rename = "incidents")]
    pub incidents: String,
}

impl StoredValue for Announcement {
    const NAME: &'static str = "announcement";
    const VERSION: u32 = 1;
    const IF_REFUSED: IfRefused = IfRefused::StartsCold("the collector counts as another version");
}

impl Announcement {
    /// Returns the announcement of a collector that announced nothing understandable.
    fn unknown() -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            version: unknown(),
            rules: unknown(),
            site: unknown(),
            notifiers: unknown(),
            incidents: unknown(),
        }
    }

    /// Returns the name and value of each part.
    pub fn parts(&self) -> [(&'static str, &str); 5] {
        [
            ("version", &self.version),
            ("rules", &self.rules),
            ("site", &self.site),
            ("notifiers", &self.notifiers),
            ("incidents", &self.incidents),
        ]
    }
}

/// Returns the digest of a setting. Secrets print as `***`, and so make no difference.
pub(crate) fn digest(setting: &impl Debug) -> String {
    hash::id([format!("{setting:?}").as_bytes()])
}

/// A part in which the running collectors differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The part, such as `rules`.
    pub part: &'static str,
    /// The collectors by the value that they announce.
    pub collectors: BTreeMap<String, Vec<String>>,
}

impl Difference {
    /// Returns a line that names the collectors, the consequence, and what to do.
    pub fn line(&self) -> String {
        let group = |(value, names): (&String, &Vec<String>)| {
            let shown = match self.part {
                "version" => value.as_str(),
                _ if value == UNKNOWN => UNKNOWN,
                _ => value.get(..SHOWN_DIGITS).unwrap_or(value),
            };
            format!("{} ({shown})", list(names, "and"))
        };
        let groups: Vec<_> = self.collectors.iter().map(group).collect();
        let (consequence, remedy) = match self.part {
            "version" => (
                "a hand-over may change what fires and what is stored",
                "run the same version everywhere",
            ),
            "rules" => (
                "the owner of a partition decides, so a hand-over ends or begins alerts",
                "give them the same rules, and restart those with the old ones",
            ),
            "site" => (
                "racks stand elsewhere after a hand-over",
                "run the version that wrote the site, or apply the site again",
            ),
            _ => (
                "the leader decides, so another leader notifies otherwise",
                "give them the same configuration, and restart those with the old one",
            ),
        };
        format!(
            "collectors differ in {}: {}; {consequence}: {remedy}",
            self.part,
            groups.join(", ")
        )
    }
}

/// Returns the parts in which collectors differ.
pub fn differences(peers: &BTreeMap<String, Announcement>) -> Vec<Difference> {
    let mut parts: BTreeMap<&'static str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (name, announcement) in peers {
        for (part, value) in announcement.parts() {
            let values = parts.entry(part).or_default();
            let names = values.entry(value.to_owned()).or_default();
            names.push(name.clone());
        }
    }
    let differing = parts.into_iter().filter(|(_, values)| values.len() > 1);
    let differing = differing.map(|(part, collectors)| Difference { part, collectors });
    differing.collect()
}

/// Returns the names of the running collectors, sorted.
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn running(connection: &mut Connection) -> RedisResult<Vec<String>> {
    let now = server_time(connection).await?;
    let mut ask = redis::cmd("ZRANGEBYSCORE");
    ask.arg(keys::COLLECTORS).arg(now.millis()).arg("+inf");
    let mut all: Vec<String> = ask.query_async(connection).await?;
    all.sort_unstable();
    Ok(all)
}

/// Returns what each of these collectors announces. One that has just begun has announced nothing yet.
///
/// # Errors
///
/// If Redis does not answer.
pub(crate) async fn announcements(
    connection: &mut Connection,
    running: &[String],
) -> RedisResult<BTreeMap<String, Announcement>> {
    if running.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut get = redis::cmd("HMGET");
    get.arg(keys::ANNOUNCEMENTS).arg(running);
    let all: Vec<Option<Vec<u8>>> = get.query_async(connection).await?;
    let announced = running.iter().zip(all).filter_map(|(name, json)| {
        let decoded = decode(&json?).ok();
        Some((name.clone(), decoded.unwrap_or_else(Announcement::unknown)))
    });
    Ok(announced.collect())
}

/// Writes the announcement of this collector.
#[derive(Debug)]
pub(crate) struct Announcer {
    announcement: Announcement,
    written: Option<Instant>,
    is_refused: bool,
}

impl Announcer {
    /// Creates the announcer of these settings; it reads the site itself.
    pub(crate) fn new(announcement: Announcement) -> Self {
        Self {
            announcement,
            written: None,
            is_refused: false,
        }
    }

    /// Writes the announcement of `me` if it changed, or now and then. Logs the first failure.
    pub(crate) async fn announce(
        &mut self,
        connection: &mut Connection,
        me: &str,
        running: &[String],
    ) {
        let announced = self.write_if_due(connection, me, running).await;
        if let Err(error) = &announced
            && !self.is_refused
        {
            let key = keys::ANNOUNCEMENTS;
            tracing::warn!(key, %error, "cannot announce the settings of this collector");
        }
        self.is_refused = announced.is_err();
    }

    async fn write_if_due(
        &mut self,
        connection: &mut Connection,
        me: &str,
        running: &[String],
    ) -> RedisResult<()> {
        let site = site_digest(connection).await?;
        let is_fresh = self.written.is_some_and(|at| at.elapsed() < REPEAT);
        if is_fresh && site == self.announcement.site {
            return Ok(());
        }
        self.announcement.site = site;
        let json = encode(&self.announcement);
        let mut set = redis::cmd("HSET");
        set.arg(keys::ANNOUNCEMENTS).arg(me).arg(json);
        set.exec_async(connection).await?;
        self.written = Some(Instant::now());
        delete_others(connection, running).await
    }
}

/// Deletes the announcement of `me`.
pub(crate) async fn withdraw(connection: &mut Connection, me: &str) -> RedisResult<()> {
    let mut delete = redis::cmd("HDEL");
    delete.arg(keys::ANNOUNCEMENTS).arg(me);
    delete.exec_async(connection).await
}

/// Deletes the announcements of collectors that no longer run.
async fn delete_others(connection: &mut Connection, running: &[String]) -> RedisResult<()> {
    let mut names = redis::cmd("HKEYS");
    let names: BTreeSet<String> = names
        .arg(keys::ANNOUNCEMENTS)
        .query_async(connection)
        .await?;
    for gone in names.iter().filter(|name| !running.contains(name)) {
        withdraw(connection, gone).await?;
    }
    Ok(())
}

/// Returns the digest of the site as this program reads it.
async fn site_digest(connection: &mut Connection) -> RedisResult<String> {
    let mut get = redis::cmd("HGET");
    get.arg(keys::SITE).arg("site");
    let json: Option<Vec<u8>> = get.query_async(connection).await?;
    Ok(match json {
        None => "none".to_owned(),
        Some(json) => match decode::<StoredSite>(&json) {
            Ok(_) => hash::id([json.as_slice()]),
            Err(_) => "refused".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(version: &str, rules: &str) -> Announcement {
        Announcement {
            version: version.to_owned(),
            rules: rules.to_owned(),
            ..Announcement::unknown()
        }
    }

    #[test]
    fn collectors_that_differ_are_named_by_part() {
        let peers = [
            ("a", announced("1.0", "aaaaaaaa")),
            ("b", announced("1.0", "bbbbbbbb")),
            ("c", announced("1.0", "aaaaaaaa")),
        ];
        let peers = peers.map(|(name, one)| (name.to_owned(), one)).into();
        let found = differences(&peers);
        assert_eq!(found.len(), 1);
        let line = found[0].line();
        let begin = "collectors differ in rules: a and c (aaaaaa), b (bbbbbb); ";
        assert!(line.starts_with(begin), "{line}");
        let alone = [("a".to_owned(), announced("1.0", "a"))].into();
        assert_eq!(differences(&alone), []);
    }

    #[test]
    fn secrets_make_no_difference() {
        let secret = |text: &str| rackwatch_runtime::config::Secret::from(text.to_owned());
        assert_eq!(digest(&secret("a")), digest(&secret("b")));
    }
}
