//! `check`: tests the configuration and all that the collector needs from Redis.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use rackwatch_core::keys::{CHECK_PREFIX, PartitionKeys};
use rackwatch_runtime::backoff::random;
use rackwatch_runtime::config;
use rackwatch_runtime::error::chain;
use rackwatch_runtime::redis::probe::{Step, StepResult, probe};
use rackwatch_runtime::redis::{
    ConnectError, Connection, Connector, Partitioning, Purpose, server_time,
};
use redis::{Cmd, RedisError, RedisResult, Value};
use serde::Serialize;

use super::common::{Common, Failure, Outcome, usage};
use super::output::{json_text, print};
use super::server::{ServerInfo, size};
use crate::app;
use crate::config::CollectorConfig;
use crate::health::{self, SERIES_MEMORY_LIMIT};
use crate::series::{self, SeriesConfig, SeriesError};

/// Lifetime of test keys that cannot be deleted, in seconds.
const EXPIRY: &str = "60";
/// Smallest script that writes, as the commit scripts do.
const SCRIPT: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])";
/// Site size for the memory estimate.
const DEVICES: u64 = 1000;

/// Check the configuration and Redis: try every command the collector needs, on temporary keys
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector check --redis redis://10.0.0.5:6379")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Result of all checks.
#[derive(Debug, Serialize)]
struct Report {
    /// Path of the configuration file, or `built-in defaults`.
    config: String,
    /// Endpoint of Redis, without a password.
    redis: String,
    steps: Vec<Step>,
    memory: Option<Projection>,
}

/// Estimated memory of the series.
#[derive(Debug, Serialize)]
struct Projection {
    backend: &'static str,
    devices: u64,
    interval_ms: u64,
    bytes: u64,
    maxmemory: Option<u64>,
    warnings: Vec<String>,
    #[serde(skip)]
    limit: String,
}

/// Runs all checks and prints the report.
pub(super) async fn run(args: CheckArgs) -> Outcome {
    let config = args.common.load()?;
    app::verify(&config).map_err(usage)?;
    let from = source(args.common.config.as_deref());
    let connector = Connector::new(&config.redis).map_err(usage)?;
    let report = check(from, &config, &connector).await;
    print(&if args.json {
        json_text(&report)?
    } else {
        report.text()
    });
    if report.failed() {
        Err(Failure::Reported)
    } else {
        Ok(())
    }
}

/// Returns the path of the configuration file, or `built-in defaults`.
fn source(path: Option<&Path>) -> String {
    let from = config::load::<CollectorConfig>("collector", path)
        .ok()
        .and_then(|all| all.from);
    from.map_or("built-in defaults".to_owned(), |file| {
        file.display().to_string()
    })
}

async fn check(config: String, settings: &CollectorConfig, connector: &Connector) -> Report {
    let started = Instant::now();
    let opened = connector.open(Purpose::Commands).await;
    let (mut steps, mut memory) = (Vec::new(), None);
    let connect = |result| Step {
        name: "connect",
        result,
        took: started.elapsed(),
    };
    match opened {
        Ok(mut connection) => {
            steps.push(connect(StepResult::Ok));
            steps.extend(probe(&mut connection).await);
            steps.extend(commits(&mut connection).await);
            steps.push(keys(&mut connection, settings).await);
            steps.extend(series_keys(&mut connection, settings).await);
            match project(&mut connection, &settings.series).await {
                Ok(projection) => memory = Some(projection),
                Err(error) => steps.push(no_series(&error)),
            }
        }
        Err(error) => steps.push(connect(refused(&error))),
    }
    Report {
        config,
        redis: connector.endpoint(),
        steps,
        memory,
    }
}

/// Checks that the keys of ours hold what they should.
async fn keys(connection: &mut Connection, config: &CollectorConfig) -> Step {
    let started = Instant::now();
    let look = async {
        let notifiers = health::KnownNotifiers::read(connection, &config.notify).await?;
        let broken = health::broken_keys(connection, &notifiers.keys()).await?;
        if broken.is_empty() {
            health::without_effect(connection).await
        } else {
            Ok(broken)
        }
    };
    let result = match look.await {
        Ok(broken) if broken.is_empty() => StepResult::Ok,
        Ok(broken) => StepResult::Failed {
            detail: broken.join("; "),
            advice: "the collector cannot work with these keys or fields",
        },
        Err(error) => StepResult::Failed {
            detail: error.to_string(),
            advice: "allow the user TYPE, HGET, HMGET and HSCAN (ACL SETUSER)",
        },
    };
    Step {
        name: "keys",
        result,
        took: started.elapsed(),
    }
}

/// Checks that the series which refused readings lately are series. `None` if nothing can be said.
async fn series_keys(connection: &mut Connection, config: &CollectorConfig) -> Option<Step> {
    let started = Instant::now();
    let series = series::open(connection.clone(), &config.series)
        .await
        .ok()?;
    let partitioning = Partitioning::read(connection).await.ok()?;
    let now = server_time(connection).await.ok()?;
    let mut wrong = Vec::new();
    for keys in partitioning.partitions().all().map(PartitionKeys::of) {
        let found = health::wrong_series(connection, &keys, (series.name(), now)).await;
        wrong.extend(found.unwrap_or_default());
    }
    (!wrong.is_empty()).then(|| Step {
        name: "series keys",
        result: StepResult::Failed {
            detail: wrong.join("; "),
            advice: "what belongs there is not stored",
        },
        took: started.elapsed(),
    })
}

