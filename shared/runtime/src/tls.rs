//! TLS: one cryptography for all connections.

/// Names the cryptography to use before the first connection of any kind; rustls panics
/// when it has to guess.
pub fn choose_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
    {
        tracing::debug!("somebody else chose the cryptography first");
    }
}
