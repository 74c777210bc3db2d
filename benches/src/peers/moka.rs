//! moka, in its two ways to expire: one timeout for all, and per entry.

use super::{Key, Subject, Value, hasher};
use crate::time::{Coarse, IDLE, Time};
use ahash::RandomState;
use moka::Expiry;
use moka::sync::Cache;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// [`moka::sync::Cache`] with `time_to_idle`, on its own clock.
pub struct Moka<K, V, T> {
    cache: Cache<K, V, RandomState>,
    time: PhantomData<T>,
}

impl<K: Key, V: Value, T: Time> Subject for Moka<K, V, T> {
    const NAME: &'static str = "moka";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        let cache = Cache::builder().time_to_idle(time.idle()).build_with_hasher(hasher());
        Moka { cache, time: PhantomData }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.cache.get(key).map(|value| f(&value))
    }

    #[inline]
    fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key)
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.cache.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.cache.invalidate(key);
    }

    fn sweep(&self) -> Option<u64> {
        self.cache.run_pending_tasks();
        None
    }

    fn flush(&self) {
        self.cache.run_pending_tasks();
    }

    fn count(&self) -> usize {
        self.cache.entry_count() as usize
    }

    fn live(&self) -> usize {
        // `run_pending_tasks` evicts some of the expired ones; the iterator skips the others.
        self.cache.iter().count()
    }
}

/// How long entries of [`MokaPerEntry`] live whose value is [`MokaPerEntry::SHORT`].
const SHORT: Duration = Duration::from_secs(4);

struct ByValue;

impl Expiry<u64, u64> for ByValue {
    fn expire_after_create(&self, _key: &u64, value: &u64, _created: Instant) -> Option<Duration> {
        (*value == MokaPerEntry::SHORT).then_some(SHORT)
    }
}

/// moka with `time_to_idle`, and a short life for some entries: its clock cannot be mocked, so this
/// is how some expire while all others are live.
pub struct MokaPerEntry(Cache<u64, u64, RandomState>);

impl MokaPerEntry {
    /// The value of an entry that expires soon.
    pub const SHORT: u64 = u64::MAX;
    /// How long to wait until they have: its timer wheel has buckets of about a second.
    pub const WAIT: Duration = Duration::from_millis(SHORT.as_millis() as u64 + 1200);
}

impl Subject for MokaPerEntry {
    const NAME: &'static str = "moka";
    type Key = u64;
    type Value = u64;
    type Time = Coarse;

    fn new(_time: &Coarse, _most: usize) -> Self {
        let builder = Cache::builder().time_to_idle(IDLE).expire_after(ByValue);
        MokaPerEntry(builder.build_with_hasher(hasher()))
    }

    #[inline]
    fn get_with<R>(&self, key: &u64, f: impl FnOnce(&u64) -> R) -> Option<R> {
        self.0.get(key).map(|value| f(&value))
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn remove(&self, key: &u64) {
        self.0.invalidate(key);
    }

    fn sweep(&self) -> Option<u64> {
        self.0.run_pending_tasks();
        None
    }

    fn flush(&self) {
        self.0.run_pending_tasks();
    }

    fn count(&self) -> usize {
        self.0.entry_count() as usize
    }
}
