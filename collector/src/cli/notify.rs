//! `notify`: whether people can be reached.

use clap::{Args, Subcommand};

use super::{Common, Failure, Outcome, print, usage, who};
use crate::incidents::operator_actions;
use crate::notify::channel;
use crate::notify::outbox::{Message, Sent};

/// Try whether those who are to be told can be reached
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector notify test ops")]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum NotifyCommand {
    Test(TestArgs),
}

/// Send a test message, once, and say what came of it
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector notify test\n  rackwatch-collector notify test ops"
)]
struct TestArgs {
    #[command(flatten)]
    common: Common,
    /// Only these notifiers [default: all that are configured]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Sends to each.
pub async fn run(args: NotifyArgs) -> Outcome {
    let NotifyCommand::Test(args) = args.command;
    let config = args.common.load().map_err(usage)?;
    let known = |name: &String| config.notify.iter().any(|n| n.name.as_str() == name);
    if let Some(unknown) = args.names.iter().find(|name| !known(name)) {
        return Err(usage(anyhow::anyhow!(
            "no [[notify]] is called {unknown:?}"
        )));
    }
    if config.notify.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "nobody is to be told: the configuration has no [[notify]]"
        )));
    }
    let mut failed = false;
    for notifier in &config.notify {
        let name = notifier.name.as_str();
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let (mut channel, _) =
            channel(notifier, config.web.public_url.as_deref()).map_err(usage)?;
        let text = format!("Rackwatch test by {}: people can be told this way.", who());
        let key = format!("test-{}", operator_actions::new_id());
        let message = Message::Test {
            text: &text,
            key: &key,
        };
        let said = match channel.send(&message).await {
            Sent::Arrived { confirmed: true } => "arrived, and was confirmed".to_owned(),
            Sent::Arrived { confirmed: false } => "arrived".to_owned(),
            Sent::Later { why, .. } | Sent::Refused { why } => {
                failed = true;
                format!("failed: {why}")
            }
        };
        print(&format!("{name:<16} {said}\n"));
    }
    if failed { Err(Failure::Wrong) } else { Ok(()) }
}
