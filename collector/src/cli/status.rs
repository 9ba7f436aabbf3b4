//! `status`: the health of the whole pipeline, with advice on every problem.

mod show;

use clap::Args;
use rackwatch_core::alert::Severity;

use super::common::{Common, Failure, Outcome};
use super::output::{print, style};
use super::server;
use crate::health::{self, RoomState};

const EXIT_CODES: &str = "Exit codes:
  0  The pipeline is well, and nothing critical is open
  1  Something is wrong with the pipeline, whatever is open in the room
  2  Wrong usage or configuration
  3  The pipeline is well, and something critical is open in the room

Example:
  rackwatch-collector status";

/// Show the health of the pipeline, and what is open in the room
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
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
    let (pipeline, room) = (health::evaluate(&facts), health::room(&facts));
    let verdicts = (&pipeline, &room);
    print(&if args.json {
        show::json(&facts, verdicts)?
    } else {
        show::text(&facts, verdicts, &style())
    });
    if !pipeline.problems.is_empty() {
        Err(Failure::Reported)
    } else if room.state == RoomState::Open(Severity::Critical) {
        Err(Failure::CriticalOpen)
    } else {
        Ok(())
    }
}
