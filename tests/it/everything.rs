//! Every operation on entries, at random, from several threads, on a bounded cache and one that is
//! linked to it, with values whose `Drop` and listeners that panic or come back to the caches.

use crate::support::*;
use idlewheel::*;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Waker};
use std::thread;

const THREADS: u64 = 3;
const ROUNDS: u64 = 25_000;
const KEYS: u64 = 120;
/// An entry may get the key that is so much higher or lower.
const HALF: u64 = KEYS / 2;

type Map = Cache<u64, Value>;

/// Leases that no thread holds.
static KEPT: Mutex<Vec<Lease<u64, Value>>> = Mutex::new(Vec::new());

/// The caches as values see them, as long as the test lasts.
#[derive(Clone, Default)]
struct Home(Arc<Mutex<Option<[Map; 2]>>>, Arc<AtomicU64>);

thread_local! {
    /// Whether a value's `Drop` is running: it does not nest.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

struct Value {
    key: u64,
    number: u64,
    tally: Tally,
    counted: Option<Counted>,
    home: Home,
}

impl Value {
    fn new(key: u64, number: u64, tally: &Tally, home: &Home) -> Self {
        let counted = Some(tally.value());
        Value { key, number, tally: tally.clone(), counted, home: home.clone() }
    }

    fn is_of(&self, key: u64) -> bool {
        self.key % HALF == key % HALF
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Value::new(self.key, self.number, &self.tally, &self.home)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        drop(self.counted.take());
        if self.number % 32 >= 2 || BUSY.replace(true) {
            return;
        }
        let caches = self.home.0.lock().unwrap().clone();
        let used = catch_unwind(AssertUnwindSafe(|| {
            if let Some([parents, children]) = &caches {
                parents.remove(&((self.key + 1) % KEYS));
                let other = (self.key + 2) % KEYS;
                let number = (1 << 60) + self.home.1.fetch_add(1, Ordering::Relaxed);
                let value = Value::new(other, number, &self.tally, &self.home);
                children.insert(other, value).ok();
                children.flush();
            }
        }));
        drop(caches);
        BUSY.set(false);
        // In a destructor of a test that fails already this would abort.
        if self.number % 32 == 1 && used.is_ok() && !thread::panicking() {
            panic!("a value that panics when it is dropped");
        }
    }
}

/// What the listener of one cache was told: the numbers of the values, and how many for each cause.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(Numbers, HashMap<RemovalCause, u64>)>>);

type Numbers = HashSet<u64>;

impl Told {
    /// A listener that notes each event, then comes back to the caches, or panics.
    fn listener(&self, home: &Home) -> impl Fn(&u64, &Value, RemovalCause) + Send + Sync + 'static {
        let (told, home) = (self.clone(), home.clone());
        move |key, value, cause| {
            assert!(value.is_of(*key), "told of by another key");
            {
                let mut told = told.0.lock().unwrap();
                assert!(told.0.insert(value.number), "told of twice");
                *told.1.entry(cause).or_default() += 1;
            }
            if value.number % 64 == 5 && !BUSY.replace(true) {
                let caches = home.0.lock().unwrap().clone();
                for cache in caches.iter().flatten() {
                    cache.remove(&((key + 3) % KEYS));
                    cache.sweep();
                }
                drop(caches);
                BUSY.set(false);
            }
            assert!(value.number % 64 != 6, "a listener that panics");
        }
    }

    /// Each value that left was told of once, with its cause.
    fn check(&self, stats: &Stats) {
        let told = self.0.lock().unwrap();
        let of = |cause| told.1.get(&cause).copied().unwrap_or(0);
        let removed = &stats.removed;
        assert_eq!(of(RemovalCause::Idle), removed.idle);
        assert_eq!(of(RemovalCause::Absolute), removed.absolute);
        assert_eq!(of(RemovalCause::Explicit), removed.explicit);
        assert_eq!(of(RemovalCause::Replaced), removed.replaced);
        assert_eq!(of(RemovalCause::Capacity), removed.capacity);
        assert_eq!(of(RemovalCause::Cascade), removed.cascade);
        assert_eq!(
            told.0.len() as u64,
            removed.total() - removed.dropped + of(RemovalCause::Dropped)
        );
    }
}

/// One operation on one of the caches.
fn step(
    cache: &Map,
    is_child: bool,
    clock: &MockClock,
    random: &mut Random,
    v: &dyn Fn(u64) -> Value,
) {
    let key = random.below(KEYS);
    let right = |value: &Value| assert!(value.is_of(key), "another key's value");
    let span = |random: &mut Random| SECOND * random.below(40) as u32;
    match random.below(41) {
        0..4 => _ = cache.insert(key, v(key)).ok(),
        4 => _ = cache.insert_new(key, v(key)).ok(),
        5 => _ = cache.insert_with(key, v(key), Timeouts::new().idle(span(random))).ok(),
        6 => _ = cache.update(&key, v(key)).ok(),
        7 => _ = cache.replace_if(&key, v(key), |value| value.number % 2 == 0).ok(),
        8 => _ = cache.remove(&key),
        9 => _ = cache.remove_if(&key, |value| value.number % 2 == 1),
        10 => _ = cache.take(&key).inspect(right),
        11 => _ = cache.renew(&key),
        12 => _ = cache.set_timeouts(&key, Timeouts::new().absolute(span(random))),
        13 => _ = cache.promote(&key),
        14 => _ = cache.remaining(&key),
        15 => _ = cache.touch(&key),
        16 => _ = cache.contains_key(&key),
        17 => _ = cache.peek(&key).inspect(right),
        18 => {
            let pinned = cache.pin();
            let other = random.below(KEYS);
            let [one, two] = pinned.get_many([&key, &other]);
            one.inspect(|value| right(value));
            two.inspect(|value| assert!(value.is_of(other)));
        }
        19 if random.below(20) == 0 => {
            assert!(cache.pin().iter().all(|(key, value)| value.is_of(*key)));
        }
        20 if random.below(50) == 0 => cache.retain(|_, value| value.number % 5 > 0),
        21 if random.below(50) == 0 => {
            assert!(cache.drain().take(9).all(|(key, value)| value.is_of(key)));
        }
        22 if random.below(100) == 0 => cache.clear(),
        23 if is_child => _ = cache.insert_linked(key, v(key), &random.below(KEYS)).ok(),
        24 => _ = cache.sweep_within(SweepBudget::visits(random.below(9))),
        25 => _ = cache.flush(),
        26 => clock.advance(SECOND / 8),
        27 => _ = cache.keys().next(),
        28 => _ = cache.get(&key).inspect(right),
        29 => {
            let pinned = cache.pin();
            pinned.peek(&key).or_else(|| pinned.get(&key)).inspect(|value| right(value));
        }
        30 if is_child => {
            let listed = cache.children(&key);
            assert!(listed.iter().all(|child| *child < KEYS));
            _ = cache.count_children(&key);
        }
        31..40 => hold_load_or_rename(cache, is_child, clock, random, v),
        _ => _ = cache.get_with(&key, right),
    }
}

