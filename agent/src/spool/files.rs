//! Where a spool keeps its files. A trait, so that tests can have a disk that is full, read-only, or
//! loses what was not synced.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A flat folder of files.
pub trait Files: Send + Debug {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// All of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Adds to the end of a file, which is made where there is none. After an error nobody knows how
    /// much was added.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// What was added survives a loss of power from here on.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Puts a file in the place of another of that name, whole or not at all.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of this host, locked against a second agent for as long as the value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that are being added to.
    open: BTreeMap<String, File>,
    _lock: File,
}

/// The file that is locked.
const LOCK: &str = "lock";

impl Folder {
    /// Opens the folder at `path`, which is made where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or another agent has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = File::create(path.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another agent uses it: give each its own spool.path",
            ),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            open: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// A file that was made or removed stays so after a loss of power.
    fn sync_folder(&self) -> io::Result<()> {
        // Only Unix lets a folder be opened; elsewhere the file system sees to it.
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

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.path.join(name))?;
        self.sync_folder()
    }
}
