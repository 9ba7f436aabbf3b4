//! Alert files: the console's lines, or one JSON object per line, rotated by size.
//!
//! A full `alerts.log` becomes `alerts.log.1`, the former `.1` becomes `.2`, and so on. Alerts that arrive
//! while writes fail, such as on a full disk, are missing from the file. The failure is logged once; the
//! records stay in Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rackwatch_core::alert::AlertRecord;

use super::alert_sink::AlertSink;
use super::line::{Style, line};

/// The format of a line in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The line that the console prints.
    Lines,
    /// The record as a JSON object.
    Json,
}

/// A failure to open an alert file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write alerts to {path}: check that the directory exists and is writable")]
pub struct FileError {
    path: String,
    source: io::Error,
}

/// A file of alerts.
#[derive(Debug)]
pub struct AlertFile {
    path: PathBuf,
    format: FileFormat,
    style: Style,
    /// Size in bytes at which the file is rotated.
    rotate_at: u64,
    /// Number of rotated files that are kept.
    keep: usize,
    file: File,
    size: u64,
    /// Whether the last write failed.
    failing: bool,
}

impl AlertFile {
    /// Opens `path` for appending. The file is rotated at `rotate_at` bytes, and `keep` rotated files are kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing.
    pub fn open(
        path: &Path,
        format: FileFormat,
        rotate_at: u64,
        keep: usize,
    ) -> Result<Self, FileError> {
        let failed = |source| FileError {
            path: path.display().to_string(),
            source,
        };
        let file = open_for_append(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Self {
            path: path.to_owned(),
            format,
            style: Style::plain(),
            rotate_at: rotate_at.max(1),
            keep,
            file,
            size,
            failing: false,
        })
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if self.size > 0 && self.size + text.len() as u64 > self.rotate_at {
            self.rotate()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.size += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            let (from, to) = (self.rotated_path(number), self.rotated_path(number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        if self.keep > 0 {
            fs::rename(&self.path, self.rotated_path(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = open_for_append(&self.path)?;
        self.size = 0;
        Ok(())
    }

    /// Returns the path of a rotated file; number 1 is the newest.
    fn rotated_path(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Logs once when writing starts to fail, and once when it succeeds again.
    fn log_change(&mut self, written: &io::Result<()>) {
        match written {
            Err(error) if !self.failing => {
                tracing::error!(path = %self.path.display(), %error, "cannot write to the alert file");
            }
            Ok(()) if self.failing => {
                tracing::info!(path = %self.path.display(), "alert file recovered");
            }
            _ => {}
        }
        self.failing = written.is_err();
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl AlertSink for AlertFile {
    fn write(&mut self, record: &AlertRecord) {
        let mut text = match self.format {
            FileFormat::Lines => line(record, &self.style),
            // Strings, numbers and plain enums always serialize.
            FileFormat::Json => serde_json::to_string(record).unwrap_or_default(),
        };
        text.push('\n');
        let written = self.append(&text);
        self.log_change(&written);
    }

    fn flush(&mut self) {
        if !self.failing {
            let synced = self.file.sync_data();
            self.log_change(&synced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_rotate_by_size_and_the_oldest_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.log");
        let mut file = AlertFile::open(&path, FileFormat::Lines, 10, 2).unwrap();
        for text in ["one 1\n", "two 2\n", "three\n", "four4\n"] {
            file.append(text).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\n"));
        assert_eq!(read("alerts.log.1").as_deref(), Some("three\n"));
        assert_eq!(read("alerts.log.2").as_deref(), Some("two 2\n"));
        assert_eq!(read("alerts.log.3"), None);
        drop(file);
        let mut file = AlertFile::open(&path, FileFormat::Lines, 20, 2).unwrap();
        file.append("five5\n").unwrap();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\nfive5\n"));
    }
}
