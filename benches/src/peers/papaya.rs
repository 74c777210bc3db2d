//! papaya, with expiry made by hand.

use super::{Key, Stamped, Subject, Value, hasher};
use crate::time::Time;
use ahash::RandomState;
use papaya::HashMap;

/// [`papaya::HashMap`] with stamps, and a sweep by `retain`.
pub struct Papaya<K, V, T> {
    map: HashMap<K, Stamped<V>, RandomState>,
    time: T,
}

impl<K: Key, V: Value, T: Time> Subject for Papaya<K, V, T> {
    const NAME: &'static str = "papaya";
    type Key = K;
    type Value = V;
    type Time = T;

    fn new(time: &T, _most: usize) -> Self {
        Papaya { map: HashMap::with_hasher(hasher()), time: time.clone() }
    }

    #[inline]
    fn get_with<R>(&self, key: &K, f: impl FnOnce(&V) -> R) -> Option<R> {
        self.map.pin().get(key)?.touch(&self.time).map(f)
    }

    #[inline]
    fn get_batch(&self, keys: &[K], mut each: impl FnMut(&V)) {
        let map = self.map.pin();
        let values = keys.iter().filter_map(|key| map.get(key)?.touch(&self.time));
        values.for_each(&mut each);
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.map.pin().insert(key, Stamped::new(value, &self.time));
    }

    #[inline]
    fn remove(&self, key: &K) {
        self.map.pin().remove(key);
    }

    fn sweep(&self) -> Option<u64> {
        let now = self.time.tick();
        self.map.pin().retain(|_, stamped| stamped.is_live(now));
        None
    }

    fn count(&self) -> usize {
        self.map.len()
    }
}
