//! The state that all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::access::{Access, AccessError};
use super::backend::WebBackend;
use super::listen::TlsError;
use super::rate_limit::PlaceLimit;
use super::read_model::SharedReadModel;
use crate::config::{PublicUrl, WebConfig};
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
    /// The path of the public address, such as `/rackwatch`, or empty.
    pub(super) prefix: Arc<str>,
    /// Signals a reload of the access file, after which event streams end and clients reconnect.
    pub(super) access_changed: watch::Sender<()>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) max_streams: usize,
    /// Bounds the streams of each client, so that none takes all of them.
    pub(super) streams_of_client: PlaceLimit,
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
            prefix: config
                .public_url
                .as_ref()
                .map_or("", PublicUrl::path)
                .into(),
            access_changed: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            max_streams: config.max_streams,
            streams_of_client: PlaceLimit::new(config.max_streams.div_ceil(2)),
            tls: config.tls_cert_file.is_some(),
            demo,
        })
    }
}
