//! dashmap, with expiry made by hand.

use super::{Key, Stamped, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use dashmap::DashMap;

/// [`DashMap`] with stamps, and a sweep by `retain`.
pub struct Dashmap<K, V, T> {
    map: DashMap<K, Stamped<V>, RandomState>,
    time: T,
}

impl<K: Key, V: Value, T: Time> Subject for Dashmap<K, V, T> {
    const NAME: &'static str = "dashmap";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        Dashmap { map: DashMap::with_hasher(hasher()), time: time.clone() }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.get(key)?.touch(&self.time).map(f)
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.map.insert(key, Stamped::new(value, &self.time));
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.map.remove(key);
    }

    fn sweep(&self) -> Option<u64> {
        let now = self.time.tick();
        self.map.retain(|_, stamped| stamped.is_live(now));
        None
    }

    fn count(&self) -> usize {
        self.map.len()
    }
}
