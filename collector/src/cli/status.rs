//! `status`: how the pipeline is doing, and what to do where it is not.

mod show;

use clap::Args;

use super::{Common, Failure, Outcome, print, server, style, usage};
use crate::health;

/// Show how everything is doing; the exit code is 1 where something is wrong
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector status")]
pub struct StatusArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, judges and shows.
pub async fn run(args: StatusArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (connector, mut connection) = server::open(&config.redis).await?;
    let facts = health::gather(&mut connection, &config, connector.endpoint()).await?;
    let verdict = health::evaluate(&facts);
    print(&if args.json {
        show::json(&facts, &verdict)?
    } else {
        show::text(&facts, &verdict, &style())
    });
    if verdict.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Wrong)
    }
}
