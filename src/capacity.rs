//! Places: how many entries a bounded cache may have, counted from before one is live until it is
//! dead. Knows no entries; who makes room for whom is the business of `core::evict`.

use crate::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// What a cache that has [`max_entries`](crate::Builder::max_entries) does with one more.
///
/// Either way, entries that have expired go first, swept or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CapacityPolicy {
    /// It removes the entry that would expire soonest if nobody touched any, to within 1/32 of its
    /// timeout, with cause [`RemovalCause::Capacity`](crate::RemovalCause::Capacity). Entries that
    /// never expire go last.
    ///
    /// New entries push out the ones that are idle longest, so a flood of new ids ends sessions
    /// that were quiet while it lasted. Give entries that have yet to prove themselves a shorter
    /// timeout ([`insert_with`](crate::Cache::insert_with)): then they push out each other.
    #[default]
    EvictSoonestToExpire,
    /// It refuses the new one with
    /// [`InsertErrorKind::AtCapacity`](crate::InsertErrorKind::AtCapacity), which carries the value
    /// back: a server can answer "busy", and nobody who is in is thrown out.
    RejectNew,
}

/// The places of one cache.
pub(crate) struct Capacity {
    limit: u64,
    policy: CapacityPolicy,
    /// Never above `limit`.
    used: CachePadded<AtomicU64>,
}

impl Capacity {
    pub(crate) fn new(limit: usize, policy: CapacityPolicy) -> Self {
        Capacity { limit: limit as u64, policy, used: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Takes a place. `false`: there is none.
    pub(crate) fn take(&self) -> bool {
        let more = |used| (used < self.limit).then_some(used + 1);
        // Relaxed: it counts, and orders nothing: entries are found through the index and the
        // wheel.
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives a place back: once for each that was taken.
    pub(crate) fn give_back(&self) {
        // Relaxed: as in `take`.
        let used = self.used.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(used > 0, "a place was given back twice");
    }

    /// Whether live entries may be removed to make room.
    pub(crate) fn evicts(&self) -> bool {
        self.policy == CapacityPolicy::EvictSoonestToExpire
    }

    /// Places taken.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_the_limit_says() {
        for limit in [0, 1, 7] {
            let capacity = Capacity::new(limit, CapacityPolicy::RejectNew);
            assert_eq!((0..10).filter(|_| capacity.take()).count(), limit);
            assert_eq!(capacity.used(), limit as u64);
            if limit > 0 {
                capacity.give_back();
                assert!(capacity.take() && !capacity.take());
            }
        }
    }
}
