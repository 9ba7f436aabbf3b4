//! Running `ipmitool`: bounded in time and output, with the password in its environment.
//!
//! It is run in a process group of its own, and all of the group is killed when the deadline has passed or
//! nobody waits any more: what hangs must not pile up.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// More output than this of one command is cut: a thousand sensors have 100 kB.
const MOST_OUTPUT: u64 = 1 << 20;
/// Enough of what it complains of.
const MOST_ERRORS: u64 = 4 << 10;

/// How a target is reached.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    /// What is run.
    pub(super) program: OsString,
    /// Before each command.
    pub(super) arguments: Vec<String>,
    /// What `-E` takes from the environment.
    pub(super) password: Option<Secret>,
    /// How long a command may take.
    pub(super) deadline: Duration,
}

/// Why a command gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It is not there.
    #[error("cannot run {program}: install ipmitool (`apt install ipmitool`)")]
    Missing { program: String },
    /// It could not be run.
    #[error("cannot run {program}")]
    Run {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// It took too long.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Late(Duration),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Kills the group when it goes out of scope before the child has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Tool {
    /// What it prints for a command.
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
        let mut group = Group(id.and_then(Pid::from_raw));
        let ended = timeout(self.deadline, finish(child)).await;
        let (status, said, complaints) = match ended {
            Err(_) => return Err(ToolError::Late(self.deadline)),
            Ok(Err(source)) => return Err(ToolError::Run { program, source }),
            Ok(Ok(ended)) => ended,
        };
        group.0 = None;
        // Some boards make it complain and still answer.
        if status.success() || said.contains("degrees") {
            return Ok(said);
        }
        Err(ToolError::Refused(self.remedy(&complaints)))
    }

    /// What it complains of, and what to do.
    fn remedy(&self, complaints: &str) -> String {
        let says = |words: &str| complaints.contains(words);
        let after = |flag: &str| {
            let mut arguments = self.arguments.iter().skip_while(|word| *word != flag);
            arguments.nth(1).cloned().unwrap_or_default()
        };
        if says("invalid authentication algorithm") || says("no matching cipher suite") {
            return format!(
                "the BMC does not offer cipher suite {}: set cipher_suite = 3, or what it offers",
                after("-C")
            );
        }
        if says("RAKP 2") || says("Unauthorized name") || says("invalid user name") {
            return "wrong user or password: see user and password_file".to_owned();
        }
        if says("privilege level") || says("insufficient privilege") {
            return format!(
                "the user may not log in with privilege {:?}: see privilege",
                after("-L")
            );
        }
        if says("Unable to establish") {
            return "no session: wrong user or password (user, password_file), a privilege that the user \
                    has not got, or nobody answers at this address"
                .to_owned();
        }
        if says("Could not open device") {
            return "there is no IPMI device on this host: load the module ipmi_devintf, or set \
                    sources.ipmi.enabled = false"
                .to_owned();
        }
        let first = complaints.lines().find(|line| !line.trim().is_empty());
        first
            .unwrap_or("it failed without a word")
            .trim()
            .to_owned()
    }
}

/// Its end, and what it said: both are read while it runs, or it would wait for a reader.
async fn finish(mut child: Child) -> std::io::Result<(ExitStatus, String, String)> {
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let (said, complaints, status) = tokio::join!(
        read(out, MOST_OUTPUT),
        read(errors, MOST_ERRORS),
        child.wait()
    );
    Ok((status?, said, complaints))
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        let mut some = (&mut from).take(most);
        // What was read before it broke counts.
        let _read = some.read_to_end(&mut bytes).await;
        // The rest is read and forgotten: a full pipe would make it wait.
        let _rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
