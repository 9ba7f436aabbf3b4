//! The state that all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::access::{Access, AccessError};
use super::backend::WebBackend;
use super::listen::TlsError;
use super::read_model::SharedReadModel;
use crate::config::WebConfig;
use crate::stats::Stats;

/// The web server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    /// The address is in use, or belongs to another host.
    #[error("cannot listen on {listen}: name another address with --listen")]
    Bind {
        /// The address from `web.listen`.
        listen: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The access settings are invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The certificate or key is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct Web {
    pub(super) stats: Arc<Stats>,
    pub(super) model: Arc<SharedReadModel>,
    pub(super) backend: Box<dyn WebBackend>,
    pub(super) access: Access,
    /// Signals a reload of the access file, after which event streams end and clients reconnect.
    pub(super) access_changed: watch::Sender<()>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) max_streams: usize,
    pub(super) tls: bool,
    pub(super) demo: bool,
}

impl Web {
    /// Returns the state for these settings.
    ///
    /// # Errors
    ///
    /// If the access file is unusable, or missing for an address that other hosts can reach.
    pub(crate) fn new(
        config: &WebConfig,
        stats: Arc<Stats>,
        model: Arc<SharedReadModel>,
        backend: Box<dyn WebBackend>,
        demo: bool,
    ) -> Result<Self, WebError> {
        Ok(Self {
            stats,
            model,
            backend,
            access: Access::new(config)?,
            access_changed: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            max_streams: config.max_streams,
            tls: config.tls_cert_file.is_some(),
            demo,
        })
    }
}
