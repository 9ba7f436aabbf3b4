//! The types of notifiers: one file each, and the list that everything else follows.
//!
//! To add a type: write its file with a configuration struct that implements [`NotifierType`], then name the module
//! and the struct here. The keys that the configuration accepts, `notify test` and the tests of the documentation
//! and of the example iterate over this list.

pub(super) mod alertmanager;
mod email;

mod login;
mod pagerduty;
mod slack;
mod webhook;

use rackwatch_runtime::config::tagged::Kinds;
use serde::de::DeserializeOwned;

use super::error::SetupErrorKind;
use super::notifier::{NotifierContext, NotifierType, Recipient};

/// Declares [`NotifierKind`] with one variant for each notifier type.
macro_rules! notifier_types {
    ($($variant:ident($config:ty)),+ $(,)?) => {
        /// The keys of one `[[notify]]` that only its `type` has.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each configuration struct documents its type")]
        pub enum NotifierKind {
            $($variant($config)),+
        }

        impl NotifierKind {
            /// Returns all types with their keys, for entries whose shared keys are those of `C`.
            pub fn kinds<C: DeserializeOwned>() -> Kinds<C, Self> {
                Kinds::new("type")$(
                    .with(<$config>::TYPE, |_, config: $config| {
                        config.check()?;
                        Ok(Self::$variant(config))
                    })
                )+
            }

            /// Returns the addresses of the recipients, if there are several.
            pub(super) fn recipients(&self) -> Vec<String> {
                match self {
                    $(Self::$variant(config) => config.recipients()),+
                }
            }

            /// Sets up the notifier, once for each of its recipients.
            ///
            /// # Errors
            ///
            /// When a file cannot be read or a value is unusable.
            pub(super) fn build(
                &self,
                context: &NotifierContext<'_>,
            ) -> Result<Vec<Recipient>, SetupErrorKind> {
                match self {
                    $(Self::$variant(config) => config.build(context)),+
                }
            }
        }
    };
}

notifier_types! {
    Webhook(webhook::WebhookConfig),
    Slack(slack::SlackConfig),
    PagerDuty(pagerduty::PagerDutyConfig),
    Alertmanager(alertmanager::AlertmanagerConfig),
    Email(email::EmailConfig),
}
