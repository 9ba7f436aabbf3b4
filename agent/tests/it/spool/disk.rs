//! A fake disk that loses unsynced bytes, is full or read-only, or has bad blocks.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rackwatch_agent::spool::files::Files;

/// A disk; clones share one state.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>, Arc<tokio::sync::Mutex<()>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    /// Bytes that it still accepts; `None` without a limit.
    room: Option<usize>,
    read_only: bool,
    unreadable: bool,
    /// Name of a file that cannot be read.
    bad_block: Option<String>,
    no_sync: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    synced: usize,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Cuts the power: unsynced bytes are lost.
    pub(super) fn power_loss(&self) {
        for file in self.state().files.values_mut() {
            file.content.truncate(file.synced);
        }
    }

    /// Makes writes hang until the guard is dropped.
    pub(super) async fn hang(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.1).lock_owned().await
    }

    pub(super) fn room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    pub(super) fn read_only(&self, is: bool) {
        self.state().read_only = is;
    }

    pub(super) fn unreadable(&self, is: bool) {
        self.state().unreadable = is;
    }

    pub(super) fn bad_block(&self, name: Option<&str>) {
        self.state().bad_block = name.map(str::to_owned);
    }

    pub(super) fn no_sync(&self, is: bool) {
        self.state().no_sync = is;
    }

    /// Returns the names and sizes of the segments.
    pub(super) fn segments(&self) -> Vec<(String, usize)> {
        let state = self.state();
        let segment = |(name, file): (&String, &File)| (name.clone(), file.content.len());
        let files = state
            .files
            .iter()
            .filter(|(name, _)| name.ends_with(".segment"));
        files.map(segment).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.segments().iter().map(|(_, size)| size).sum()
    }

    /// Adds a file, fully synced.
    pub(super) fn put(&self, name: &str, content: &[u8]) {
        let file = File {
            content: content.to_vec(),
            synced: content.len(),
        };
        self.state().files.insert(name.to_owned(), file);
    }

    /// Returns the content of a file.
    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        self.state().files[name].content.clone()
    }

    /// Returns a copy with one segment changed.
    pub(super) fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut files = self.state().files.clone();
        change(&mut files.get_mut(name).unwrap().content);
        let state = State {
            files,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)), Arc::default())
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        if state.unreadable || state.bad_block.as_deref() == Some(name) {
            return Err(io::Error::other("a bad block"));
        }
        let file = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.content.clone())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Only the spool's own thread waits here; in the test's thread the lock is free.
        let _written = loop {
            if let Ok(free) = self.1.try_lock() {
                break free;
            }
            std::thread::yield_now();
        };
        let mut state = self.state();
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let taken = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Some(room) = &mut state.room {
            *room -= taken;
        }
        let file = state.files.entry(name.to_owned()).or_default();
        // Like a real disk, it may write a part.
        file.content.extend_from_slice(&bytes[..taken]);
        if taken < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.no_sync {
            return Err(io::Error::other("a bad block"));
        }
        if let Some(file) = state.files.get_mut(name) {
            file.synced = file.content.len();
        }
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let file = File {
            content: bytes.to_vec(),
            synced: bytes.len(),
        };
        state.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn rename(&mut self, name: &str, new: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(new.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.state().files.remove(name);
        Ok(())
    }
}
