//! `ack`: acknowledging an incident.

use clap::Args;
use rackwatch_core::incident::Ack;

use super::common::{AuthorArgs, Common, Outcome, usage};
use super::output::print;
use super::server;
use crate::incidents::operator_actions::{self, ActionError, clean_text};

/// Acknowledge an incident: no notifications until it gets worse
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector ack a1b2c3 --note 'on my way'")]
pub(super) struct AckArgs {
    #[command(flatten)]
    common: Common,
    /// Id of the incident or of one of its alerts, or the first characters of an id
    #[arg(value_name = "ID")]
    id: String,
    /// Note for other people
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = clean_text)]
    note: String,
    #[command(flatten)]
    author: AuthorArgs,
}

/// Acknowledges the incident with the given id.
pub(super) async fn run(args: AckArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let ack = Ack {
        by: args.author.name(),
        at: server::now(&mut connection).await?,
        note: args.note,
    };
    let incident = match operator_actions::acknowledge(&mut connection, &args.id, &ack).await {
        Err(short @ ActionError::ShortPrefix(_)) => return Err(usage(short)),
        acknowledged => acknowledged?,
    };
    print(&format!(
        "Incident {incident} acknowledged by {}: no notifications until it gets worse\n",
        ack.by
    ));
    Ok(())
}
