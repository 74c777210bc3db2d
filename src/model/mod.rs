//! Models of whole caches: real code from the public handle down, under a scheduler that picks who
//! runs at every access to an atomic. The same scenarios run twice:
//!
//! - on shuttle, under many random schedules, with memory that is sequentially consistent
//!   ([`schedules`]);
//! - on loom, in every interleaving with few preemptions, with weak memory ([`interleavings`]), but
//!   for those that would take too long; and every two operations there ([`pairs`]). No grace
//!   period ends in these, so nothing is erased.

#[cfg(shuttle)]
mod broken;
mod capacity;
mod conditional;
mod handles;
mod lease;
mod links;
// Waits under locks, which loom does not see; its cells have loom models of their own.
#[cfg(shuttle)]
mod loading;
mod rekey;
mod touches;

#[cfg(loom)]
mod interleavings;
#[cfg(loom)]
mod pairs;
#[cfg(shuttle)]
mod schedules;

#[cfg(loom)]
use interleavings::{Number, explore, spawn_all};
#[cfg(shuttle)]
use schedules::{Number, explore, spawn_all};

use crate::{Cache, Clock, MockClock};
use ahash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// As long as some reader is pinned.
const NOTHING_IS_ERASED: bool = cfg!(loom);

const MINUTE: Duration = Duration::from_secs(60);

type Part = Box<dyn FnOnce() + Send>;

/// Runs the parts of a scenario, each on a thread of its own.
fn together(parts: impl IntoIterator<Item = Part>) {
    let threads = spawn_all(parts.into_iter().collect());
    threads.into_iter().for_each(|thread| thread.join().expect("a part has failed"));
}

/// A part of a scenario.
fn part(f: impl FnOnce() + Send + 'static) -> Part {
    Box::new(f)
}

/// Counts the values that are there.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

/// A value that is counted while it exists.
struct Value {
    number: Number,
    alive: Alive,
}

impl Alive {
    fn value(&self, number: u32) -> Value {
        self.0.fetch_add(1, Ordering::Relaxed);
        Value { number: Number::new(number), alive: self.clone() }
    }

    /// After the caches.
    fn expect_all_gone(&self) {
        assert_eq!(self.0.load(Ordering::Relaxed), 0, "values that nobody dropped");
    }

    /// At rest: so many are left.
    fn expect(&self, count: usize) {
        let left = self.0.load(Ordering::Relaxed);
        assert!(NOTHING_IS_ERASED || left == count, "{left} values for {count} entries");
    }
}

impl Value {
    fn number(&self) -> u32 {
        self.number.get()
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.alive.value(self.number())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let before = self.alive.0.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a value was dropped twice");
    }
}

type Parents = Cache<u32, u32, RandomState>;
type Keys = Cache<u32, Value, RandomState>;

/// The same hashes in every run.
fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

/// A cache of parents that die after 30 idle minutes, on a mock clock.
fn parents() -> (Parents, MockClock) {
    let (clock, mock) = Clock::mock();
    let parents = Cache::builder().clock(clock).hasher(hasher()).build().expect("valid settings");
    (parents, mock)
}

fn insert<P>(cache: &Cache<u32, Value, RandomState, P>, key: u32, value: Value) -> bool {
    cache.insert(key, value).is_ok()
}

/// The number of a value.
fn get<P>(cache: &Cache<u32, Value, RandomState, P>, key: u32) -> Option<u32> {
    cache.get_with(&key, Value::number)
}

/// Flushes until nothing waits, and checks the whole structure.
fn settle<V, P>(cache: &Cache<u32, V, RandomState, P>) {
    let patience = if NOTHING_IS_ERASED { 1 } else { 100 };
    for _ in 0..patience {
        if cache.stats().pending_reclamation == 0 {
            break;
        }
        cache.flush();
    }
    let stats = cache.stats();
    let pending = stats.pending_reclamation;
    assert!(NOTHING_IS_ERASED || pending == 0, "something is never erased");
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "accounting");
    cache.validate().expect("every structure agrees with every other");
}

/// A cache with value 0 under key 1.
fn one(alive: &Alive) -> (Keys, MockClock) {
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().clock(clock).hasher(hasher()).build();
    let cache = cache.expect("valid settings");
    assert!(insert(&cache, 1, alive.value(0)));
    (cache, mock)
}

/// Settles a cache, and counts its values.
fn at_rest(cache: &Keys, alive: &Alive) {
    settle(cache);
    alive.expect(cache.len());
}
