//! scc, with expiry made by hand.

use super::{Key, Stamped, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use scc::HashMap;

/// [`scc::HashMap`] with stamps, and a sweep by `retain`.
pub struct Scc<K, V, T> {
    map: HashMap<K, Stamped<V>, RandomState>,
    time: T,
}

impl<K: Key, V: Value, T: Time> Subject for Scc<K, V, T> {
    const NAME: &'static str = "scc";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        Scc { map: HashMap::with_hasher(hasher()), time: time.clone() }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.read_sync(key, |_, stamped| stamped.touch(&self.time).map(f))?
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.map.upsert_sync(key, Stamped::new(value, &self.time));
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.map.remove_sync(key);
    }

    fn sweep(&self) -> Option<u64> {
        let now = self.time.tick();
        self.map.retain_sync(|_, stamped| stamped.is_live(now));
        None
    }

    fn count(&self) -> usize {
        self.map.len()
    }
}
