//! Places where a test kills the program, to prove that it may die anywhere. Debug builds only: a
//! release has none of them.
//!
//! In: the environment variable `RACKWATCH_FAILPOINT`, `<name>` or `<name>:<n>`. Out: at the n-th
//! time (the first unless given) that the place of that name is passed, SIGKILL.

/// Every place, in the order in which a reading passes them. Tests name them in their environment.
pub const NAMES: [&str; 16] = [
    "partition taken",
    "state loaded",
    "before store",
    "before minutes",
    "before commit",
    "after commit",
    "before save",
    "slice saved",
    "before trim",
    "after trim",
    "before lease renewed",
    "before alerts written",
    "before acknowledged",
    "after acknowledged",
    "before incidents written",
    "before alerts acknowledged",
];

/// The place that only a collector with a notifier passes.
pub const SENT: &str = "before incident acknowledged";

/// Every place of a change of the partitioning, in the order in which it passes them.
pub const RESIZE: [&str; 16] = [
    "resize draining",
    "resize released",
    "resize planned",
    "resize key set aside",
    "resize set aside",
    "resize trimmed",
    "resize emptied",
    "resize slice moved",
    "resize episode moved",
    "resize resolution moved",
    "resize record moved",
    "resize group moved",
    "resize redistributed",
    "resize straggler moved",
    "resize switched",
    "resize old key deleted",
];

/// Does nothing in a release.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn pass(_name: &'static str) {}

/// Kills the program if the test asked for this place.
#[cfg(debug_assertions)]
pub(crate) fn pass(name: &'static str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The place, and how often the program still passes it alive.
    static WANTED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = std::env::var("RACKWATCH_FAILPOINT").ok()?;
        let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        let times = times.parse::<u64>().ok()?;
        Some((name.to_owned(), AtomicU64::new(times.saturating_sub(1))))
    });
    debug_assert!(
        name == SENT || NAMES.contains(&name) || RESIZE.contains(&name),
        "{name} is not listed"
    );
    let Some((wanted, left)) = &*WANTED else {
        return;
    };
    let spared = |left: u64| left.checked_sub(1);
    if wanted != name
        || left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spared)
            .is_ok()
    {
        return;
    }
    let process = std::process::id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &process])
        .status();
    // Only reached if there is no such command.
    tracing::error!(name, ?killed, "the failpoint did not kill the program");
}
