//! quick_cache, which evicts by size and frequency; here it has room for everything.

use super::{Key, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::marker::PhantomData;

type Inner<K, V> = Cache<K, V, UnitWeighter, RandomState, DefaultLifecycle<K, V>>;

/// [`quick_cache::sync::Cache`]. It has no expiry.
pub struct QuickCache<K, V, T> {
    cache: Inner<K, V>,
    time: PhantomData<T>,
}

impl<K: Key, V: Value, T: Time> Subject for QuickCache<K, V, T> {
    const NAME: &'static str = "quick_cache";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(_time: &T, most: usize) -> Self {
        // Twice as much room as needed, as it is divided among shards, which fill unevenly.
        let room = 2 * most as u64 + 4096;
        let cache = Cache::with(10_000, room, UnitWeighter, hasher(), DefaultLifecycle::default());
        QuickCache { cache, time: PhantomData }
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
        self.cache.remove(key);
    }

    fn count(&self) -> usize {
        self.cache.len()
    }
}
