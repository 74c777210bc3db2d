//! A `HashMap` in a `RwLock` that is walked every five minutes: what idlewheel replaces.

use super::{Key, Stamped, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Map<K, V> = HashMap<K, Stamped<V>, RandomState>;

/// `RwLock<HashMap>` with stamps, and a walk under the lock.
pub struct Locked<K, V, T> {
    map: RwLock<Map<K, V>>,
    time: T,
}

impl<K, V, T> Locked<K, V, T> {
    #[inline]
    fn read(&self) -> RwLockReadGuard<'_, Map<K, V>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn write(&self) -> RwLockWriteGuard<'_, Map<K, V>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key, V: Value, T: Time> Subject for Locked<K, V, T> {
    const NAME: &'static str = "rwlock_hashmap";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        Locked { map: RwLock::new(HashMap::with_hasher(hasher())), time: time.clone() }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.read().get(key)?.touch(&self.time).map(f)
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        let stamped = Stamped::new(value, &self.time);
        // The former value is dropped outside of the lock.
        let former = self.write().insert(key, stamped);
        drop(former);
    }

    #[inline]
    fn remove(&self, key: &K) {
        let former = self.write().remove(key);
        drop(former);
    }

    fn sweep(&self) -> Option<u64> {
        let now = self.time.tick();
        self.write().retain(|_, stamped| stamped.is_live(now));
        None
    }

    fn count(&self) -> usize {
        self.read().len()
    }
}
