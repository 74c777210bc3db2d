//! Models of whole caches: real code from the public handle down, under a scheduler that picks who
//! runs at every access to an atomic. Memory is sequentially consistent here; the orderings are the
//! business of the loom models.
//!
//! Each scenario runs under random schedules and under PCT (Burckhardt and others, "A Randomized
//! Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). `SHUTTLE_ITERATIONS`
//! sets how many of each, `SHUTTLE_SEED` where they begin; a failure prints its schedule.

mod broken;
mod capacity;
mod conditional;
mod lease;
mod links;
mod loading;
mod rekey;
mod touches;

use crate::sync::Step;
use crate::sync::model::fails_without;
use crate::{Cache, Clock, MockClock};
use ahash::RandomState;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Schedules of each kind, unless the environment says otherwise.
const ITERATIONS: usize = 1000;
/// How many priority changes PCT places: enough for bugs that need so many steps in order.
const DEPTH: usize = 4;

const MINUTE: Duration = Duration::from_secs(60);

fn from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn config() -> Config {
    let mut config = Config::default();
    config.stack_size = 1 << 18;
    config
}

/// Runs a scenario under many schedules.
fn explore(scenario: fn()) {
    let (count, seed) = (from_env("SHUTTLE_ITERATIONS", ITERATIONS), from_env("SHUTTLE_SEED", 7));
    let random = RandomScheduler::new_from_seed(seed as u64, count);
    Runner::new(random, config()).run(scenario);
    let pct = PctScheduler::new_from_seed(seed as u64, DEPTH, count);
    Runner::new(pct, config()).run(scenario);
}

/// Expects a scenario to fail under some schedule once a step is left out.
fn needs(step: Step, scenario: fn()) {
    let mut config = config();
    config.failure_persistence = FailurePersistence::None;
    fails_without(step, || {
        Runner::new(RandomScheduler::new_from_seed(7, 20_000), config.clone()).run(scenario);
        Runner::new(PctScheduler::new_from_seed(7, DEPTH, 20_000), config).run(scenario);
    });
}

/// Runs the parts of a scenario, each on a thread of its own.
fn together(parts: impl IntoIterator<Item = Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = parts.into_iter().map(shuttle::thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a part has failed"));
}

/// A part of a scenario.
fn part(f: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(f)
}

/// Counts the values that are there.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

/// A value that is counted while it exists.
struct Value {
    number: u32,
    alive: Alive,
}

impl Alive {
    fn value(&self, number: u32) -> Value {
        self.0.fetch_add(1, Ordering::Relaxed);
        Value { number, alive: self.clone() }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
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
    cache.get_with(&key, |value| value.number)
}

/// Flushes until nothing waits, and checks the whole structure.
fn settle<V, P>(cache: &Cache<u32, V, RandomState, P>) {
    for _ in 0..100 {
        if cache.stats().pending_reclamation == 0 {
            break;
        }
        cache.flush();
    }
    let stats = cache.stats();
    assert_eq!(stats.pending_reclamation, 0, "something is never erased");
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
    assert_eq!(alive.count() as u64, cache.stats().live, "values and entries");
}
