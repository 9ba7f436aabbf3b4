//! `maintenance`: maintenance windows, once or on a schedule.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;

use super::common::{AuthorArgs, Common, Outcome, usage};
use super::matcher::{MatcherArgs, describe, remove_all};
use super::output::{json_text, print};
use super::server;
use super::table::Table;
use super::time_arg::TimeArg;
use crate::incidents::operator_actions::{self, clean_text};
use crate::incidents::windows::{Window, WindowTimes};
use crate::notify::line::{self, format_duration};

/// Plan maintenance windows without notifications, once or on a schedule
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector maintenance add --rack 'B*' --cron '0 22 * * SUN' --zone Europe/Berlin --for 4h\n  \
    rackwatch-collector maintenance add --room hall-1 --from 2026-12-01T22:00 --for 4h --reason 'new cooler'\n  \
    rackwatch-collector maintenance list")]
pub(super) struct MaintenanceArgs {
    #[command(subcommand)]
    command: MaintenanceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum MaintenanceCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Add a maintenance window
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  \
    rackwatch-collector maintenance add --rack B07 --cron '0 3 1 * *' --for 2h",
    group(ArgGroup::new("times").required(true).args(["cron", "from"])))]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    matcher: MatcherArgs,
    /// Open on this schedule: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "CRON")]
    cron: Option<String>,
    /// Time zone of the schedule
    #[arg(long, value_name = "ZONE", default_value = "UTC", requires = "cron")]
    zone: String,
    /// Open once, at this time: now, 2026-12-01T22:00, 2026-12-01T22:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<TimeArg>,
    /// Duration of the window, such as 4h
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Duration,
    /// Reason for other people
    #[arg(long, value_name = "TEXT", default_value = "maintenance", value_parser = clean_text)]
    reason: String,
    #[command(flatten)]
    author: AuthorArgs,
}

/// List maintenance windows and their state
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector maintenance list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Remove maintenance windows by id
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector maintenance remove 3fa2c1")]
struct RemoveArgs {
    #[command(flatten)]
    common: Common,
    /// Ids of windows, as printed by `maintenance list`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Runs the chosen subcommand.
pub(super) async fn run(args: MaintenanceArgs) -> Outcome {
    match args.command {
        MaintenanceCommand::Add(args) => add(args).await,
        MaintenanceCommand::List(args) => list(args).await,
        MaintenanceCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    // Collectors open windows by Redis' time.
    let now = server::now(&mut connection).await?;
    let when = match (args.cron, args.from) {
        (Some(cron), _) => WindowTimes::Scheduled {
            cron,
            length: args.length,
            zone: args.zone,
        },
        (None, from) => {
            let from = from.map_or(now, |from| from.resolve(now));
            WindowTimes::Once {
                from,
                until: from.plus(args.length),
            }
        }
    };
    let window = Window {
        id: operator_actions::new_id(),
        matcher: args.matcher.into(),
        when,
        reason: args.reason,
        by: args.author.name(),
    };
    window
        .check(now)
        .map_err(|error| usage(anyhow::anyhow!("invalid maintenance window: {error}")))?;
    operator_actions::add_window(&mut connection, &window, now).await?;
    print(&format!(
        "Maintenance of {} {} ({})\n",
        describe(&window.matcher),
        state(&window, now),
        window.id
    ));
    Ok(())
}

/// Returns the state, such as `opens 2026-11-29 22:00:00+01:00 for 4h`.
fn state(window: &Window, now: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    let time = |at| line::time(at, &zone);
    if let Some((_, until)) = window.open(now) {
        return format!("open until {}", time(until));
    }
    let lasts = match &window.when {
        WindowTimes::Scheduled { length, .. } => *length,
        WindowTimes::Once { from, until } => until.since(*from),
    };
    match window.next(now) {
        Some(next) => format!("opens {} for {}", time(next), format_duration(lasts)),
        None => "never opens".to_owned(),
    }
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let windows = operator_actions::windows(&mut connection, now).await?;
    if args.json {
        print(&json_text(&windows)?);
        return Ok(());
    }
    if windows.is_empty() {
        print("No maintenance windows\n");
        return Ok(());
    }
    let mut table = Table::new(&["id", "matches", "schedule", "state", "by", "reason"], 6);
    for window in windows {
        let schedule = match &window.when {
            WindowTimes::Scheduled { cron, zone, .. } => format!("{cron} {zone}"),
            WindowTimes::Once { .. } => "once".to_owned(),
        };
        table.push(vec![
            window.id.clone(),
            describe(&window.matcher),
            schedule,
            state(&window, now),
            window.by,
            window.reason,
        ]);
    }
    print(&table.text());
    Ok(())
}

async fn remove(args: RemoveArgs) -> Outcome {
    let (key, done, list) = (
        keys::WINDOWS,
        "Removed maintenance window",
        "maintenance list",
    );
    remove_all(&args.common, &args.ids, key, done, list).await
}
