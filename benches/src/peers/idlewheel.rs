//! idlewheel itself.

use super::{Key, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use idlewheel::Cache;
use std::marker::PhantomData;

/// [`Cache`] with an idle timeout.
pub struct Idlewheel<K, V, T> {
    cache: Cache<K, V, RandomState>,
    time: PhantomData<T>,
}

impl<K, V, T> Idlewheel<K, V, T> {
    /// The cache.
    pub fn cache(&self) -> &Cache<K, V, RandomState> {
        &self.cache
    }
}

impl<K: Key, V: Value, T: Time> Subject for Idlewheel<K, V, T> {
    const NAME: &'static str = "idlewheel";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        let builder = Cache::builder().idle_timeout(time.idle()).clock(time.clock());
        let cache = builder.hasher(hasher()).build().expect("the settings are valid");
        Idlewheel { cache, time: PhantomData }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.cache.get_with(key, f)
    }

    #[inline]
    fn get_batch(&self, keys: &[K], mut each: impl FnMut(&V)) {
        let pinned = self.cache.pin();
        match <&[K; 16]>::try_from(keys) {
            Ok(keys) => pinned.get_many(keys.each_ref()).into_iter().flatten().for_each(&mut each),
            Err(_) => keys.iter().filter_map(|key| pinned.get(key)).for_each(&mut each),
        }
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        assert!(self.cache.insert(key, value).is_ok());
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.cache.remove(key);
    }

    fn sweep(&self) -> Option<u64> {
        Some(self.cache.sweep().visited)
    }

    fn flush(&self) {
        self.cache.flush();
    }

    fn count(&self) -> usize {
        self.cache.len()
    }
}
