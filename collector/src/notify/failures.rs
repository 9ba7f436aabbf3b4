//! The notifiers that fail now, as the outboxes of one leader see each other.
//!
//! A notifier fails from the first refused attempt until the next message arrives, while its progress in Redis is
//! damaged, and while it cannot be set up. After [`REPORT_AFTER`] the others report it. The start of a failure is part of the progress of the recipient,
//! or, in the last two cases, of what the leader [publishes](super::published), so it outlives the leader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rackwatch_core::time::Timestamp;

/// Time after which a failing notifier is reported: most restarts of receivers are over by then.
pub(crate) const REPORT_AFTER: Duration = Duration::from_mins(5);
/// Time after which the deliveries to a failing recipient count as failed. Attempts go on.
pub(crate) const FAILED_AFTER: Duration = Duration::from_hours(1);

/// One failure that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastingFailure {
    /// The time of the first failed attempt.
    pub(crate) since: Timestamp,
    /// The reason of the last failed attempt.
    pub(crate) reason: String,
}

/// The name of a notifier, and of one of its recipients if it has several.
pub(crate) type RecipientKey = (String, Option<String>);

/// The failures of all notifiers of one leader. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    /// All recipients.
    recipients: Vec<RecipientKey>,
    failing: BTreeMap<RecipientKey, LastingFailure>,
    /// The recipients whose progress is damaged, or whose notifier cannot be set up.
    blocked: BTreeMap<RecipientKey, LastingFailure>,
    /// The failures that the former leader published.
    before: BTreeMap<RecipientKey, LastingFailure>,
}

impl Failures {
    /// Returns the failures of these recipients, none so far. `before` are those that the former leader published.
    pub(crate) fn new(
        recipients: Vec<RecipientKey>,
        before: BTreeMap<RecipientKey, LastingFailure>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            recipients,
            before,
            ..Shared::default()
        })))
    }

    /// Notes that the progress of a recipient is damaged, or that its notifier cannot be set up. Returns the failure, which may have begun earlier.
    pub(crate) fn set_blocked(
        &self,
        recipient: &RecipientKey,
        now: Timestamp,
        reason: &str,
    ) -> LastingFailure {
        let mut shared = self.lock();
        let known = [&shared.blocked, &shared.failing, &shared.before];
        let since = known.iter().find_map(|all| all.get(recipient));
        let failure = LastingFailure {
            since: since.map_or(now, |failure| failure.since),
            reason: reason.to_owned(),
        };
        shared.blocked.insert(recipient.clone(), failure.clone());
        failure
    }

    /// Notes that a recipient can be sent to. Returns whether it was blocked.
    pub(crate) fn clear_blocked(&self, recipient: &RecipientKey) -> bool {
        let mut shared = self.lock();
        shared.before.remove(recipient);
        shared.blocked.remove(recipient).is_some()
    }

    /// Returns whether nothing can be sent to a recipient.
    pub(crate) fn is_blocked(&self, recipient: &RecipientKey) -> bool {
        self.lock().blocked.contains_key(recipient)
    }

    /// Sets or clears the failure of one recipient.
    pub(crate) fn set(&self, recipient: &RecipientKey, failure: Option<&LastingFailure>) {
        let mut shared = self.lock();
        shared.before.remove(recipient);
        let failing = &mut shared.failing;
        match failure {
            Some(failure) => drop(failing.insert(recipient.clone(), failure.clone())),
            None => drop(failing.remove(recipient)),
        }
    }

    /// Returns whether `notifier` is configured.
    pub(crate) fn knows(&self, notifier: &str) -> bool {
        let recipients = &self.lock().recipients;
        recipients.iter().any(|(name, _)| name == notifier)
    }

    /// Returns whether there is a notifier besides `notifier`.
    pub(crate) fn has_others(&self, notifier: &str) -> bool {
        let recipients = &self.lock().recipients;
        recipients.iter().any(|(name, _)| name != notifier)
    }

    /// Returns every recipient with its failure, if it fails.
    pub(crate) fn all(&self) -> Vec<(RecipientKey, Option<LastingFailure>)> {
        let shared = self.lock();
        let recipients = shared.recipients.iter();
        let of = |recipient: &RecipientKey| {
            let failure = shared.blocked.get(recipient);
            let failure = failure.or_else(|| shared.failing.get(recipient));
            (recipient.clone(), failure.cloned())
        };
        recipients.map(of).collect()
    }

    /// Returns the oldest failure of each notifier that fails. Where a notifier has several recipients, the reason names
    /// the one that fails.
    pub(crate) fn by_notifier(&self) -> BTreeMap<String, LastingFailure> {
        let mut all = BTreeMap::<String, LastingFailure>::new();
        let failing = self.all().into_iter();
        let failing = failing.filter_map(|(recipient, failure)| Some((recipient, failure?)));
        for ((notifier, recipient), mut failure) in failing {
            if let Some(recipient) = recipient {
                failure.reason = format!("{recipient}: {}", failure.reason);
            }
            let oldest = all
                .entry(notifier.clone())
                .or_insert_with(|| failure.clone());
            if failure.since < oldest.since {
                *oldest = failure;
            }
        }
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notifier_fails_as_long_as_one_of_its_recipients() {
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let failure = |ms| LastingFailure {
            since: at(ms),
            reason: "550".to_owned(),
        };
        let [ann, bob] = ["ann", "bob"].map(|to| ("team".to_owned(), Some(to.to_owned())));
        let recipients = vec![ann.clone(), bob.clone()];
        let failures = Failures::new(recipients, BTreeMap::new());
        failures.set(&ann, Some(&failure(2)));
        failures.set(&bob, Some(&failure(1)));
        let oldest = failures.by_notifier()["team"].clone();
        assert_eq!((oldest.since, oldest.reason.as_str()), (at(1), "bob: 550"));
        failures.set(&bob, None);
        assert_eq!(failures.by_notifier()["team"].since, at(2));
        failures.set(&ann, None);
        assert!(failures.by_notifier().is_empty());
        assert!(!failures.has_others("team"));
    }
}
