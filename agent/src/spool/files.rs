//! The folder that a spool keeps its files in. A trait, so that tests can use a disk that is full,
//! read-only, or loses what was not synced.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::SpoolError;

/// A flat folder of files.
pub trait Files: Send + Debug {
    /// Lists the names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Reads a whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Appends to a file, and creates it if it is absent. After an error any part of `bytes` may
    /// have been written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes appended bytes survive a loss of power.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Replaces a file, whole or not at all.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name.
    fn rename(&mut self, name: &str, new: &str) -> io::Result<()>;

    /// Returns the file as a person finds it.
    fn path_of(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Removes a file for good.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of this host, locked against a second agent until dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that were appended to.
    open: BTreeMap<String, File>,
    _lock: File,
}

/// Name of the lock file.
const LOCK: &str = "lock";

impl Folder {
    /// Opens the folder at `path`, and creates it if it is absent.
    ///
    /// # Errors
    ///
    /// When it cannot be created, or another agent holds its lock.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let file = path.join(LOCK);
        let failed = |operation| SpoolError::disk(operation, file.display().to_string());
        fs::create_dir_all(path).map_err(SpoolError::disk("create", path.display().to_string()))?;
        let lock = File::create(&file).map_err(failed("create"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError::InUse,
            TryLockError::Error(source) => failed("lock")(source),
        })?;
        Ok(Self {
            path: path.to_owned(),
            open: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// Makes created and removed files survive a loss of power.
    fn sync_folder(&self) -> io::Result<()> {
        // Only Unix can open a folder; elsewhere the file system takes care of it.
        if cfg!(unix) {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.open.contains_key(name) {
            let path = self.path.join(name);
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            self.sync_folder()?;
            self.open.insert(name.to_owned(), file);
        }
        match self.open.get_mut(name) {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        match self.open.get(name) {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (new, path) = (self.path.join(format!("{name}.new")), self.path.join(name));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(new, path)?;
        self.sync_folder()
    }

    fn rename(&mut self, name: &str, new: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::rename(self.path.join(name), self.path.join(new))?;
        self.sync_folder()
    }

    fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.path.join(name))?;
        self.sync_folder()
    }
}
