//! `ack`: acknowledges an incident.

use clap::Args;
use rackwatch_core::incident::Ack;

use super::{Common, Outcome, print, server, usage, who};
use crate::incidents::operator_actions::{self, ActionError};

/// Acknowledge an incident: no notifications until it gets worse
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
    /// Who acknowledges it [default: the user of this computer]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Finds it and says so.
pub async fn run(args: AckArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let ack = Ack {
        by: args.by.unwrap_or_else(who),
        at: server::now(&mut connection).await?,
        note: args.note,
    };
    let incident = match operator_actions::acknowledge(&mut connection, &args.id, &ack).await {
        Err(short @ ActionError::ShortPrefix(_)) => return Err(usage(short)),
        done => done?,
    };
    print(&format!(
        "incident {incident} acknowledged by {}: no notifications until it gets worse\n",
        ack.by
    ));
    Ok(())
}
