//! Waiting for a condition instead of for a time.
//!
//! In: a deadline, words for what is awaited and a question; out: its first answer, or an error
//! with those words. The question is asked every 20 ms.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Often enough that a test does not idle, seldom enough that a loaded machine keeps up.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Asks `poll` until it answers `Some`, at most for `deadline`.
///
/// A question that hangs is cut off at the deadline too.
///
/// # Errors
///
/// Names `what` and the time that passed.
pub async fn wait_until<T>(
    deadline: Duration,
    what: &str,
    mut poll: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let ask = async {
        loop {
            if let Some(answer) = poll().await {
                return answer;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    match tokio::time::timeout(deadline, ask).await {
        Ok(answer) => Ok(answer),
        Err(_) => bail!("waited {deadline:?} in vain until {what}"),
    }
}

/// Waits as [`wait_until`] does, in tests without a runtime.
///
/// # Errors
///
/// Names `what` and the time that passed.
pub fn wait_until_sync<T>(
    deadline: Duration,
    what: &str,
    mut poll: impl FnMut() -> Option<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = poll() {
            return Ok(answer);
        }
        if started.elapsed() >= deadline {
            bail!("waited {deadline:?} in vain until {what}");
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that turns sleeping into waiting on a condition"
)]
fn pause() {
    std::thread::sleep(POLL_EVERY);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_answer_is_returned() {
        let mut asked = 0;
        let answer = wait_until(Duration::from_secs(5), "asked thrice", async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.await.unwrap(), 3);
    }

    #[test]
    fn the_error_says_what_was_awaited() {
        let error = wait_until_sync(Duration::ZERO, "pigs fly", || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns in vain until pigs fly");
    }
}
