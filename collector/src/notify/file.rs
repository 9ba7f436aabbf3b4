//! Alert files: the console's lines, or one JSON object per line, rotated by size.
//!
//! A full `alerts.log` becomes `alerts.log.1`, the former `.1` becomes `.2`, and so on. A file that cannot be rotated goes
//! on growing, and the next record tries to rotate it. Alerts that arrive while writes fail, such as on a full disk,
//! are missing from the file. Each failure is logged once; the records stay in Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rackwatch_core::alert::AlertRecord;

use super::alert_sink::{AlertSink, SinkError};
use super::line::{Style, line};

/// The format of a line in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The line that the console prints.
    Lines,
    /// The record as a JSON object.
    Json,
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
    /// The file and its size; none before the first write, and after a rotation.
    open: Option<(File, u64)>,
    /// Whether the last write failed.
    failing: bool,
    /// Whether the last rotation failed.
    is_rotation_failing: bool,
}

impl AlertFile {
    /// Creates a file at `path`, which is opened for appending later. It is rotated at `rotate_at` bytes, and `keep`
    /// rotated files are kept.
    pub fn new(path: &Path, format: FileFormat, rotate_at: u64, keep: usize) -> Self {
        Self {
            path: path.to_owned(),
            format,
            style: Style::plain(),
            rotate_at: rotate_at.max(1),
            keep,
            open: None,
            failing: false,
            is_rotation_failing: false,
        }
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let length = text.len() as u64;
        let size = self.opened()?.1;
        if size > 0 && size + length > self.rotate_at {
            let rotated = self.rotate();
            self.log_rotation(&rotated);
        }
        let (file, size) = self.opened()?;
        file.write_all(text.as_bytes())?;
        *size += length;
        Ok(())
    }

    /// Returns the open file and its size.
    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            let size = file.metadata()?.len();
            (file, size)
        };
        Ok(self.open.insert(open))
    }

    /// Renames the file and the rotated ones. It can be repeated after a failure in any step: files move only up to the
    /// first gap, so that none moves twice.
    fn rotate(&mut self) -> io::Result<()> {
        let gap = (1..self.keep).find(|number| !self.rotated_path(*number).exists());
        for number in (1..gap.unwrap_or(self.keep)).rev() {
            fs::rename(self.rotated_path(number), self.rotated_path(number + 1))?;
        }
        if self.keep > 0 {
            fs::rename(&self.path, self.rotated_path(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.open = None;
        Ok(())
    }

    fn log_rotation(&mut self, rotated: &io::Result<()>) {
        match rotated {
            Err(error) if !self.is_rotation_failing => {
                tracing::error!(path = %self.path.display(), %error, "cannot rotate the alert file, it grows");
            }
            Ok(()) if self.is_rotation_failing => {
                tracing::info!(path = %self.path.display(), "alert file is rotated again");
            }
            _ => {}
        }
        self.is_rotation_failing = rotated.is_err();
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

impl AlertSink for AlertFile {
    fn open(&mut self) -> Result<(), SinkError> {
        let path = self.path.display().to_string();
        let opened = self.opened().map(drop);
        opened.map_err(|source| SinkError::File { path, source })
    }

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
        let Some((file, _)) = self.open.as_ref().filter(|_| !self.failing) else {
            return;
        };
        let synced = match file.sync_data() {
            // A pipe has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        };
        self.log_change(&synced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_rotate_by_size_and_the_oldest_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.log");
        let mut file = AlertFile::new(&path, FileFormat::Lines, 10, 2);
        for text in ["one 1\n", "two 2\n", "three\n", "four4\n"] {
            file.append(text).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\n"));
        assert_eq!(read("alerts.log.1").as_deref(), Some("three\n"));
        assert_eq!(read("alerts.log.2").as_deref(), Some("two 2\n"));
        assert_eq!(read("alerts.log.3"), None);
        drop(file);
        let mut file = AlertFile::new(&path, FileFormat::Lines, 20, 2);
        file.append("five5\n").unwrap();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\nfive5\n"));
    }

    #[test]
    fn a_failed_rotation_loses_no_alert_and_no_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.log");
        let mut file = AlertFile::new(&path, FileFormat::Lines, 10, 4);
        for text in ["one 1\n", "two 2\n", "three\n"] {
            file.append(text).unwrap();
        }
        // A directory with content, which no file can replace.
        let obstacle = folder.path().join("alerts.log.3");
        fs::create_dir_all(obstacle.join("more")).unwrap();
        let blocked = folder.path().join("alerts.log.4");
        fs::create_dir_all(blocked.join("more")).unwrap();
        for text in ["four4\n", "five5\n"] {
            file.append(text).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("alerts.log").as_deref(), Some("three\nfour4\nfive5\n"));
        assert_eq!(read("alerts.log.1").as_deref(), Some("two 2\n"));
        assert_eq!(read("alerts.log.2").as_deref(), Some("one 1\n"));
        fs::remove_dir_all(&obstacle).unwrap();
        fs::remove_dir_all(&blocked).unwrap();
        file.append("six 6\n").unwrap();
        assert_eq!(read("alerts.log").as_deref(), Some("six 6\n"));
        assert_eq!(
            read("alerts.log.1").as_deref(),
            Some("three\nfour4\nfive5\n")
        );
        assert_eq!(read("alerts.log.3").as_deref(), Some("one 1\n"));
    }
}
