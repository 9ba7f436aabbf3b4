//! The alert streams of all partitions, read as one in the order of their ids.

use std::collections::VecDeque;

use rackwatch_core::time::StreamId;
use rackwatch_runtime::redis::{self as reply, Connection, RawEntry};
use redis::Value;

use super::super::Failure;

/// Records of one page of one stream.
const PAGE: usize = 500;

/// Reads on from where it is.
#[derive(Debug)]
pub(super) struct Merged(Vec<Tail>);

/// What is left of one stream.
#[derive(Debug)]
struct Tail {
    stream: String,
    /// The last entry that was read into `page`.
    last: StreamId,
    page: VecDeque<RawEntry>,
    /// Nothing came after `last` when it was asked for.
    ended: bool,
}

impl Merged {
    /// Reads `streams` from the entries after `after` on.
    pub(super) fn new(streams: impl IntoIterator<Item = String>, after: StreamId) -> Self {
        let tail = |stream| Tail {
            stream,
            last: after,
            page: VecDeque::new(),
            ended: false,
        };
        Self(streams.into_iter().map(tail).collect())
    }

    /// The next entries in order; none when all that is there has been read. Asking again then
    /// gives what has come since.
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
