//! `alerts`: what was found, as people read it.
//!
//! The listing reads the streams in pages by entry id; following goes on from their ends, so that
//! nothing is missed or shown twice. No consumer group is touched.

mod merged;

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
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
use super::{Common, Outcome, server, start_logging, stoppable, style, usage};
use crate::notify::line::{self, Style, line};

/// How often to look for new alerts while following.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Show alerts, and perhaps go on showing new ones
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  rackwatch-collector alerts --since 2h --severity warning --follow"
)]
pub struct AlertsArgs {
    #[command(flatten)]
    common: Common,
    /// Go on with new alerts, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How far back to look
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    since: Duration,
    /// Only devices whose id matches, such as 'inlet-B07-*'
    #[arg(long, value_name = "GLOB", value_parser = Glob::new)]
    device: Option<Glob>,
    /// Only alerts as bad as this, or worse
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Least>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// The mildest severity that is shown.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Least {
    Info,
    Warning,
    Critical,
}

impl From<Least> for Severity {
    fn from(least: Least) -> Self {
        match least {
            Least::Info => Self::Info,
            Least::Warning => Self::Warning,
            Least::Critical => Self::Critical,
        }
    }
}

/// Lists, and follows until `stop` where asked to.
pub async fn run(args: AlertsArgs, stop: CancellationToken) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    start_logging(&config.log);
    let (connector, mut connection) = server::open(&config.redis).await?;
    let layout = Partitioning::read(&mut connection).await?;
    let streams = layout
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
    stoppable(
        list(&mut connection, &mut merged, &mut printer),
        stop.clone(),
    )
    .await?;
    if args.follow {
        return follow(&connector, &mut merged, &mut printer, &stop).await;
    }
    printer.say_if_none(args.since);
    Ok(())
}

/// Shows all that is there.
async fn list(connection: &mut Connection, merged: &mut Merged, printer: &mut Printer) -> Outcome {
    loop {
        let entries = merged.next(connection).await?;
        if entries.is_empty() || !printer.show(entries) {
            return Ok(());
        }
    }
}

/// Shows what comes until `stop`, however often Redis goes away meanwhile.
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
                let rest = tokio::time::sleep(ASK_EVERY);
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

/// Writes records to stdout, until that is closed.
#[derive(Debug)]
struct Printer {
    device: Option<GlobMatcher>,
    least: Severity,
    json: bool,
    style: Style,
    shown: usize,
    closed: bool,
}

impl Printer {
    fn new(args: &AlertsArgs) -> Self {
        Self {
            device: args.device.as_ref().map(Glob::compile_matcher),
            least: args.severity.map_or(Severity::Info, Severity::from),
            json: args.json,
            style: style(),
            shown: 0,
            closed: false,
        }
    }

    /// Shows those of the entries that are asked for; false once nobody reads.
    fn show(&mut self, entries: Vec<RawEntry>) -> bool {
        let mut text = String::new();
        for RawEntry {
            id: (ms, seq),
            fields,
        } in entries
        {
            match alert::decode(&fields.unwrap_or_default()) {
                Ok(record) if self.wants(&record) => {
                    self.shown += 1;
                    text.push_str(&self.written(&record));
                    text.push('\n');
                }
                Ok(_) => {}
                Err(reason) => {
                    warn!(entry = format!("{ms}-{seq}"), %reason, "an entry is not an alert");
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

    fn wants(&self, record: &AlertRecord) -> bool {
        let device = |glob: &GlobMatcher| glob.is_match(record.subject.as_str());
        record.severity >= self.least && self.device.as_ref().is_none_or(device)
    }

    fn written(&self, record: &AlertRecord) -> String {
        if self.json {
            // Strings, numbers and plain enums only: this cannot fail.
            serde_json::to_string(record).unwrap_or_default()
        } else {
            line(record, &self.style)
        }
    }

    /// For people a word instead of nothing; not on stdout, where lines are counted.
    fn say_if_none(&self, since: Duration) {
        if self.shown == 0 && !self.json {
            let since = line::length(since);
            let _told = writeln!(io::stderr(), "no such alerts in the last {since}");
        }
    }
}
