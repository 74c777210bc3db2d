//! One adapter per peer, all with the same hasher. Each uses the fastest lookup that its crate
//! offers for the purpose.

mod dashmap;
mod idlewheel;
mod locked;
mod mini_moka;
mod moka;
mod papaya;
mod quick_cache;
mod scc;

pub use self::dashmap::Dashmap;
pub use self::idlewheel::Idlewheel;
pub use self::locked::Locked;
pub use self::mini_moka::MiniMoka;
pub use self::moka::{Moka, MokaPerEntry};
pub use self::papaya::Papaya;
pub use self::quick_cache::QuickCache;
pub use self::scc::Scc;

use crate::time::{IDLE, Time, ticks};
use ahash::RandomState;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a key may be.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}
impl<K: Hash + Eq + Clone + Send + Sync + 'static> Key for K {}

/// What a value may be.
pub trait Value: Clone + Send + Sync + 'static {}
impl<V: Clone + Send + Sync + 'static> Value for V {}

/// A map under measurement. Generic code over it is compiled for each.
pub trait Subject: Send + Sync + Sized + 'static {
    /// What it is called in reports.
    const NAME: &'static str;
    /// Its keys.
    type Key: Key;
    /// Its values.
    type Value: Value;
    /// Where its time comes from.
    type Time: Time;

    /// An empty one that grows as needed. `most` entries must fit, for the one that wants a bound.
    fn new(time: &Self::Time, most: usize) -> Self;

    /// A look at a value. Activity.
    fn get_with<R>(&self, key: &Self::Key, f: impl FnOnce(&Self::Value) -> R) -> Option<R>;

    /// The value of a key. Activity.
    #[inline]
    fn get(&self, key: &Self::Key) -> Option<Self::Value> {
        self.get_with(key, Clone::clone)
    }

    /// Several lookups in the cheapest way.
    #[inline]
    fn get_batch(&self, keys: &[Self::Key], mut each: impl FnMut(&Self::Value)) {
        for key in keys {
            self.get_with(key, &mut each);
        }
    }

    /// Inserts or replaces.
    fn insert(&self, key: Self::Key, value: Self::Value);

    /// Removes.
    fn remove(&self, key: &Self::Key);

    /// Removes what has expired; how many entries it looked at, if that is known.
    fn sweep(&self) -> Option<u64> {
        None
    }

    /// Drops what was removed, if it was not dropped at once.
    fn flush(&self) {}

    /// Entries that were not removed.
    fn count(&self) -> usize;

    /// Entries that have not expired; right after a sweep.
    fn live(&self) -> usize {
        self.count()
    }
}

/// The same for all subjects and in all runs.
fn hasher() -> RandomState {
    RandomState::with_seeds(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344)
}

/// A value with the tick of its last activity: how one adds expiry to a map by hand.
struct Stamped<V> {
    tick: AtomicU32,
    value: V,
}

impl<V> Stamped<V> {
    fn new(value: V, time: &impl Time) -> Self {
        Stamped { tick: AtomicU32::new(time.tick()), value }
    }

    /// The value, unless it has expired. The stamp is written only when it changes.
    #[inline]
    fn touch(&self, time: &impl Time) -> Option<&V> {
        let (now, last) = (time.tick(), self.tick.load(Ordering::Relaxed));
        // Another thread may have read a newer tick already.
        if now > last {
            if now - last > ticks(IDLE) {
                return None;
            }
            self.tick.store(now, Ordering::Relaxed);
        }
        Some(&self.value)
    }

    /// For sweeps, which read the time once: entries may be touched later than that.
    #[inline]
    fn is_live(&self, now: u32) -> bool {
        now.saturating_sub(self.tick.load(Ordering::Relaxed)) <= ticks(IDLE)
    }
}

#[cfg(test)]
mod tests;
