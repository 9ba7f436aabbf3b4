//! Tries everything that Rackwatch needs of a Redis, for `check`.
//!
//! In: a connection. Out: one [`Step`] for each operation, with advice if it failed. Uses throwaway
//! keys under `rackwatch:check:`, which expire in a minute and are deleted at the end, and touches
//! nothing else. Without time series `check` still passes: series go to plain streams.

use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisError, RedisResult, Value, cmd};
use serde::Serialize;

use rackwatch_core::keys::CHECK_PREFIX;

use super::remedy::code;
use crate::backoff::random;

/// Life of the throwaway keys if they cannot be deleted, in seconds.
const EXPIRY: u64 = 60;

/// One operation that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Name in a word or two.
    pub name: &'static str,
    /// Outcome of the operation.
    #[serde(flatten)]
    pub result: StepResult,
    /// Duration of the operation.
    #[serde(rename = "took_us", serialize_with = "micros")]
    pub took: Duration,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum StepResult {
    /// The operation works as expected.
    Ok,
    /// The operation is missing, and optional.
    Skipped {
        /// Consequence of its absence.
        detail: String,
    },
    /// The operation returned an error.
    Failed {
        /// Text of the error.
        detail: String,
        /// Remedy for the operator.
        advice: &'static str,
    },
}

impl Step {
    /// Returns whether the operation failed.
    pub fn failed(&self) -> bool {
        matches!(self.result, StepResult::Failed { .. })
    }
}

fn micros<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}

/// Tries every operation in order, even after a failure.
pub async fn probe(connection: &mut impl ConnectionLike) -> Vec<Step> {
    let mut probe = Probe {
        connection,
        // In braces, so that one command can delete them on a cluster.
        prefix: format!("{CHECK_PREFIX}{{{:016x}}}", random()),
        steps: Vec::new(),
    };
    probe.step("PING", &[cmd("PING")]).await;
    probe.values().await;
    probe.streams().await;
    probe.series().await;
    probe.clean_up().await;
    probe.steps
}

struct Probe<'c, C> {
    connection: &'c mut C,
    prefix: String,
    steps: Vec<Step>,
}

impl<C: ConnectionLike> Probe<'_, C> {
    async fn values(&mut self) {
        let key = self.key("value");
        let set = cmd("SET").arg(&key).arg("1").arg("EX").arg(EXPIRY).take();
        self.step("SET", &[set]).await;
        self.step("GET", &[cmd("GET").arg(&key).take()]).await;
    }

    async fn streams(&mut self) {
        let key = self.key("stream");
        let mut add = cmd("XADD");
        add.arg(&key)
            .arg("MAXLEN")
            .arg("~")
            .arg(10)
            .arg("*")
            .arg("check")
            .arg(1);
        let expire = cmd("EXPIRE").arg(&key).arg(EXPIRY).take();
        self.step("stream", &[add, expire]).await;
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&key).arg("check").arg("0");
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP")
            .arg("check")
            .arg("check")
            .arg("COUNT")
            .arg(1);
        read.arg("STREAMS").arg(&key).arg(">");
        self.step("group", &[create, read]).await;
    }

    async fn series(&mut self) {
        let key = self.key("series");
        let create = cmd("TS.CREATE")
            .arg(&key)
            .arg("RETENTION")
            .arg(EXPIRY * 1_000)
            .take();
        let expire = cmd("EXPIRE").arg(&key).arg(EXPIRY).take();
        self.step("TS.CREATE", &[create, expire]).await;
        let add = cmd("TS.ADD").arg(&key).arg("*").arg("21.5").take();
        self.step("TS.ADD", &[add]).await;
        let range = cmd("TS.RANGE").arg(&key).arg("-").arg("+").take();
        self.step("TS.RANGE", &[range]).await;
    }

    async fn clean_up(&mut self) {
        let keys = ["value", "stream", "series"].map(|name| self.key(name));
        self.step("clean up", &[cmd("DEL").arg(&keys).take()]).await;
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    async fn step(&mut self, name: &'static str, commands: &[Cmd]) {
        let started = Instant::now();
        let mut answer = Ok(Value::Nil);
        for command in commands {
            answer = command.query_async(self.connection).await;
            if answer.is_err() {
                break;
            }
        }
        self.steps.push(Step {
            name,
            result: classify(name, answer),
            took: started.elapsed(),
        });
    }
}

fn classify(name: &'static str, answer: RedisResult<Value>) -> StepResult {
    match answer {
        Ok(_) => StepResult::Ok,
        Err(error) if name.starts_with("TS.") && is_unknown_command(&error) => {
            StepResult::Skipped {
                detail: "not available: series go to plain streams".to_owned(),
            }
        }
        Err(error) => StepResult::Failed {
            advice: advice(&error),
            detail: error.to_string(),
        },
    }
}

fn is_unknown_command(error: &RedisError) -> bool {
    error.to_string().to_lowercase().contains("unknown command")
}

fn advice(error: &RedisError) -> &'static str {
    match code(error).as_deref() {
        Some("NOPERM") => {
            "allow the user the command and the keys rackwatch:*, sensor:*, raw_sensor_data* and \
             anomaly_alerts* (ACL SETUSER)"
        }
        Some("NOAUTH" | "WRONGPASS") => "set redis.username and redis.password_file",
        Some("OOM") => "raise maxmemory in Redis, or remove data",
        Some("READONLY") => "this is a replica: set redis.url to its master",
        Some("MISCONF") => "Redis cannot save to its disk: see its log",
        Some("LOADING" | "BUSY") => "Redis is busy: try again in a while",
        Some("NOREPLICAS") => "Redis asks for more replicas than are there (min-replicas-to-write)",
        Some("ERR") if is_unknown_command(error) => {
            "this Redis is too old, or the command is renamed: version 6.2 or later is needed"
        }
        Some(_) => "see the error of Redis",
        None => "the connection broke: check the network, and that Redis still runs",
    }
}
