//! A file: the console's lines, or a JSON object a record, put aside by size.
//!
//! `alerts.log` grows to the size given, then becomes `alerts.log.1`, the last `.1` becomes `.2`,
//! and so on. A full disk loses lines here, says so once, and stops nothing: the records are in
//! Redis.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rackwatch_core::alert::AlertRecord;

use super::Teller;
use super::line::{Style, line};

/// What a line of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As on the console.
    Lines,
    /// A JSON object.
    Json,
}

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write alerts to {path}: check that the folder is there and writable")]
pub struct FileError {
    path: String,
    source: io::Error,
}

/// A file of alerts.
#[derive(Debug)]
pub struct AlertFile {
    path: PathBuf,
    format: Format,
    style: Style,
    rotate_at: u64,
    keep: usize,
    file: File,
    size: u64,
    failing: bool,
}

impl AlertFile {
    /// Opens `path` to be written on at its end.
    pub fn open(
        path: &Path,
        format: Format,
        rotate_at: u64,
        keep: usize,
    ) -> Result<Self, FileError> {
        let wrong = |source| FileError {
            path: path.display().to_string(),
            source,
        };
        let file = append(path).map_err(wrong)?;
        let size = file.metadata().map_err(wrong)?.len();
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

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.size > 0 && self.size + text.len() as u64 > self.rotate_at {
            self.rotate()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.size += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            let (from, to) = (self.aside(number), self.aside(number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        if self.keep > 0 {
            fs::rename(&self.path, self.aside(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn aside(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// One line when writing begins to fail, one when it works again.
    fn note(&mut self, written: &io::Result<()>) {
        match written {
            Err(error) if !self.failing => {
                tracing::error!(path = %self.path.display(), %error, "alerts cannot be written to the file");
            }
            Ok(()) if self.failing => {
                tracing::info!(path = %self.path.display(), "alerts are written to the file again");
            }
            _ => {}
        }
        self.failing = written.is_err();
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Teller for AlertFile {
    fn tell(&mut self, record: &AlertRecord) {
        let mut text = match self.format {
            Format::Lines => line(record, &self.style),
            // Strings, numbers and plain enums only: this cannot fail.
            Format::Json => serde_json::to_string(record).unwrap_or_default(),
        };
        text.push('\n');
        let written = self.write(&text);
        self.note(&written);
    }

    fn flush(&mut self) {
        if !self.failing {
            let synced = self.file.sync_data();
            self.note(&synced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_aside_by_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.log");
        let mut file = AlertFile::open(&path, Format::Lines, 10, 2).unwrap();
        for text in ["one 1\n", "two 2\n", "three\n", "four4\n"] {
            file.write(text).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\n"));
        assert_eq!(read("alerts.log.1").as_deref(), Some("three\n"));
        assert_eq!(read("alerts.log.2").as_deref(), Some("two 2\n"));
        assert_eq!(read("alerts.log.3"), None);
        drop(file);
        let mut file = AlertFile::open(&path, Format::Lines, 20, 2).unwrap();
        file.write("five5\n").unwrap();
        assert_eq!(read("alerts.log").as_deref(), Some("four4\nfive5\n"));
    }
}
