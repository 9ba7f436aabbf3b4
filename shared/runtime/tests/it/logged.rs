//! Log lines kept for a test.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Dispatch;

/// The lines logged under [`Logged::subscriber`].
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Keeps what is logged while it is in force, from INFO up.
    pub(crate) fn subscriber(&self) -> Dispatch {
        let writer = self.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false);
        Dispatch::new(builder.with_writer(move || writer.clone()).finish())
    }

    /// Returns the lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Returns whether a line contains `text`.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
