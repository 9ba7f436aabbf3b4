//! The target, with the credentials that its files hold now.
//!
//! The files are read again for each connection, so a rotated password or certificate needs no restart. Where they
//! cannot be read, as in the middle of a rotation, the credentials before stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::credentials::{Credentials, has_files};
use super::target::Target;
use crate::config::RedisConfig;
use crate::error::chain;
use crate::redis::error::ConnectError;

/// A target that follows its files. Clones share it.
#[derive(Clone)]
pub(super) struct CurrentTarget(Arc<Shared>);

struct Shared {
    config: RedisConfig,
    current: Mutex<(Credentials, Target)>,
    /// Held while the files are read: a disk that hangs costs one thread.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Whether the files could not be used at the last try.
    failed: AtomicBool,
}

impl std::fmt::Debug for CurrentTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The credentials are secret.
        f.debug_tuple("CurrentTarget").field(&self.last()).finish()
    }
}

impl CurrentTarget {
    /// Checks the settings and reads the files. Returns the target, and its address without user and password.
    pub(super) fn new(config: &RedisConfig) -> Result<(Self, String), ConnectError> {
        // A file beside the wrong address is not worth reading.
        Target::parse(config, &Credentials::default())?;
        let credentials = Credentials::read(config)?;
        let (target, endpoint) = Target::parse(config, &credentials)?;
        let shared = Shared {
            config: config.clone(),
            current: Mutex::new((credentials, target)),
            reading: Arc::default(),
            failed: AtomicBool::default(),
        };
        Ok((Self(Arc::new(shared)), endpoint))
    }

    /// Returns the target as it was last.
    pub(super) fn last(&self) -> Target {
        self.current().1.clone()
    }

    /// Reads the files again, for at most `limit`, and returns the target.
    pub(super) async fn refreshed(&self, limit: Duration) -> Target {
        if has_files(&self.0.config) {
            let refreshed = timeout(limit, self.refresh()).await;
            let problem = match refreshed {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(chain(&error)),
                Err(_) => Some("reading the files takes too long".to_owned()),
            };
            self.note(problem);
        }
        self.last()
    }

    async fn refresh(&self) -> Result<(), ConnectError> {
        let reading = Arc::clone(&self.0.reading).lock_owned().await;
        let config = self.0.config.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            Credentials::read(&config)
        });
        // It fails only when the runtime stops.
        let Ok(read) = read.await else {
            return Ok(());
        };
        let credentials = read?;
        if credentials == self.current().0 {
            return Ok(());
        }
        let (target, _) = Target::parse(&self.0.config, &credentials)?;
        *self.current() = (credentials, target);
        tracing::info!("Redis credentials reloaded");
        Ok(())
    }

    /// Logs when the files cannot be used, once until they can.
    fn note(&self, problem: Option<String>) {
        let had_failed = self.0.failed.swap(problem.is_some(), Ordering::Relaxed);
        if let Some(error) = problem.filter(|_| !had_failed) {
            tracing::warn!(
                error,
                "Redis credentials not reloaded, keeping the previous ones"
            );
        }
    }

    fn current(&self) -> MutexGuard<'_, (Credentials, Target)> {
        self.0
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
