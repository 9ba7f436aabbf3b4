//! The site as it is kept in Redis: the JSON of the site file with its version.

use rackwatch_core::keys;
use rackwatch_core::site::{RawSite, Site};
use rackwatch_runtime::redis::Connection;
use redis::RedisResult;
use serde::Serialize;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Counts up with each change.
    pub version: u64,
    /// Who changed it last.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it says.
    pub site: RawSite,
}

/// What [`keys::SITE`] holds: version, JSON, who and when.
type Fields = (Option<u64>, Option<Vec<u8>>, Option<String>, Option<u64>);

/// Reads the site; none where nobody has applied one, or where it cannot be understood.
pub async fn read(connection: &mut Connection) -> RedisResult<Option<Kept>> {
    let (version, json, by, at_ms): Fields = redis::cmd("HMGET")
        .arg(keys::SITE)
        .arg(&["version", "site", "by", "at_ms"])
        .query_async(connection)
        .await?;
    let (Some(version), Some(json)) = (version, json) else {
        return Ok(None);
    };
    match serde_json::from_slice(&json) {
        Ok(site) => Ok(Some(Kept {
            version,
            by: by.unwrap_or_default(),
            at_ms: at_ms.unwrap_or(0),
            site,
        })),
        Err(error) => {
            tracing::warn!(key = keys::SITE, version, %error, "the site cannot be understood, ignored");
            Ok(None)
        }
    }
}

/// The site, read again when its version is another.
#[derive(Debug, Default)]
pub struct SiteReader {
    version: Option<u64>,
    site: Site,
}

impl SiteReader {
    /// The site as it was when it was last read.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Looks whether there is another version; whether there was.
    pub async fn refresh(&mut self, connection: &mut Connection) -> RedisResult<bool> {
        let version: Option<u64> = redis::cmd("HGET")
            .arg(keys::SITE)
            .arg("version")
            .query_async(connection)
            .await?;
        if version == self.version {
            return Ok(false);
        }
        let kept = read(connection).await?;
        let site = kept.map(|kept| Site::new(&kept.site)).transpose();
        // It was checked before it was applied: this is another version's.
        self.site = site
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "the site cannot be understood, ignored");
                None
            })
            .unwrap_or_default();
        self.version = version;
        Ok(true)
    }
}
