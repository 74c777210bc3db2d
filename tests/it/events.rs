//! Removal events: one for each value that was inserted, when it is gone for everybody.

use crate::support::*;
use RemovalCause::*;
use idlewheel::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;

type Event = (u32, u32, RemovalCause);
type Settings = Builder<u32, u32>;

/// A cache, its clock, and what its listener was told.
fn listened(
    set: impl FnOnce(Settings) -> Settings,
) -> (Cache<u32, u32>, MockClock, Arc<Mutex<Vec<Event>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&log);
    let (cache, mock) = cache_with(|builder: Settings| {
        set(builder).on_removal(move |key, value, cause| {
            events.lock().unwrap().push((*key, *value, cause));
        })
    });
    (cache, mock, log)
}

/// What was told since the last time, sorted.
fn told(cache: &Cache<u32, u32>, log: &Mutex<Vec<Event>>) -> Vec<Event> {
    cache.flush();
    flush_all(cache);
    let mut events = std::mem::take(&mut *log.lock().unwrap());
    events.sort_by_key(|(key, value, _)| (*key, *value));
    events
}

#[test]
fn every_cause_is_told_apart_and_every_value_told_once() {
    let (cache, mock, log) =
        listened(|builder| builder.absolute_timeout(HOUR).idle_timeout(45 * MINUTE).max_entries(3));
    cache.insert(1, 10).unwrap();
    cache.insert(1, 11).unwrap();
    cache.update(&1, 12).unwrap();
    assert_eq!(told(&cache, &log), [(1, 10, Replaced), (1, 11, Replaced)]);
    cache.remove(&1);
    assert_eq!(told(&cache, &log), [(1, 12, Explicit)]);
    cache.insert(2, 20).unwrap();
    cache.insert(3, 30).unwrap();
    mock.advance(40 * MINUTE);
    cache.touch(&3);
    mock.advance(15 * MINUTE);
    cache.sweep();
    assert_eq!(told(&cache, &log), [(2, 20, Idle)]);
    mock.advance(15 * MINUTE);
    assert_eq!(cache.get(&3), None);
    assert_eq!(told(&cache, &log), [(3, 30, Absolute)]);
    for key in 4..8 {
        cache.insert(key, 10 * key).unwrap();
        mock.advance(5 * MINUTE);
    }
    assert_eq!(told(&cache, &log), [(4, 40, Capacity)]);
    assert_eq!(cache.take(&5), Some(50));
    cache.clear();
    assert_eq!(told(&cache, &log), [(5, 50, Explicit), (6, 60, Explicit), (7, 70, Explicit)]);
    cache.insert(8, 80).unwrap();
    cache.insert(8, 81).unwrap();
    check(&cache);
    drop(cache);
    let last = std::mem::take(&mut *log.lock().unwrap());
    assert_eq!(last, [(8, 80, Replaced), (8, 81, Dropped)]);
}

#[test]
fn children_are_told_of_as_cascaded_wherever_their_parents_went() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (parents, _mock) = cache::<u32, u32>();
    let events = Arc::clone(&log);
    let children: Cache<u32, u32> = Cache::builder()
        .linked_to(&parents)
        .on_removal(move |key, value, cause| events.lock().unwrap().push((*key, *value, cause)))
        .build()
        .unwrap();
    for key in 0..3 {
        parents.insert(key, 0).unwrap();
        children.insert(key, 10 + key).unwrap();
    }
    parents.remove(&0);
    assert_eq!(told(&children, &log), [(0, 10, Cascade)]);
    drop(parents);
    assert_eq!(told(&children, &log), [(1, 11, Cascade), (2, 12, Cascade)]);
    check(&children);
}

#[test]
fn what_was_never_inserted_is_not_told_of() {
    let (cache, _mock, log) =
        listened(|builder| builder.max_entries(1).capacity_policy(CapacityPolicy::RejectNew));
    cache.insert(1, 10).unwrap();
    cache.insert(2, 20).unwrap_err();
    cache.insert_new(1, 11).unwrap_err();
    cache.update(&3, 30).unwrap_err();
    cache.replace_if(&1, 12, |value| *value == 0).unwrap_err();
    assert_eq!(told(&cache, &log), []);
    check(&cache);
}

