//! The notifiers that fail now, as the outboxes of one leader see each other.
//!
//! A notifier fails from the first refused attempt until the next message arrives. After [`REPORT_AFTER`] the others
//! report it. The start of a failure is part of the progress of the recipient, so it outlives the leader.

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
    /// The names of all notifiers.
    notifiers: Vec<String>,
    failing: BTreeMap<RecipientKey, LastingFailure>,
}

impl Failures {
    /// Returns the failures of these notifiers, none so far.
    pub fn new(notifiers: impl IntoIterator<Item = String>) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            notifiers: notifiers.into_iter().collect(),
            failing: BTreeMap::new(),
        })))
    }

    /// Sets or clears the failure of one recipient.
    pub(crate) fn set(&self, recipient: &RecipientKey, failure: Option<&LastingFailure>) {
        let failing = &mut self.lock().failing;
        match failure {
            Some(failure) => drop(failing.insert(recipient.clone(), failure.clone())),
            None => drop(failing.remove(recipient)),
        }
    }

    /// Returns whether `notifier` is configured.
    pub(crate) fn knows(&self, notifier: &str) -> bool {
        self.lock().notifiers.iter().any(|name| name == notifier)
    }

    /// Returns whether there is a notifier besides `notifier`.
    pub(crate) fn has_others(&self, notifier: &str) -> bool {
        self.lock().notifiers.iter().any(|name| name != notifier)
    }

    /// Returns the oldest failure of each notifier that fails. Where a notifier has several recipients, the reason names
    /// the one that fails.
    pub(crate) fn by_notifier(&self) -> BTreeMap<String, LastingFailure> {
        let mut all = BTreeMap::<String, LastingFailure>::new();
        for ((notifier, recipient), failure) in &self.lock().failing {
            let mut failure = failure.clone();
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
        let failures = Failures::new(["team".to_owned()]);
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
