//! The site in Redis: the content of the site file, with a revision that counts up.

use rackwatch_core::keys;
use rackwatch_core::site::{RawSite, Site, StoredSite};
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use serde::Serialize;

use crate::stored::read_one;

/// Characters of a wrong value that an error shows.
const MAX_SHOWN: usize = 40;

/// The site that is in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppliedSite {
    /// The revision, which counts up with each change.
    pub version: u64,
    /// The person who applied it.
    pub by: String,
    /// The time of the change, in milliseconds since 1970.
    pub at_ms: u64,
    /// The content of the site file.
    pub site: RawSite,
}

/// The outcome of reading the site.
#[derive(Clone, Debug, PartialEq)]
pub enum SiteInRedis {
    /// No site was applied.
    Missing,
    /// A site that this program does not understand. The log says why.
    Refused,
    /// A site that this program understands.
    Applied(AppliedSite),
}

/// The fields of [`keys::SITE`]: revision, JSON, person and time.
type Fields = (
    Option<String>,
    Option<Vec<u8>>,
    Option<String>,
    Option<String>,
);

/// Reads the site.
///
/// # Errors
///
/// Fails if Redis does not answer.
pub async fn read(connection: &mut Connection) -> RedisResult<SiteInRedis> {
    let (version, json, by, at_ms): Fields = redis::cmd("HMGET")
        .arg(keys::SITE)
        .arg(&["version", "site", "by", "at_ms"])
        .query_async(connection)
        .await?;
    let (Some(version), Some(json)) = (version, json) else {
        return Ok(SiteInRedis::Missing);
    };
    let Ok(version) = version.parse() else {
        return Ok(SiteInRedis::Refused);
    };
    let Some(stored) = read_one::<StoredSite>(keys::SITE, &json) else {
        return Ok(SiteInRedis::Refused);
    };
    Ok(SiteInRedis::Applied(AppliedSite {
        version,
        by: by.unwrap_or_default(),
        at_ms: at_ms.and_then(|ms| ms.parse().ok()).unwrap_or(0),
        site: stored.site,
    }))
}

/// Returns a line that names the key and the remedy if `version` is no number.
pub(crate) fn version_fault(version: &str) -> Option<String> {
    if version.parse::<u64>().is_ok() {
        return None;
    }
    let shown: String = version.chars().take(MAX_SHOWN).collect();
    Some(format!(
        "{} has version {shown:?}, expected a number: apply the site again with `rackwatch-collector site apply --replace`",
        keys::SITE
    ))
}

/// A copy of the site that is read again when its revision changes.
#[derive(Debug, Default)]
pub struct SiteReader {
    version: Option<String>,
    site: Site,
}

impl SiteReader {
    /// Returns the site as of the last refresh. It is empty if none was applied, or if it was refused.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Reads the site again if its revision changed. Returns whether it did.
    ///
    /// # Errors
    ///
    /// Fails if Redis does not answer.
    pub async fn refresh(&mut self, connection: &mut Connection) -> RedisResult<bool> {
        let version: Option<String> = redis::cmd("HGET")
            .arg(keys::SITE)
            .arg("version")
            .query_async(connection)
            .await?;
        if version == self.version {
            return Ok(false);
        }
        if let Some(fault) = version.as_deref().and_then(version_fault) {
            tracing::error!("{fault}");
        }
        let site = match read(connection).await? {
            SiteInRedis::Applied(applied) => Site::new(&applied.site),
            SiteInRedis::Missing | SiteInRedis::Refused => Ok(Site::default()),
        };
        self.site = site.unwrap_or_else(|error| {
            // It was checked when it was applied, by a program with other checks.
            tracing::warn!(key = keys::SITE, %error, "stored site is invalid, ignored");
            Site::default()
        });
        self.version = version;
        Ok(true)
    }
}
