//! `silence`: muting of notifications for a limited time.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use rackwatch_core::alert::AlertKind;
use rackwatch_core::incident::silence::{Matcher, Silence, check_duration};
use rackwatch_core::keys;

use super::common::{AuthorArgs, Common, Outcome, usage};
use super::matcher::{MatcherArgs, describe, remove_all};
use super::output::{json_text, print};
use super::server;
use super::table::Table;
use super::time_arg::clock_time;
use crate::incidents::operator_actions::{self, clean_text};
use crate::notify::line::format_duration;

/// Mute notifications for a while; alerts and incidents are still recorded
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector silence add --maintenance B07 --for 2h --reason 'kernel updates'\n  \
    rackwatch-collector silence add --device 'inlet-B07-*' --type high_temp --for 30m\n  \
    rackwatch-collector silence list")]
pub(super) struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SilenceCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Silence matching alerts from now on
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence add --maintenance B07 --for 2h")]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    /// Match everything in this rack, and agents whose devices are all in it
    #[arg(long, value_name = "RACK", conflicts_with_all = ["rack", "device", "row", "room"])]
    maintenance: Option<String>,
    #[command(flatten)]
    matcher: MatcherArgs,
    /// Match alerts of the rule with this name
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Match alerts of this type, such as `high_temp`
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<AlertKind>,
    /// Duration of the silence, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Duration,
    /// Reason for other people
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = clean_text)]
    reason: String,
    #[command(flatten)]
    author: AuthorArgs,
}

/// List the active silences
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Remove silences; matching incidents that are still open are notified then
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence remove 3fa2c1")]
struct RemoveArgs {
    #[command(flatten)]
    common: Common,
    /// Ids of silences, as printed by `silence list`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

fn kind(text: &str) -> Result<AlertKind, String> {
    let names = || {
        let names = AlertKind::ALL.map(AlertKind::name);
        format!("expected one of {}", names.join(", "))
    };
    AlertKind::from_name(text).ok_or_else(names)
}

/// Runs the chosen subcommand.
pub(super) async fn run(args: SilenceArgs) -> Outcome {
    match args.command {
        SilenceCommand::Add(args) => add(args).await,
        SilenceCommand::List(args) => list(args).await,
        SilenceCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let config = args.common.load()?;
    let reason = match &args.maintenance {
        Some(_) if args.reason.is_empty() => "maintenance".to_owned(),
        _ => args.reason,
    };
    let mut matcher = Matcher {
        rule: args.rule,
        kind: args.kind,
        ..Matcher::from(args.matcher)
    };
    if let Some(rack) = &args.maintenance {
        matcher.rack = Some(globset::escape(rack));
    }
    let checked = check_duration(args.length).and_then(|()| matcher.compile().map(drop));
    checked.map_err(|error| usage(anyhow::anyhow!("invalid silence: {error}")))?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let silence = Silence {
        id: operator_actions::new_id(),
        matcher,
        from: now,
        until: now.plus(args.length),
        reason,
        by: args.author.name(),
    };
    operator_actions::add_silence(&mut connection, &silence, now).await?;
    print(&format!(
        "Silenced {} until {} ({})\n",
        describe(&silence.matcher),
        clock_time(silence.until, now, &TimeZone::system()),
        silence.id,
    ));
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let silences = operator_actions::silences(&mut connection, now).await?;
    if args.json {
        print(&json_text(&silences)?);
        return Ok(());
    }
    if silences.is_empty() {
        print("No active silences\n");
        return Ok(());
    }
    let mut table = Table::new(&["id", "matches", "ends in", "by", "reason"], 5);
    for silence in silences {
        table.push(vec![
            silence.id,
            describe(&silence.matcher),
            format_duration(silence.until.since(now)),
            silence.by,
            silence.reason,
        ]);
    }
    print(&table.text());
    Ok(())
}

async fn remove(args: RemoveArgs) -> Outcome {
    let (key, done, list) = (keys::SILENCES, "Removed silence", "silence list");
    remove_all(&args.common, &args.ids, key, done, list).await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: SilenceArgs,
    }

    #[test]
    fn reasons_are_cleaned_and_bounded() {
        let parse = |reason: &str| {
            let words = [
                "", "add", "--rack", "B07", "--for", "2h", "--reason", reason,
            ];
            Program::try_parse_from(words).map(|program| program.args.command)
        };
        let SilenceCommand::Add(args) = parse("new\u{1b}fan").unwrap() else {
            panic!("not parsed as add");
        };
        assert_eq!(args.reason, "new fan");
        parse(&"a".repeat(10_000)).unwrap_err();
    }
}