#[test]
fn a_listener_may_use_the_cache_and_remove_siblings() {
    let home: Arc<OnceLock<WeakCache<u32, u32>>> = Arc::default();
    let told = Arc::new(AtomicU64::new(0));
    let (weak, count) = (Arc::clone(&home), Arc::clone(&told));
    let (cache, mock) = cache_with(|builder: Settings| {
        builder.on_removal(move |key, _, _| {
            count.fetch_add(1, Ordering::Relaxed);
            let Some(cache) = weak.get().and_then(WeakCache::upgrade) else { return };
            assert_eq!(cache.peek(key), None, "still visible");
            cache.remove(&(key + 1));
            cache.sweep();
            cache.flush();
        })
    });
    home.set(cache.downgrade()).unwrap();
    for key in 0..200 {
        cache.insert(key, key).unwrap();
    }
    mock.advance(HOUR);
    cache.insert(1000, 0).unwrap();
    cache.sweep();
    flush_all(&cache);
    assert_eq!((cache.len(), told.load(Ordering::Relaxed)), (1, 200));
    check(&cache);
}

#[test]
fn a_listener_may_drop_the_last_handle() {
    let last: Arc<Mutex<Option<Cache<u32, u32>>>> = Arc::default();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (mine, events) = (Arc::clone(&last), Arc::clone(&log));
    let (cache, mock) = cache_with(|builder: Settings| {
        builder.on_removal(move |key, _, cause| {
            events.lock().unwrap().push((*key, cause));
            let cache = mine.lock().unwrap().take();
            drop(cache);
        })
    });
    for key in 0..3 {
        cache.insert(key, 0).unwrap();
        mock.advance(MINUTE);
    }
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    cache.remove(&0);
    *last.lock().unwrap() = Some(cache);
    while log.lock().unwrap().len() < 3 {
        sweeper.trigger();
        thread::yield_now();
    }
    drop(sweeper);
    let mut events = log.lock().unwrap().clone();
    events.sort_by_key(|(key, _)| *key);
    assert_eq!(events, [(0, Explicit), (1, Dropped), (2, Dropped)]);
}

#[test]
fn a_panic_is_caught_and_counted_and_ends_nothing() {
    let (sender, events) = mpsc::channel();
    let tally = Tally::default();
    let (cache, _mock) = cache_with(|builder: Builder<u32, Counted>| {
        builder.on_removal(move |key, _, _| {
            sender.send(*key).unwrap();
            if key.is_multiple_of(3) {
                panic!("a listener that panics");
            }
        })
    });
    for key in 0..100 {
        cache.insert(key, tally.value()).unwrap();
        cache.insert(key, tally.value()).unwrap();
    }
    cache.clear();
    flush_all(&cache);
    assert_eq!(events.try_iter().count(), 200);
    assert_eq!(cache.stats().panics, 68);
    assert_eq!((tally.made(), tally.dropped()), (200, 200));
    check(&cache);
}

