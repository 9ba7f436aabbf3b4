//! Running `ipmitool`: bounded in time and output, with the password in its environment.
//!
//! Each command runs in its own process group. The whole group is killed when the command times out
//! or its future is dropped, so processes that hang do not pile up.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Largest output of one command in bytes; the rest is discarded. A thousand sensors print 100 kB.
const MAX_OUTPUT: u64 = 1 << 20;
/// Largest error output in bytes: the first lines name the cause.
const MAX_ERRORS: u64 = 4 << 10;

/// The program, and the arguments that lead to one BMC.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) program: OsString,
    /// Arguments before each command.
    pub(super) arguments: Vec<String>,
    /// Password, which `-E` reads from the environment.
    pub(super) password: Option<Secret>,
    /// Time after which a command is killed.
    pub(super) timeout: Duration,
}

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// The program is not installed.
    #[error("cannot run {program}: install ipmitool (`apt install ipmitool`)")]
    Missing { program: String },
    /// The program could not be started.
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// The command took too long.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The program reported an error.
    #[error("{0}")]
    Refused(String),
}

/// A guard that kills a process group when dropped, unless the child has ended.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The group may have ended by itself.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Tool {
    /// Runs a command, and returns its output.
    ///
    /// # Errors
    ///
    /// When the program cannot be run, fails or takes too long; the error names the remedy.
    pub(super) async fn run(&self, command: &[&str]) -> Result<String, ToolError> {
        let program = self.program.to_string_lossy().into_owned();
        let mut tool = Command::new(&self.program);
        tool.args(&self.arguments)
            .args(command)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(password) = &self.password {
            tool.env("IPMI_PASSWORD", password.expose());
        }
        let child = tool.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ToolError::Missing {
                program: program.clone(),
            },
            _ => ToolError::Run {
                program: program.clone(),
                source,
            },
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = ProcessGroup(id.and_then(Pid::from_raw));
        let ended = timeout(self.timeout, finish(child)).await;
        let (status, output, errors) = match ended {
            Err(_) => return Err(ToolError::Timeout(self.timeout)),
            Ok(Err(source)) => return Err(ToolError::Run { program, source }),
            Ok(Ok(ended)) => ended,
        };
        group.0 = None;
        // Some boards cause an error and still answer.
        if status.success() || output.contains("degrees") {
            return Ok(output);
        }
        Err(ToolError::Refused(self.remedy(&errors)))
    }

    /// Returns the cause that the tool's errors name, and what to do.
    fn remedy(&self, errors: &str) -> String {
        let has = |words: &str| errors.contains(words);
        let after = |flag: &str| {
            let mut arguments = self.arguments.iter().skip_while(|word| *word != flag);
            arguments.nth(1).cloned().unwrap_or_default()
        };
        if has("invalid authentication algorithm") || has("no matching cipher suite") {
            return format!(
                "the BMC does not offer cipher suite {}: set cipher_suite = 3, or one that it offers",
                after("-C")
            );
        }
        if has("RAKP 2") || has("Unauthorized name") || has("invalid user name") {
            return "wrong user or password: check user and password_file".to_owned();
        }
        if has("privilege level") || has("insufficient privilege") {
            return format!(
                "the user may not log in with privilege {:?}: set a lower privilege",
                after("-L")
            );
        }
        if has("Unable to establish") {
            return "cannot open a session: wrong user or password (user, password_file), a privilege \
                    that the user lacks, or no BMC at this address"
                .to_owned();
        }
        if has("Could not open device") {
            return "this host has no IPMI device: load the module ipmi_devintf, or set \
                    sources.ipmi.enabled = false"
                .to_owned();
        }
        let first = errors.lines().find(|line| !line.trim().is_empty());
        first
            .unwrap_or("ipmitool failed without an error message")
            .trim()
            .to_owned()
    }
}

/// Waits for the child, and returns its status, output and errors. Both pipes are read meanwhile: a
/// full pipe would block the child.
async fn finish(mut child: Child) -> std::io::Result<(ExitStatus, String, String)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (output, errors, status) = tokio::join!(
        read(stdout, MAX_OUTPUT),
        read(stderr, MAX_ERRORS),
        child.wait()
    );
    Ok((status?, output, errors))
}

/// Reads a pipe to its end, and returns its first `most` bytes as text.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let mut some = (&mut from).take(most);
        // After an error the bytes before it still count.
        let _read = some.read_to_end(&mut bytes).await;
        // The rest is discarded, as a full pipe would block the child.
        let _rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
