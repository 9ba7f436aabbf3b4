//! A built program run as a child: its output is kept in memory while it runs.

use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::KillOnDrop;
use crate::wait_until_sync;

/// A running program, killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    process: KillOnDrop,
    stdout: Output,
    stderr: Output,
}

impl Program {
    /// Starts the program at `path` with `args`; `env` is added to this process's environment.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        path: impl AsRef<Path>,
        args: &[A],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut process = KillOnDrop::spawn(
            Command::new(path)
                .args(args)
                .envs(env.iter().copied())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )?;
        let stdout = process.0.stdout.take().context("take stdout")?;
        let stderr = process.0.stderr.take().context("take stderr")?;
        Ok(Self {
            name: path.display().to_string(),
            process,
            stdout: Output::read(stdout),
            stderr: Output::read(stderr),
        })
    }

    /// Starts the program with outputs that take nothing, as those of a pipe whose reader has stopped.
    /// [`Program::read_outputs`] lets the reader go on.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn_unread<A: AsRef<OsStr>>(
        path: impl AsRef<Path>,
        args: &[A],
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let path = path.as_ref();
        let (stdout, stdout_writer) = full_pipe()?;
        let (stderr, stderr_writer) = full_pipe()?;
        let process = KillOnDrop::spawn(
            Command::new(path)
                .args(args)
                .envs(env.iter().copied())
                .stdin(Stdio::null())
                .stdout(stdout_writer)
                .stderr(stderr_writer),
        )?;
        Ok(Self {
            name: path.display().to_string(),
            process,
            stdout: Output::unread(stdout),
            stderr: Output::unread(stderr),
        })
    }

    /// Reads the outputs of a program that [`Program::spawn_unread`] started.
    pub fn read_outputs(&mut self) {
        self.stdout.begin();
        self.stderr.begin();
    }

    /// Returns its output on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns its output on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits until `text` is in stdout.
    ///
    /// # Errors
    ///
    /// Shows both outputs when the deadline passes first.
    pub fn wait_stdout_contains(&self, text: &str, deadline: Duration) -> Result<()> {
        let what = format!("{} writes {text:?} to stdout", self.name);
        wait_until_sync(deadline, &what, || {
            self.stdout().contains(text).then_some(())
        })
        .with_context(|| self.both())
    }

    /// Waits until `text` is in stderr.
    ///
    /// # Errors
    ///
    /// Shows both outputs when the deadline passes first.
    pub fn wait_stderr_contains(&self, text: &str, deadline: Duration) -> Result<()> {
        let what = format!("{} writes {text:?} to stderr", self.name);
        wait_until_sync(deadline, &what, || {
            self.stderr().contains(text).then_some(())
        })
        .with_context(|| self.both())
    }

    /// Sends SIGTERM, as systemd does to stop a service.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn term(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn interrupt(&self) -> Result<()> {
        self.signal("INT")
    }

    /// Stops it where it is, as a suspended machine would, until [`Program::resume`].
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Lets a paused program go on.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Waits until it has ended and all its output is here.
    ///
    /// # Errors
    ///
    /// Shows both outputs when the deadline passes first.
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        let process = &mut self.process.0;
        let ended = wait_until_sync(deadline, &what, || process.try_wait().transpose());
        let status = ended
            .with_context(|| self.both())?
            .context("ask for the exit status")?;
        self.stdout.finish();
        self.stderr.finish();
        Ok(status)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        self.process.signal(signal)
    }

    fn both(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }
}

/// One of a program's outputs, filled by a thread until the program closes it.
#[derive(Debug)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// The output while it is not read.
    unread: Option<PipeReader>,
}

/// Returns a pipe that takes no byte until it is read.
fn full_pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, mut writer) = pipe().context("make a pipe")?;
    let size = rustix::pipe::fcntl_getpipe_size(&writer).context("ask for the pipe's size")?;
    writer
        .write_all(&vec![b'\n'; size])
        .context("fill the pipe")?;
    Ok((reader, writer))
}

impl Output {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            // An unreadable pipe ends the output as a closed one does.
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                let mut bytes = into.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&chunk[..length]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
            unread: None,
        }
    }

    fn unread(from: PipeReader) -> Self {
        Self {
            bytes: Arc::default(),
            reader: None,
            unread: Some(from),
        }
    }

    fn begin(&mut self) {
        if let Some(from) = self.unread.take() {
            *self = Self::read(from);
        }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn output_is_captured_and_the_signal_arrives() {
        let script = "trap 'echo bye; exit 3' TERM; echo hello $NAME; echo oops >&2; \
                      while :; do read -t 1 x <> <(:); done";
        let mut program = Program::spawn("bash", &["-c", script], &[("NAME", "rack")]).unwrap();
        program.wait_stdout_contains("hello rack", SOON).unwrap();
        program.wait_stderr_contains("oops", SOON).unwrap();

        program.term().unwrap();

        assert_eq!(program.wait_exit(SOON).unwrap().code(), Some(3));
        assert!(program.stdout().ends_with("bye\n"), "{}", program.stdout());
    }

    #[test]
    fn a_missed_deadline_shows_the_output() {
        let program = Program::spawn("sh", &["-c", "echo something else"], &[]).unwrap();
        program.wait_stdout_contains("something", SOON).unwrap();
        let error = program
            .wait_stdout_contains("never", Duration::ZERO)
            .unwrap_err();
        assert!(format!("{error:?}").contains("something else"), "{error:?}");
    }
}
