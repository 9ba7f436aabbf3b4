//! `ack`: somebody takes an incident on.

use std::collections::BTreeSet;

use clap::Args;
use rackwatch_core::incident::{Ack, Stored};
use rackwatch_core::keys::incidents;
use rackwatch_runtime::redis::Connection;
use redis::AsyncCommands as _;

use super::{Common, Failure, Outcome, print, server, usage, who};
use crate::scan::scan;

/// Take an incident on: nobody is reminded of it until it gets worse
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector ack a1b2c3 --note 'on my way'")]
pub struct AckArgs {
    #[command(flatten)]
    common: Common,
    /// The id of an incident, or of one of its alerts, or how it begins, as alert lines show it
    #[arg(value_name = "ID")]
    id: String,
    /// What others should know
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Who takes it on [default: the user of this computer]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// A shorter beginning may be anything.
const SHORTEST: usize = 4;

/// Finds it and says so.
pub async fn run(args: AckArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let id = args.id.trim().to_ascii_lowercase();
    if id.len() < SHORTEST {
        return Err(usage(anyhow::anyhow!(
            "{:?} is too short: give at least {SHORTEST} digits of the id",
            args.id
        )));
    }
    let (_, mut connection) = server::open(&config.redis).await?;
    let found = find(&mut connection, &id).await?;
    let incident = match found.iter().collect::<Vec<_>>().as_slice() {
        [one] => (*one).clone(),
        [] => {
            return Err(Failure::Failed(anyhow::anyhow!(
                "no open incident, and no alert of one, begins with {id}: \
                 `rackwatch-collector incidents` lists them"
            )));
        }
        some => {
            let some: Vec<_> = some.iter().map(|id| id.as_str()).collect();
            return Err(Failure::Failed(anyhow::anyhow!(
                "{id} may be any of {}: give more digits",
                some.join(", ")
            )));
        }
    };
    let ack = Ack {
        by: args.by.unwrap_or_else(who),
        at: server::now(&mut connection).await?,
        note: args.note,
    };
    let json = serde_json::to_string(&ack)?;
    let _new: u64 = connection.hset(incidents::ACKS, &incident, json).await?;
    print(&format!(
        "incident {incident} is taken on by {}: nobody is reminded of it until it gets worse\n",
        ack.by
    ));
    Ok(())
}

/// The open incidents whose id, or that of one of whose alerts, begins so.
async fn find(connection: &mut Connection, id: &str) -> redis::RedisResult<BTreeSet<String>> {
    let open = scan(connection, incidents::OPEN).await?;
    let mut found: BTreeSet<String> = open
        .keys()
        .filter(|known| known.starts_with(id))
        .cloned()
        .collect();
    for (alert, json) in scan(connection, incidents::MEMBERS).await? {
        if alert.starts_with(id)
            && let Ok(stored) = serde_json::from_slice::<Stored>(&json)
        {
            found.insert(stored.incident.as_str().to_owned());
        }
    }
    Ok(found)
}
