//! What the tests share: caches on a mock clock, values that count their drops, the final check.

pub(crate) use crate::random::Random;
use idlewheel::{Builder, Cache, Clock, MockClock, RandomState};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The tick that the caches below ask for, which bounds how late an expiry is.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A cache on a mock clock, with other settings from `set`.
pub(crate) fn cache_with<K: Hash + Eq, V>(
    set: impl FnOnce(Builder<K, V>) -> Builder<K, V>,
) -> (Cache<K, V>, MockClock) {
    let (clock, mock) = Clock::mock();
    (set(Cache::builder().clock(clock).tick(TICK)).build().expect("the settings make sense"), mock)
}

/// A cache with the default timeout of 30 minutes, on a mock clock.
pub(crate) fn cache<K: Hash + Eq, V>() -> (Cache<K, V>, MockClock) {
    cache_with(|builder| builder)
}

/// Checks the whole structure and the accounting, at rest, after use by one thread.
pub(crate) fn check<K, V, S, P>(cache: &Cache<K, V, S, P>) {
    check_after_races(cache);
    let census = cache.validate().expect("checked above");
    assert_eq!(census.stale, 0, "bits that stand for nothing");
}

/// The same after use by many threads, whose races may leave stale bits.
pub(crate) fn check_after_races<K, V, S, P>(cache: &Cache<K, V, S, P>) {
    let stats = cache.stats();
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
    cache.validate().expect("every structure agrees with every other");
}

/// Flushes until nothing waits: other tests of this process may be pinned for a moment.
pub(crate) fn flush_all<K, V, S, P>(cache: &Cache<K, V, S, P>) {
    for _ in 0..1_000_000 {
        if cache.stats().pending_reclamation == 0 {
            return;
        }
        cache.flush();
    }
    panic!("a flush never ended");
}

/// Counts values made and dropped.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<[AtomicUsize; 2]>);

impl Tally {
    pub(crate) fn value(&self) -> Counted {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Counted { tally: self.clone(), dropped: AtomicUsize::new(0) }
    }

    pub(crate) fn made(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }
}

/// A value that notices a second drop of itself.
pub(crate) struct Counted {
    tally: Tally,
    dropped: AtomicUsize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(self.dropped.fetch_add(1, Ordering::SeqCst), 0, "dropped twice");
        self.tally.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

/// Hashes every key to the same number.
#[derive(Clone, Default)]
pub(crate) struct Constant;

impl BuildHasher for Constant {
    type Hasher = Constant;

    fn build_hasher(&self) -> Constant {
        Constant
    }
}

impl std::hash::Hasher for Constant {
    fn finish(&self) -> u64 {
        42
    }

    fn write(&mut self, _bytes: &[u8]) {}
}

/// The hasher that caches use by default, with another seed each time.
pub(crate) fn default_hasher() -> RandomState {
    RandomState::new()
}
