//! `maintenance`: windows in which people do not want to hear of something, once or again and again.

use std::time::Duration;

use clap::{Args, Subcommand};
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;

use super::silence::{Which, remove_all, words};
use super::table::Table;
use super::when::When;
use super::{Common, Outcome, print, server, usage, who};
use crate::incidents::operator_actions;
use crate::incidents::windows::{Window, WindowTimes};
use crate::notify::line::{self, length};

/// Plan when people are not to be told of something: maintenance that comes once, or again and again
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector maintenance add --rack 'B*' --cron '0 22 * * SUN' --zone Europe/Berlin --for 4h\n  \
    rackwatch-collector maintenance add --room hall-1 --from 2026-12-01T22:00 --for 4h --reason 'new cooler'\n  \
    rackwatch-collector maintenance list")]
pub struct MaintenanceArgs {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum MaintenanceCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Plan a window
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector maintenance add --rack B07 --cron '0 3 1 * *' --for 2h")]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    which: Which,
    /// It opens again and again: minute, hour, day of the month, month, day of the week
    #[arg(
        long,
        value_name = "CRON",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    cron: Option<String>,
    /// The time zone of that clock
    #[arg(long, value_name = "ZONE", default_value = "UTC", requires = "cron")]
    zone: String,
    /// It opens once, at this time: now, 2026-12-01T22:00, 2026-12-01T22:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// How long it stays open
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Duration,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "maintenance")]
    reason: String,
    /// Who says so [default: the user of this computer]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// List the windows that are planned
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector maintenance list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Take windows back
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector maintenance remove 3fa2c1")]
struct RemoveArgs {
    #[command(flatten)]
    common: Common,
    /// Which, as `maintenance list` shows them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Does what was asked.
pub async fn run(args: MaintenanceArgs) -> Outcome {
    match args.command {
        MaintenanceCommand::Add(args) => add(args).await,
        MaintenanceCommand::List(args) => list(args).await,
        MaintenanceCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let when = match (args.cron, args.from) {
        (Some(cron), _) => WindowTimes::Again {
            cron,
            length: args.length,
            zone: args.zone,
        },
        (None, from) => {
            let now = server::local_now();
            let from = from.map_or(now, |from| from.seen_from(now));
            WindowTimes::Once {
                from,
                until: from.plus(args.length),
            }
        }
    };
    let window = Window {
        id: operator_actions::new_id(),
        matcher: args.which.matcher(),
        when,
        reason: operator_actions::clean_text(&args.reason).map_err(usage)?,
        by: args.by.unwrap_or_else(who),
    };
    window
        .check()
        .map_err(|why| usage(anyhow::anyhow!("no window: {why}")))?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    operator_actions::add_window(&mut connection, &window, now).await?;
    print(&format!(
        "window {} is planned for {}: {}\n",
        window.id,
        words(&window.matcher),
        state(&window, now)
    ));
    Ok(())
}

/// Such as `opens 2026-11-29 22:00:00+01:00, for 4h`.
fn state(window: &Window, now: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let time = |at| line::time(at, &zone);
    if let Some((_, until)) = window.open(now) {
        return format!("open until {}", time(until));
    }
    let lasts = match &window.when {
        WindowTimes::Again { length, .. } => *length,
        WindowTimes::Once { from, until } => until.since(*from),
    };
    match window.next(now) {
        Some(next) => format!("opens {}, for {}", time(next), length(lasts)),
        None => "never opens".to_owned(),
    }
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let windows = operator_actions::windows(&mut connection, now).await?;
    if args.json {
        print(&(serde_json::to_string_pretty(&windows)? + "\n"));
        return Ok(());
    }
    if windows.is_empty() {
        print("no window is planned\n");
        return Ok(());
    }
    let mut table = Table::new(&["id", "what", "when", "now", "by", "reason"], 6);
    for window in windows {
        let when = match &window.when {
            WindowTimes::Again { cron, zone, .. } => format!("{cron} {zone}"),
            WindowTimes::Once { .. } => "once".to_owned(),
        };
        table.push(vec![
            window.id.clone(),
            words(&window.matcher),
            when,
            state(&window, now),
            window.by,
            window.reason,
        ]);
    }
    print(&table.text());
    Ok(())
}

async fn remove(args: RemoveArgs) -> Outcome {
    let said = |id: &str| format!("window {id} is taken back\n");
    let list = "rackwatch-collector maintenance list";
    remove_all(&args.common, &args.ids, keys::WINDOWS, said, list).await
}