/// One of the operations that keep something: a lease, a load, another key.
fn hold_load_or_rename(
    cache: &Map,
    is_child: bool,
    clock: &MockClock,
    random: &mut Random,
    v: &dyn Fn(u64) -> Value,
) {
    let key = random.below(KEYS);
    let right = |value: &Value| assert!(value.is_of(key), "another key's value");
    match random.below(9) {
        0 => {
            let lease = cache.hold(&key);
            clock.advance(SECOND * 5);
            lease.inspect(|lease| _ = lease.is_live());
        }
        1 => {
            // It is kept by another thread, perhaps.
            if let Some(lease) = cache.hold(&key) {
                KEPT.lock().unwrap().push(lease);
            }
        }
        2 => {
            let mut kept = KEPT.lock().unwrap();
            let lease = kept.pop();
            drop(kept);
            drop(lease);
        }
        3 => _ = cache.get_or_insert_with(key, || v(key)).inspect(right),
        4 => {
            let failing = || if key.is_multiple_of(2) { Ok(v(key)) } else { Err(()) };
            _ = cache.get_or_try_insert_with(key, failing).inspect(right);
        }
        5 => _ = cache.modify(&key, |_| v(key)),
        6 => {
            let idle = SECOND * random.below(40) as u32;
            let entry = cache.entry(key).timeouts(Timeouts::new().idle(idle));
            _ = entry.and_modify(|_| v(key)).or_insert(v(key)).inspect(right);
        }
        7 => _ = cache.rekey(&key, (key + HALF) % KEYS),
        8 if is_child => {
            let entry = cache.entry(key).child_of(&random.below(KEYS));
            _ = entry.or_insert_with(|| v(key)).inspect(right);
        }
        _ => {
            // A task that is dropped before its load has ended, or not.
            let load = async {
                if key.is_multiple_of(3) {
                    std::future::pending::<()>().await;
                }
                v(key)
            };
            let mut context = Context::from_waker(Waker::noop());
            _ = pin!(cache.get_or_insert_async(key, load)).poll(&mut context);
        }
    }
}

#[test]
fn every_operation_from_several_threads_keeps_structure_and_accounts() {
    let (tally, home) = (Tally::default(), Home::default());
    let told = [Told::default(), Told::default()];
    let (clock, mock) = Clock::mock();
    let builder = Map::builder().clock(clock).idle_timeout(20 * SECOND);
    let builder = builder.absolute_timeout(60 * SECOND).max_entries(80);
    let parents = builder.on_removal(told[0].listener(&home)).build().unwrap();
    let builder = Map::builder().linked_to(&parents).max_entries(50).max_children(2);
    let children = builder.on_removal(told[1].listener(&home)).build().unwrap();
    *home.0.lock().unwrap() = Some([parents.clone(), children.clone()]);
    let sweeper = Sweeper::builder().watch(&parents).spawn().unwrap();
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (parents, children, mock) = (&parents, &children, &mock);
            let (tally, home, barrier, sweeper) = (&tally, &home, &barrier, &sweeper);
            scope.spawn(move || {
                let mut random = Random(thread);
                let numbers = Cell::new(thread << 32);
                let value = |key| {
                    numbers.set(numbers.get() + 1);
                    Value::new(key, numbers.get(), tally, home)
                };
                barrier.wait();
                for _ in 0..ROUNDS {
                    let is_child = random.below(2) == 0;
                    let cache = if is_child { children } else { parents };
                    // Values that come back to this thread may panic as they go.
                    let run = || step(cache, is_child, mock, &mut random, &value);
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                        let text = panic.downcast_ref::<&str>().copied();
                        assert_eq!(text, Some("a value that panics when it is dropped"));
                    }
                    if random.below(1000) == 0 {
                        sweeper.trigger();
                    }
                }
            });
        }
    });
    drop(sweeper);
    let kept = std::mem::take(&mut *KEPT.lock().unwrap());
    drop(kept);
    *home.0.lock().unwrap() = None;
    for (cache, told) in [&parents, &children].into_iter().zip(&told) {
        cache.flush();
        flush_all(cache);
        check_after_races(cache);
        told.check(&cache.stats());
    }
    assert!(parents.len() <= 80 && children.len() <= 50);
    assert_eq!(tally.made() - tally.dropped(), parents.len() + children.len());
    drop(children);
    drop(parents);
    assert_eq!(tally.made(), tally.dropped());
}
