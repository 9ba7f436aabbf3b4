//! The alert streams of all partitions, merged in the order of their entry ids.

use std::collections::VecDeque;

use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{self as reply, Connection, RawEntry};
use redis::Value;

use super::super::common::Failure;

/// Entries to read from one stream at once.
const PAGE: usize = 500;

/// Merged reader of several streams.
#[derive(Debug)]
pub(super) struct Merged(Vec<Tail>);

/// Unread rest of one stream.
#[derive(Debug)]
struct Tail {
    stream: String,
    /// Id of the last entry read into `page`.
    last: StreamId,
    page: VecDeque<RawEntry>,
    /// Whether the last read found no entry after `last`.
    ended: bool,
}

impl Merged {
    /// Starts after the entry id `after` in each of `streams`.
    pub(super) fn new(streams: impl IntoIterator<Item = String>, after: StreamId) -> Self {
        let tail = |stream| Tail {
            stream,
            last: after,
            page: VecDeque::new(),
            ended: false,
        };
        Self(streams.into_iter().map(tail).collect())
    }

    /// Returns the next entries in order, or none at the current ends of the streams. A later call returns the entries
    /// added since.
    pub(super) async fn next(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Vec<RawEntry>, Failure> {
        let mut merged = Vec::new();
        while merged.len() < PAGE {
            for tail in &mut self.0 {
                tail.fill(connection).await?;
            }
            let first = |tail: &&mut Tail| tail.page.front().map(|entry| entry.id);
            let next = self.0.iter_mut().filter(|tail| !tail.page.is_empty());
            match next
                .min_by_key(first)
                .and_then(|tail| tail.page.pop_front())
            {
                Some(entry) => merged.push(entry),
                None => break,
            }
        }
        if merged.is_empty() {
            for tail in &mut self.0 {
                tail.ended = false;
            }
        }
        Ok(merged)
    }
}

impl Tail {
    /// Reads the next page, if this one is used up and the stream has more.
    async fn fill(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        if self.ended || !self.page.is_empty() {
            return Ok(());
        }
        let page: Value = redis::cmd("XRANGE")
            .arg(&self.stream)
            .arg(self.last.next().to_string())
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(connection)
            .await?;
        self.page = reply::entries(page)?.into();
        match self.page.back() {
            Some(entry) => {
                let (ms, seq) = entry.id;
                self.last = StreamId { ms, seq };
            }
            None => self.ended = true,
        }
        Ok(())
    }
}
