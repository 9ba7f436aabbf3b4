//! Matchers of silences and maintenance windows: their flags, their text, and the removal of both by id.

use clap::Args;
use rackwatch_core::incident::silence::Matcher;

use super::common::{Common, Failure, Outcome};
use super::output::print;
use super::server;
use crate::incidents::operator_actions;

/// Flags that select devices by where they are.
#[derive(Clone, Debug, Args)]
pub(super) struct MatcherArgs {
    /// Match device ids with this glob; an agent is `agent:<name>`
    #[arg(long, value_name = "GLOB")]
    device: Option<String>,
    /// Match racks with this glob
    #[arg(long, value_name = "GLOB")]
    rack: Option<String>,
    /// Match rows with this glob
    #[arg(long, value_name = "GLOB")]
    row: Option<String>,
    /// Match rooms with this glob
    #[arg(long, value_name = "GLOB")]
    room: Option<String>,
}

impl From<MatcherArgs> for Matcher {
    fn from(args: MatcherArgs) -> Self {
        let MatcherArgs {
            device,
            rack,
            row,
            room,
        } = args;
        Self {
            device,
            rack,
            row,
            room,
            ..Self::default()
        }
    }
}

/// Returns text such as `type high_temp, rack B07`.
pub(super) fn describe(matcher: &Matcher) -> String {
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
    let parts = named
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    parts.collect::<Vec<_>>().join(", ")
}

/// Removes each of `ids` from the hash `key` and prints `done` with the id. Unknown ids are an error, which names `list`
/// as the command that shows the known ones.
pub(super) async fn remove_all(
    common: &Common,
    ids: &[String],
    key: &str,
    done: &str,
    list: &str,
) -> Outcome {
    let config = common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut unknown = Vec::new();
    for id in ids {
        if operator_actions::remove(&mut connection, key, id).await? {
            print(&format!("{done} {id}\n"));
        } else {
            unknown.push(id.as_str());
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(anyhow::anyhow!(
        "no such id: {}; list ids with `rackwatch-collector {list}`",
        unknown.join(", ")
    )))
}
