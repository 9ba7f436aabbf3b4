//! `alerts`: listing and following alerts, and ending one by hand.
//!
//! The listing reads the streams in pages by entry id. Following continues where the listing ended, so it neither
//! misses nor repeats an alert. Neither touches a consumer group.

mod merged;

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use globset::{Glob, GlobMatcher};
use rackwatch_core::alert::{AlertRecord, Severity};
use rackwatch_core::keys::PartitionKeys;
use rackwatch_core::time::StreamId;
use rackwatch_core::wire::alert;
use rackwatch_runtime::redis::{
    Connection, Connector, Partitioning, Purpose, RawEntry, RequestError, Session,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::merged::Merged;
use super::common::{Common, Outcome, until_stopped};
use super::output::{remark, start_logging, style};
use super::resolve::{self, ResolveArgs};
use super::server;
use super::unattended::remark_if_unattended;
use crate::notify::line::{self, Style, line};

/// Poll interval for new alerts with `--follow`: short enough to feel live, long enough to cost Redis nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// List recent alerts, follow new ones, or resolve one by hand
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  rackwatch-collector alerts --since 2h --severity warning --follow\n  \
        rackwatch-collector alerts resolve a1b2c3 --note 'sensor was removed'"
)]
pub(super) struct AlertsArgs {
    #[command(flatten)]
    common: Common,
    /// Keep printing new alerts, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Show alerts of this last period
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    since: Duration,
    /// Show only devices whose id matches, such as 'inlet-B07-*'
    #[arg(long, value_name = "GLOB", value_parser = Glob::new)]
    device: Option<Glob>,
    /// Show only alerts of this severity or worse
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<MinSeverity>,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<AlertsCommand>,
}

#[derive(Clone, Debug, Subcommand)]
enum AlertsCommand {
    /// Resolve one alert by hand; a sensor that still crosses its limit alerts again
    #[command(
        after_help = "Example:\n  rackwatch-collector alerts resolve a1b2c3 --note 'sensor was removed'"
    )]
    Resolve(ResolveArgs),
}

/// Lowest severity to show.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum MinSeverity {
    Info,
    Warning,
    Critical,
}

impl From<MinSeverity> for Severity {
    fn from(min: MinSeverity) -> Self {
        match min {
            MinSeverity::Info => Self::Info,
            MinSeverity::Warning => Self::Warning,
            MinSeverity::Critical => Self::Critical,
        }
    }
}

/// Runs the chosen subcommand, or lists alerts and then follows new ones until `stop` if requested.
pub(super) async fn run(mut args: AlertsArgs, stop: CancellationToken) -> Outcome {
    if let Some(AlertsCommand::Resolve(args)) = args.command.take() {
        return until_stopped(resolve::alert(args), stop).await;
    }
    let config = args.common.load()?;
    start_logging(&config.log);
    let (connector, mut connection) = server::open(&config.redis).await?;
    let partitioning = Partitioning::read(&mut connection).await?;
    let streams = partitioning
        .partitions()
        .all()
        .map(|p| PartitionKeys::of(p).alerts);
    let from = server::now(&mut connection)
        .await?
        .minus(args.since)
        .millis();
    let before = StreamId {
        ms: from.saturating_sub(1),
        seq: u64::MAX,
    };
    let mut merged = Merged::new(streams, before);
    let mut printer = Printer::new(&args);
    until_stopped(
        list(&mut connection, &mut merged, &mut printer),
        stop.clone(),
    )
    .await?;
    // A reader that closed stdout, such as `head`, has left.
    if !printer.closed {
        remark_if_unattended(&mut connection).await?;
    }
    if args.follow {
        return follow(&connector, &mut merged, &mut printer, &stop).await;
    }
    printer.remark_if_none(args.since);
    Ok(())
}

/// Prints everything up to the current ends of the streams.
async fn list(connection: &mut Connection, merged: &mut Merged, printer: &mut Printer) -> Outcome {
    loop {
        let entries = merged.next(connection).await?;
        if entries.is_empty() || !printer.show(entries) {
            return Ok(());
        }
    }
}

/// Prints new alerts until `stop`, and reconnects whenever Redis goes away.
async fn follow(
    connector: &Connector,
    merged: &mut Merged,
    printer: &mut Printer,
    stop: &CancellationToken,
) -> Outcome {
    let mut session = Session::new(connector.clone(), Purpose::Commands, stop.clone());
    while !printer.closed {
        let Ok(mut connection) = session.connection().await else {
            return Ok(());
        };
        let listed = stop.run_until_cancelled(list(&mut connection, merged, printer));
        match listed.await {
            None => return Ok(()),
            Some(Ok(())) => {
                let rest = tokio::time::sleep(POLL_INTERVAL);
                if stop.run_until_cancelled(rest).await.is_none() {
                    return Ok(());
                }
            }
            Some(Err(failure)) => {
                let Some(error) = failure.redis() else {
                    return Err(failure);
                };
                match session.recover(error).await {
                    Ok(()) => {}
                    Err(RequestError::Stopped) => return Ok(()),
                    Err(RequestError::Refused(_)) => return Err(failure),
                }
            }
        }
    }
    Ok(())
}

/// Writer of matching records to stdout.
#[derive(Debug)]
struct Printer {
    device: Option<GlobMatcher>,
    min_severity: Severity,
    json: bool,
    style: Style,
    shown: usize,
    closed: bool,
}

impl Printer {
    fn new(args: &AlertsArgs) -> Self {
        Self {
            device: args.device.as_ref().map(Glob::compile_matcher),
            min_severity: args.severity.map_or(Severity::Info, Severity::from),
            json: args.json,
            style: style(),
            shown: 0,
            closed: false,
        }
    }

    /// Prints the matching entries. Returns false once stdout is closed.
    fn show(&mut self, entries: Vec<RawEntry>) -> bool {
        let mut text = String::new();
        for RawEntry {
            id: (ms, seq),
            fields,
        } in entries
        {
            match alert::decode(&fields.unwrap_or_default()) {
                Ok(record) if self.matches(&record) => {
                    self.shown += 1;
                    text.push_str(&self.format(&record));
                    text.push('\n');
                }
                Ok(_) => {}
                Err(reason) => {
                    warn!(entry = format!("{ms}-{seq}"), %reason, "skipping entry that is not an alert");
                }
            }
        }
        let mut out = io::stdout().lock();
        self.closed |= out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err();
        !self.closed
    }

    fn matches(&self, record: &AlertRecord) -> bool {
        let device = |glob: &GlobMatcher| glob.is_match(record.subject.as_str());
        record.severity >= self.min_severity && self.device.as_ref().is_none_or(device)
    }

    fn format(&self, record: &AlertRecord) -> String {
        if self.json {
            // Strings, numbers and plain enums only: this cannot fail.
            serde_json::to_string(record).unwrap_or_default()
        } else {
            line(record, &self.style)
        }
    }

    /// Remarks on an empty listing, on stderr because scripts count the lines of stdout.
    fn remark_if_none(&self, since: Duration) {
        if self.shown == 0 && !self.json {
            let since = line::format_duration(since);
            remark(&format!("No matching alerts in the last {since}"));
        }
    }
}
