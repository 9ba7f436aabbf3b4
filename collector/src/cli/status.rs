//! `status`: the health of the whole pipeline, with advice on every problem.

mod show;

use clap::Args;

use super::common::{Common, Failure, Outcome};
use super::output::{print, style};
use super::server;
use crate::health;

/// Show the health of Redis, collectors, streams and series
///
/// The exit code is 1 if something is wrong.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector status")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Gathers, evaluates and prints the health.
pub(super) async fn run(args: StatusArgs) -> Outcome {
    let config = args.common.load()?;
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
        Err(Failure::Reported)
    }
}
