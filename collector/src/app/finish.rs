//! Waits for all stages to end.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::RunError;

/// Waits until every stage has ended. The first to end, with or without an error, stops the others.
///
/// # Errors
///
/// Returns the first error; a panic counts as one.
pub(crate) async fn finish(
    mut stages: JoinSet<Result<(), RunError>>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut first = Ok(());
    while let Some(ended) = stages.join_next().await {
        let ended = ended.unwrap_or_else(|panic| Err(RunError::Panicked(panic)));
        if first.is_ok() {
            first = ended;
        }
        stop.cancel();
    }
    first
}
