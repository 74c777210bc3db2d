//! mini-moka.

use super::{Key, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use mini_moka::sync::{Cache, ConcurrentCacheExt};
use std::marker::PhantomData;

/// [`mini_moka::sync::Cache`] with `time_to_idle`, on its own clock.
pub struct MiniMoka<K, V, T> {
    cache: Cache<K, V, RandomState>,
    time: PhantomData<T>,
}

impl<K: Key, V: Value, T: Time> Subject for MiniMoka<K, V, T> {
    const NAME: &'static str = "mini_moka";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        let cache = Cache::builder().time_to_idle(time.idle()).build_with_hasher(hasher());
        MiniMoka { cache, time: PhantomData }
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
        self.cache.sync();
        None
    }

    fn flush(&self) {
        self.cache.sync();
    }

    fn count(&self) -> usize {
        self.cache.entry_count() as usize
    }

    fn live(&self) -> usize {
        // `sync` evicts some of the expired ones; the iterator skips the others.
        self.cache.iter().count()
    }
}
