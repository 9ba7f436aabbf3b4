//! `notify`: tests of notifiers.

use clap::{Args, Subcommand};

use super::common::{Common, Failure, Outcome, operator_name, usage};
use super::output::print;
use crate::incidents::operator_actions;
use crate::notify::channel;
use crate::notify::outbox::{Message, Sent};

/// Test the configured notifiers
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector notify test ops")]
pub(super) struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum NotifyCommand {
    Test(TestArgs),
}

/// Send a test message once through each notifier, and print the result
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector notify test\n  rackwatch-collector notify test ops"
)]
struct TestArgs {
    #[command(flatten)]
    common: Common,
    /// Names of notifiers [default: all configured ones]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Sends the test messages.
pub(super) async fn run(args: NotifyArgs) -> Outcome {
    let NotifyCommand::Test(args) = args.command;
    let config = args.common.load()?;
    let known = |name: &String| config.notify.iter().any(|n| n.name.as_str() == name);
    if let Some(unknown) = args.names.iter().find(|name| !known(name)) {
        return Err(usage(anyhow::anyhow!(
            "no [[notify]] has the name {unknown:?}"
        )));
    }
    if config.notify.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "no notifiers: add a [[notify]] section to the configuration"
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
        let text = format!(
            "Rackwatch test by {}: notifications arrive here.",
            operator_name()
        );
        let key = format!("test-{}", operator_actions::new_id());
        let message = Message::Test {
            text: &text,
            key: &key,
        };
        let result = match channel.send(&message).await {
            Sent::Arrived { confirmed: true } => "delivered and confirmed".to_owned(),
            Sent::Arrived { confirmed: false } => "delivered".to_owned(),
            Sent::Later { why, .. } | Sent::Refused { why } => {
                failed = true;
                format!("failed: {why}")
            }
        };
        print(&format!("{name:<16} {result}\n"));
    }
    if failed {
        Err(Failure::Reported)
    } else {
        Ok(())
    }
}
