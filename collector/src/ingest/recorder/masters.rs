//! The masters of a cluster, recognised by their data.

use rackwatch_core::keys::SeriesKeys;
use rackwatch_runtime::redis::{Connection, replication_id};

/// The masters that were last seen. On a cluster, series are on other masters than the stream: a
/// new master may lack readings that the stream has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Masters {
    /// Replication id of each master; none before the first look.
    ids: Option<Vec<String>>,
    changed: bool,
}

impl Masters {
    /// Compares the masters of `connection` with those seen before.
    pub(super) async fn update(&mut self, connection: &Connection) {
        if connection.series_keys() == SeriesKeys::Plain {
            return;
        }
        let mut ids = Vec::new();
        for mut master in connection.masters() {
            match replication_id(&mut master).await {
                Ok(Some(id)) => ids.push(id),
                // An access list forbids INFO.
                Ok(None) => {}
                // If anything on that master is needed, a command fails, and the next connection
                // compares again.
                Err(_) => return,
            }
        }
        if self.ids.as_ref() != Some(&ids) {
            self.changed = true;
            self.ids = Some(ids);
        }
    }

    /// Returns whether a master was new, once.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}
