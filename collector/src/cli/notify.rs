//! `notify`: tests of notifiers.

use clap::{Args, Subcommand};

use super::common::{Common, Failure, Outcome, operator_name, usage};
use super::output::print;
use crate::config::CollectorConfig;
use crate::incidents::operator_actions;
use crate::notify::{Message, Notifier, NotifierConfig, SendOutcome};

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
    let mut has_failed = false;
    for notifier in select(&config, &args.names)? {
        let (recipients, _) = notifier
            .build(config.web.public_url.as_deref())
            .map_err(usage)?;
        for mut recipient in recipients {
            let outcome = test(recipient.notifier.as_mut()).await;
            has_failed |= outcome.is_err();
            let outcome = outcome.unwrap_or_else(|reason| format!("failed: {reason}"));
            let name = match recipient.address {
                Some(address) => format!("{} to {address}", notifier.name()),
                None => notifier.name().to_owned(),
            };
            print(&format!("{name:<16} {outcome}\n"));
        }
    }
    if has_failed {
        Err(Failure::Reported)
    } else {
        Ok(())
    }
}

/// Sends a test message once. Returns the outcome, or the reason of the failure.
async fn test(notifier: &mut dyn Notifier) -> Result<String, String> {
    let message = Message::Test {
        text: &format!(
            "Rackwatch test by {}: notifications arrive here.",
            operator_name()
        ),
        key: &format!("test-{}", operator_actions::new_id()),
    };
    match notifier.send(&message).await {
        SendOutcome::Delivered { confirmed: true } => Ok("delivered and confirmed".to_owned()),
        SendOutcome::Delivered { confirmed: false } => Ok("delivered".to_owned()),
        SendOutcome::Retry { reason, .. } | SendOutcome::Rejected { reason } => Err(reason),
    }
}

/// Returns the notifiers with these names, or all if there are no names.
fn select<'c>(
    config: &'c CollectorConfig,
    names: &[String],
) -> Result<Vec<&'c NotifierConfig>, Failure> {
    if config.notify.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "no notifier is configured: add a [[notify]]"
        )));
    }
    let is_known = |name: &&String| config.notify.iter().any(|n| n.name() == *name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(usage(anyhow::anyhow!("no [[notify]] is named {unknown:?}")));
    }
    let selected =
        |n: &&NotifierConfig| names.is_empty() || names.iter().any(|name| name == n.name());
    Ok(config.notify.iter().filter(selected).collect())
}