/// A key of which every copy is counted.
struct CountedKey(u32, Tally, #[allow(dead_code, reason = "counts")] Counted);

impl CountedKey {
    fn new(number: u32, tally: &Tally) -> Self {
        CountedKey(number, tally.clone(), tally.value())
    }
}

impl Clone for CountedKey {
    fn clone(&self) -> Self {
        CountedKey::new(self.0, &self.1)
    }
}

impl PartialEq for CountedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for CountedKey {}

impl std::hash::Hash for CountedKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn copies_of_keys_for_events_are_dropped_once() {
    let tally = Tally::default();
    let key = |number| CountedKey::new(number, &tally);
    let (cache, _mock) =
        cache_with(|builder: Builder<CountedKey, u32>| builder.on_removal(|_, _, _| {}));
    for round in 0..5 {
        for number in 0..20 {
            cache.insert(key(number), round).unwrap();
            cache.update(&key(number), round).unwrap();
            cache.insert_new(key(number), round).unwrap_err();
        }
        cache.remove(&key(round));
        flush_all(&cache);
        // One key each, and a copy for each value that replaced another one.
        let census = cache.validate().unwrap();
        let keys = (census.live + census.holders) as usize;
        assert_eq!(tally.made() - tally.dropped(), keys);
    }
    check(&cache);
    drop(cache);
    assert_eq!(tally.made(), tally.dropped());
}

#[derive(PartialEq, Eq, Hash, Clone)]
struct Name(Arc<str>);

#[test]
fn a_slow_listener_delays_no_other_thread() {
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let log = Arc::new(Mutex::new(Vec::new()));
    let (come, go, events) = (Arc::clone(&entered), Arc::clone(&leave), Arc::clone(&log));
    let (cache, _mock) = cache_with(|builder: Builder<Name, u32>| {
        builder.on_removal(move |key: &Name, value, cause| {
            if *value == 0 {
                come.wait();
                go.wait();
            }
            events.lock().unwrap().push((key.0.to_string(), *value, cause));
        })
    });
    let name = |text: &str| Name(Arc::from(text));
    cache.insert(name("slow"), 0).unwrap();
    cache.insert(name("slow"), 1).unwrap();
    cache.insert(name("other"), 2).unwrap();
    thread::scope(|scope| {
        // More than once, for other tests of this process may be pinned.
        scope.spawn(|| flush_all(&cache));
        entered.wait();
        // The first value's listener runs; its entry and others go meanwhile.
        cache.remove(&name("slow"));
        cache.remove(&name("other"));
        while log.lock().unwrap().len() < 2 {
            cache.sweep();
        }
        let mut events = log.lock().unwrap().clone();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        let own = |key: &str, value| (key.to_string(), value, Explicit);
        assert_eq!(events, [own("other", 2), own("slow", 1)]);
        leave.wait();
    });
    flush_all(&cache);
    assert_eq!(log.lock().unwrap()[2], ("slow".into(), 0, Replaced));
    check_after_races(&cache);
}

thread_local! {
    /// Comparisons until one panics.
    static FUSE: Cell<u32> = const { Cell::new(0) };
}

/// A key whose n-th comparison panics. All have one hash.
#[derive(Clone)]
struct Touchy(u32);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        FUSE.set(FUSE.get().wrapping_sub(1));
        assert_ne!(FUSE.get(), 0, "a comparison that panics");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl std::hash::Hash for Touchy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        0.hash(state);
    }
}

#[test]
fn an_insert_that_panics_is_not_told_of() {
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let tally = Tally::default();
    let (cache, _mock) = cache_with(|builder: Builder<Touchy, Counted>| {
        builder.on_removal(move |_, _, _| _ = count.fetch_add(1, Ordering::Relaxed))
    });
    for key in 0..3 {
        cache.insert(Touchy(key), tally.value()).unwrap();
    }
    // In the search, and then while the new entry is being published.
    let mut fuse = 1;
    let insert = || cache.insert(Touchy(9), tally.value());
    while catch_unwind(AssertUnwindSafe(|| (FUSE.set(fuse), insert()).1)).is_err() {
        fuse += 1;
    }
    FUSE.set(0);
    assert!(fuse > 4, "not so far as to be published");
    flush_all(&cache);
    assert_eq!((told.load(Ordering::Relaxed), tally.made() - tally.dropped()), (0, 4));
    check(&cache);
}

/// A key whose clone panics when asked to.
#[derive(PartialEq, Eq, Hash)]
struct Grudging(u32);

impl Clone for Grudging {
    fn clone(&self) -> Self {
        assert!(self.0 != 1, "a key that is not cloned");
        Grudging(self.0)
    }
}

#[test]
fn a_key_that_panics_when_cloned_leaves_its_entry_as_it_was() {
    let (cache, _mock) =
        cache_with(|builder: Builder<Grudging, u32>| builder.on_removal(|_, _, _| {}));
    cache.insert(Grudging(1), 10).unwrap();
    let replaced = catch_unwind(AssertUnwindSafe(|| cache.insert(Grudging(1), 11)));
    assert!(replaced.is_err());
    assert_eq!(cache.get(&Grudging(1)), Some(10));
    check(&cache);
}

#[test]
fn a_weak_handle_keeps_nothing_alive() {
    let tally = Tally::default();
    let (cache, _mock) = cache::<u32, Counted>();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    let weak = cache.downgrade();
    weak.upgrade().unwrap().insert(1, tally.value()).unwrap();
    assert_eq!(format!("{weak:?}"), "WeakCache { .. }");
    drop(cache);
    assert!(weak.clone().upgrade().is_none());
    assert_eq!(tally.dropped(), 1);
    drop(sweeper);
}