fn refused(error: &ConnectError) -> StepResult {
    StepResult::Failed {
        detail: chain(error),
        advice: "fix this, then run this check again",
    }
}

fn no_series(error: &SeriesError) -> Step {
    let result = StepResult::Failed {
        detail: error.to_string(),
        advice: "set series.backend to \"auto\", or fix the failed steps above",
    };
    Step {
        name: "series",
        result,
        took: Duration::ZERO,
    }
}

/// Tries the commands that only the collector needs: acknowledging entries, and scripts.
async fn commits(connection: &mut Connection) -> Vec<Step> {
    let prefix = format!("{CHECK_PREFIX}{{{:016x}}}", random());
    let (stream, value) = (format!("{prefix}:ack"), format!("{prefix}:script"));
    let acknowledge = [
        command(&["XGROUP", "CREATE", &stream, "check", "0", "MKSTREAM"]),
        command(&["EXPIRE", &stream, EXPIRY]),
        command(&["XADD", &stream, "1-1", "check", "1"]),
        command(&[
            "XREADGROUP",
            "GROUP",
            "check",
            "check",
            "STREAMS",
            &stream,
            ">",
        ]),
        command(&["XACK", &stream, "check", "1-1"]),
    ];
    let script = command(&["EVAL", SCRIPT, "1", &value, "1", EXPIRY]);
    let mut steps = vec![
        step("XACK", connection, &acknowledge).await,
        step("script", connection, &[script]).await,
    ];
    let clean_up = step(
        "clean up",
        connection,
        &[command(&["DEL", &stream, &value])],
    )
    .await;
    // The probe has its own clean-up step, so this one is only worth a line if it failed.
    steps.extend(clean_up.failed().then_some(clean_up));
    steps
}

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

async fn step(name: &'static str, connection: &mut Connection, commands: &[Cmd]) -> Step {
    let started = Instant::now();
    let result = match all(connection, commands).await {
        Ok(()) => StepResult::Ok,
        Err(error) => StepResult::Failed {
            advice: advice(&error),
            detail: error.to_string(),
        },
    };
    Step {
        name,
        result,
        took: started.elapsed(),
    }
}

async fn all(connection: &mut Connection, commands: &[Cmd]) -> RedisResult<()> {
    for command in commands {
        command.query_async::<Value>(connection).await?;
    }
    Ok(())
}

fn advice(error: &RedisError) -> &'static str {
    match error.code() {
        Some("NOPERM") => "allow the user XACK, EVAL and EVALSHA (ACL SETUSER)",
        Some("ERR") => "upgrade Redis, or enable the command if it is renamed or disabled",
        Some(_) => "look up this error in the Redis documentation",
        None => "connection lost: check the network, and that Redis is running",
    }
}

async fn project(
    connection: &mut Connection,
    config: &SeriesConfig,
) -> Result<Projection, SeriesError> {
    let interval = Duration::from_secs(1);
    let series = series::open(connection.clone(), config).await?;
    let bytes = series.project(DEVICES, interval);
    let health = ServerInfo::read(connection)
        .await
        .map_err(|source| SeriesError::Redis {
            what: "read the memory of Redis",
            source,
        })?;
    let much = health
        .fraction(bytes)
        .is_some_and(|share| share > SERIES_MEMORY_LIMIT);
    let too_large = "over 70 % of maxmemory: raise maxmemory, or shorten series.raw_retention";
    let warnings = much.then(|| too_large.to_owned()).into_iter();
    let warnings: Vec<_> = warnings.chain(health.eviction_warning()).collect();
    Ok(Projection {
        backend: series.name(),
        devices: DEVICES,
        interval_ms: 1000,
        bytes,
        maxmemory: health.maxmemory,
        warnings,
        limit: health.limit(),
    })
}

impl Projection {
    fn text(&self) -> String {
        let word = if self.warnings.is_empty() {
            "ok"
        } else {
            "warning"
        };
        let mut advice = String::new();
        for warning in &self.warnings {
            // Writing to a String cannot fail.
            let _ok = writeln!(advice, "{:<21} -> {warning}", "");
        }
        format!(
            "{:<10} {word:<10} {} devices at one reading per second need {} ({} series, {})\n\
             {advice}",
            "memory",
            self.devices,
            size(self.bytes),
            self.backend,
            self.limit
        )
    }
}

impl Report {
    fn failed(&self) -> bool {
        self.steps.iter().any(Step::failed)
    }

    fn text(&self) -> String {
        let mut text = format!("{:<10} ok         {}\n", "config", self.config);
        for step in &self.steps {
            text.push_str(&self.step(step));
        }
        text.extend(self.memory.as_ref().map(Projection::text));
        let verdict = if self.failed() {
            "some checks failed, see above"
        } else {
            "all checks passed"
        };
        text + verdict + "\n"
    }

    fn step(&self, step: &Step) -> String {
        let name = step.name;
        let took = format!("{:.1} ms", step.took.as_secs_f64() * 1000.0);
        match &step.result {
            StepResult::Ok if name == "connect" => {
                format!("{name:<10} ok         {}, {took}\n", self.redis)
            }
            StepResult::Ok => format!("{name:<10} ok         {took}\n"),
            StepResult::Skipped { detail } => format!("{name:<10} skipped    {detail}\n"),
            StepResult::Failed { detail, advice } => {
                format!("{name:<10} FAILED     {detail}\n{:<21} -> {advice}\n", "")
            }
        }
    }
}
