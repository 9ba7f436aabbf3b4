//! Limits for each client address, or network of IPv6: one of these belongs to one site, which could change its
//! address with each request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses counted per minute at most. Beyond them, requests from new addresses are refused.
const MAX_ADDRESSES: usize = 10_000;

/// Returns the address under which a client is counted: its own, or its network of IPv6 (/64).
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        canonical @ IpAddr::V4(_) => canonical,
    }
}

/// A limit on events from each address in the current minute.
#[derive(Debug)]
pub(super) struct RateLimit {
    limit: u32,
    counts: Mutex<(Instant, HashMap<IpAddr, u32>)>,
}

impl RateLimit {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            counts: Mutex::new((Instant::now(), HashMap::new())),
        }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut HashMap<IpAddr, u32>) -> T) -> T {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.0.elapsed() >= Duration::from_mins(1) {
            *counts = (Instant::now(), HashMap::new());
        }
        ask(&mut counts.1)
    }

    /// Returns whether an address has used up its limit.
    pub(super) fn is_exceeded(&self, from: IpAddr) -> bool {
        self.with(|counts| {
            let is_full = counts.len() >= MAX_ADDRESSES;
            counts
                .get(&network(from))
                .map_or(is_full, |count| *count >= self.limit)
        })
    }

    /// Counts an event.
    pub(super) fn count(&self, from: IpAddr) {
        self.with(|counts| *counts.entry(network(from)).or_default() += 1);
    }
}

/// A limit on what each address holds at one time, such as connections.
#[derive(Clone, Debug)]
pub(super) struct PlaceLimit {
    limit: usize,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place within a [`PlaceLimit`], returned when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: PlaceLimit,
    network: IpAddr,
}

impl PlaceLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Arc::default(),
        }
    }

    /// Takes a place for an address, unless it has as many as it may.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let network = network(from);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&network).copied().unwrap_or_default();
        if count >= self.limit {
            return None;
        }
        held.insert(network, count + 1);
        Some(Place {
            of: self.clone(),
            network,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_returned_when_dropped() {
        let limit = PlaceLimit::new(2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = limit.take(address("2001:db8::1")).unwrap();
        let _two = limit.take(address("2001:db8::2")).unwrap();
        assert!(limit.take(address("2001:db8::3")).is_none(), "one network");
        assert!(limit.take(address("2001:db8:1::3")).is_some(), "another");
        drop(one);
        assert!(limit.take(address("2001:db8::3")).is_some());
        assert_eq!(
            limit.held.lock().unwrap().len(),
            1,
            "nothing is left behind"
        );
    }
}
