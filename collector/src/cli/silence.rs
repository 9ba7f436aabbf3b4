//! `silence`: what people do not want to hear of for a while.

use std::time::Duration;

use clap::{Args, Subcommand};
use rackwatch_core::alert::AlertKind;
use rackwatch_core::incident::silence::{Matcher, Silence};
use rackwatch_core::keys;

use super::table::Table;
use super::{Common, Failure, Outcome, print, server, usage, who};
use crate::incidents::operator_actions;
use crate::notify::line::length;

/// Say what people are not to be told of for a while; it is recorded all the same
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    rackwatch-collector silence add --maintenance B07 --for 2h --reason 'kernel updates'\n  \
    rackwatch-collector silence add --device 'inlet-B07-*' --type high_temp --for 30m\n  \
    rackwatch-collector silence list")]
pub struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SilenceCommand {
    Add(AddArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Begin a silence
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence add --maintenance B07 --for 2h")]
struct AddArgs {
    #[command(flatten)]
    common: Common,
    /// All that happens in this rack, and to agents whose devices are all in it
    #[arg(long, value_name = "RACK", conflicts_with_all = ["rack", "device", "row", "room"])]
    maintenance: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Alerts of the rule with this name
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Alerts of this type, as `high_temp`
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<AlertKind>,
    /// How long
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    length: Duration,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who says so [default: the user of this computer]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What is meant; maintenance windows take the same.
#[derive(Clone, Debug, Args)]
pub(super) struct Which {
    /// Devices with an id that matches this glob; an agent is `agent:<name>`
    #[arg(long, value_name = "GLOB")]
    device: Option<String>,
    /// Racks that match this glob
    #[arg(long, value_name = "GLOB")]
    rack: Option<String>,
    /// Rows that match this glob
    #[arg(long, value_name = "GLOB")]
    row: Option<String>,
    /// Rooms that match this glob
    #[arg(long, value_name = "GLOB")]
    room: Option<String>,
}

impl Which {
    /// As it is stored.
    pub(super) fn matcher(self) -> Matcher {
        let Self {
            device,
            rack,
            row,
            room,
        } = self;
        Matcher {
            device,
            rack,
            row,
            room,
            ..Matcher::default()
        }
    }
}

/// List the silences that last
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// End silences; what fires is told then
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector silence remove 3fa2c1")]
struct RemoveArgs {
    #[command(flatten)]
    common: Common,
    /// Which, as `silence list` shows them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

pub(super) fn kind(text: &str) -> Result<AlertKind, String> {
    let names = || {
        let names = AlertKind::ALL.map(AlertKind::name);
        format!("expected one of {}", names.join(", "))
    };
    AlertKind::from_name(text).ok_or_else(names)
}

/// Does what was asked.
pub async fn run(args: SilenceArgs) -> Outcome {
    match args.command {
        SilenceCommand::Add(args) => add(args).await,
        SilenceCommand::List(args) => list(args).await,
        SilenceCommand::Remove(args) => remove(args).await,
    }
}

async fn add(args: AddArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let reason = match &args.maintenance {
        Some(_) if args.reason.is_empty() => "maintenance".to_owned(),
        _ => args.reason,
    };
    let mut matcher = Matcher {
        rule: args.rule,
        kind: args.kind,
        ..args.which.matcher()
    };
    if let Some(rack) = &args.maintenance {
        matcher.rack = Some(globset::escape(rack));
    }
    matcher
        .compile()
        .map_err(|why| usage(anyhow::anyhow!("no silence: {why}")))?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let silence = Silence {
        id: operator_actions::new_id(),
        matcher,
        from: now,
        until: now.plus(args.length),
        reason,
        by: args.by.unwrap_or_else(who),
    };
    operator_actions::add_silence(&mut connection, &silence, now).await?;
    print(&format!(
        "silence {} lasts {}: {}\n",
        silence.id,
        length(args.length),
        words(&silence.matcher)
    ));
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let now = server::now(&mut connection).await?;
    let lasting = operator_actions::silences(&mut connection, now).await?;
    if args.json {
        print(&(serde_json::to_string_pretty(&lasting)? + "\n"));
        return Ok(());
    }
    if lasting.is_empty() {
        print("nothing is silenced\n");
        return Ok(());
    }
    let mut table = Table::new(&["id", "what", "ends in", "by", "reason"], 5);
    for silence in lasting {
        table.push(vec![
            silence.id,
            words(&silence.matcher),
            length(silence.until.since(now)),
            silence.by,
            silence.reason,
        ]);
    }
    print(&table.text());
    Ok(())
}

async fn remove(args: RemoveArgs) -> Outcome {
    let said = |id: &str| format!("silence {id} has ended\n");
    let list = "rackwatch-collector silence list";
    remove_all(&args.common, &args.ids, keys::SILENCES, said, list).await
}

/// Removes each of these from a hash, and says so; `list` shows what there is.
pub(super) async fn remove_all(
    common: &Common,
    ids: &[String],
    key: &str,
    said: fn(&str) -> String,
    list: &str,
) -> Outcome {
    let config = common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut unknown = Vec::new();
    for id in ids {
        if operator_actions::remove(&mut connection, key, id).await? {
            print(&said(id));
        } else {
            unknown.push(id.as_str());
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = unknown.join(", ");
    Err(Failure::Failed(anyhow::anyhow!(
        "not known: {unknown}; `{list}` shows what is"
    )))
}

/// What a matcher is for.
pub(super) fn words(matcher: &Matcher) -> String {
    let Matcher {
        device,
        rack,
        row,
        room,
        rule,
        kind,
    } = matcher;
    let named = [
        ("type", kind.map(|kind| kind.name().to_owned())),
        ("rule", rule.clone()),
        ("device", device.clone()),
        ("rack", rack.clone()),
        ("row", row.clone()),
        ("room", room.clone()),
    ];
    let words = named
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    words.collect::<Vec<_>>().join(", ")
}
