//! The site in Redis: the content of the site file, with a revision that counts up.

use rackwatch_core::keys;
use rackwatch_core::site::{RawSite, Site, StoredSite};
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use serde::Serialize;

use crate::stored::read_one;

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
type Fields = (Option<u64>, Option<Vec<u8>>, Option<String>, Option<u64>);

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
    let Some(stored) = read_one::<StoredSite>(keys::SITE, &json) else {
        return Ok(SiteInRedis::Refused);
    };
    Ok(SiteInRedis::Applied(AppliedSite {
        version,
        by: by.unwrap_or_default(),
        at_ms: at_ms.unwrap_or(0),
        site: stored.site,
    }))
}

/// A copy of the site that is read again when its revision changes.
#[derive(Debug, Default)]
pub struct SiteReader {
    version: Option<u64>,
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
        let version: Option<u64> = redis::cmd("HGET")
            .arg(keys::SITE)
            .arg("version")
            .query_async(connection)
            .await?;
        if version == self.version {
            return Ok(false);
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
