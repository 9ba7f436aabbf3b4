//! Random numbers of the model.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Returns a nearly normal random number with mean 0 and standard deviation 1: the sum of four uniform ones. It is bounded
/// by 3.5, so that a quiet hall stays within all limits for ever.
pub(super) fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.random::<f64>()).sum();
    (sum - 2.0) * 3.0_f64.sqrt()
}
