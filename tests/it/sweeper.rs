//! The sweeping thread. No test waits for time to pass: rounds are triggered.

use crate::support::*;
use idlewheel::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Triggers a round and waits until it is over.
fn round(sweeper: &Sweeper) {
    let before = sweeper.rounds();
    sweeper.trigger();
    while sweeper.rounds() == before {
        thread::yield_now();
    }
}

#[test]
fn one_sweeper_serves_caches_of_many_types() {
    let (contexts, clock) = cache::<String, u64>();
    let (keys, key_clock) = cache::<u64, Counted>();
    let tally = Tally::default();
    let sweeper = Sweeper::builder().watch(&contexts).interval(HOUR).spawn().unwrap();
    sweeper.watch(&keys);
    for key in 0..100 {
        contexts.insert(key.to_string(), key).unwrap();
        keys.insert(key, tally.value()).unwrap();
    }
    round(&sweeper);
    assert_eq!((contexts.len(), keys.len()), (100, 100));
    clock.advance(HOUR);
    key_clock.advance(HOUR);
    round(&sweeper);
    assert_eq!((contexts.len(), keys.len()), (0, 0));
    while tally.dropped() < 100 {
        round(&sweeper);
    }
    check_after_races(&contexts);
    check_after_races(&keys);
}

#[test]
fn a_sweeper_keeps_no_cache_alive() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    cache.insert(1, tally.value()).unwrap();
    round(&sweeper);
    drop(cache);
    assert_eq!(tally.dropped(), 1);
    round(&sweeper);
}

#[test]
fn dropping_a_sweeper_stops_and_joins_its_thread() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (cache, clock) = cache();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    cache.insert(1, Flag(Arc::clone(&dropped))).unwrap();
    clock.advance(HOUR);
    drop(sweeper);
    assert_eq!(cache.sweep().expired, 1);
    flush_all(&cache);
    assert!(dropped.load(Ordering::SeqCst));
    check_after_races(&cache);
}

#[test]
fn a_sweeper_may_be_dropped_on_its_own_thread() {
    struct Holder(Arc<Mutex<Option<Sweeper>>>, Arc<AtomicBool>);
    impl Drop for Holder {
        fn drop(&mut self) {
            drop(self.0.lock().unwrap().take());
            self.1.store(true, Ordering::SeqCst);
        }
    }
    let (cache, clock) = cache();
    let place = Arc::new(Mutex::new(None));
    let done = Arc::new(AtomicBool::new(false));
    cache.insert(1, Holder(Arc::clone(&place), Arc::clone(&done))).unwrap();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    clock.advance(HOUR);
    let mut slot = place.lock().unwrap();
    sweeper.trigger();
    *slot = Some(sweeper);
    drop(slot);
    while !done.load(Ordering::SeqCst) {
        if let Some(sweeper) = place.try_lock().ok().as_deref().and_then(Option::as_ref) {
            sweeper.trigger();
        }
        thread::yield_now();
    }
    assert!(cache.is_empty());
}

#[test]
fn a_panicking_drop_does_not_end_the_sweeper() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("a value that panics when it is dropped");
        }
    }
    let (cache, clock) = cache();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    for expected in 1..=3 {
        cache.insert(1, Bad).unwrap();
        clock.advance(HOUR);
        while cache.stats().panics < expected {
            round(&sweeper);
        }
    }
    check_after_races(&cache);
}

#[test]
fn reads_are_served_by_the_system_clock_with_and_without_a_sweeper() {
    let cache = Cache::new();
    cache.insert(1, 1).unwrap();
    let first = cache.remaining(&1).unwrap().idle.unwrap();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    let during = cache.remaining(&1).unwrap().idle.unwrap();
    round(&sweeper);
    assert_eq!(cache.get(&1), Some(1));
    drop(sweeper);
    let after = cache.remaining(&1).unwrap().idle.unwrap();
    assert!(after <= 30 * MINUTE && after > 29 * MINUTE);
    assert!(first <= 30 * MINUTE && during <= 30 * MINUTE && during > 29 * MINUTE);
    check_after_races(&cache);
}

/// Polls a future as long as it asks for it. `true`: it resolved.
fn drive(mut future: std::pin::Pin<&mut impl Future>) -> bool {
    struct Woken(AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let mut context = std::task::Context::from_waker(&waker);
    while woken.0.swap(false, Ordering::SeqCst) {
        if future.as_mut().poll(&mut context).is_ready() {
            return true;
        }
    }
    false
}

#[test]
fn a_future_sweeps_until_it_is_to_shut_down_and_keeps_no_cache_alive() {
    let (cache, clock) = cache::<u64, Counted>();
    let tally = Tally::default();
    let (asleep, stop) = (AtomicBool::new(true), AtomicBool::new(false));
    let flag = |flag| {
        std::future::poll_fn(move |_| {
            let flag: &AtomicBool = flag;
            let is_set = flag.load(Ordering::SeqCst);
            if is_set { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
    };
    let pauses = Mutex::new(Vec::new());
    let sleep = |pause| {
        pauses.lock().unwrap().push(pause);
        std::future::poll_fn(|_| match asleep.swap(true, Ordering::SeqCst) {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        })
    };
    let sweeping = Sweeper::builder().watch(&cache).interval(MINUTE).run_with(sleep, flag(&stop));
    let mut sweeping = std::pin::pin!(sweeping);
    for round in 1..4 {
        for key in 0..1000 {
            assert!(cache.insert(key, tally.value()).is_ok());
        }
        clock.advance(HOUR);
        assert!(!drive(sweeping.as_mut()), "it sleeps");
        assert_eq!(cache.len(), 1000);
        asleep.store(false, Ordering::SeqCst);
        assert!(!drive(sweeping.as_mut()));
        assert_eq!(cache.len(), 0);
        flush_all(&cache);
        assert_eq!(tally.dropped(), round * 1000);
    }
    assert_eq!(pauses.lock().unwrap()[0], MINUTE);
    check(&cache);
    drop(cache);
    asleep.store(false, Ordering::SeqCst);
    assert!(!drive(sweeping.as_mut()));
    stop.store(true, Ordering::SeqCst);
    assert!(drive(sweeping.as_mut()));
}

/// How many threads of this process are upkeeps.
#[cfg(target_os = "linux")]
fn upkeeps() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists threads");
    // Threads end meanwhile.
    let names = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.trim_end() == "idlewheel-upkee").count()
}

#[cfg(target_os = "linux")]
#[test]
fn two_sweepers_and_a_handle_keep_one_thread() {
    let cache: Cache<u32, u32> = Cache::new();
    cache.insert(1, 1).unwrap();
    let first = Sweeper::builder().watch(&cache).spawn().unwrap();
    let second = Sweeper::builder().watch(&cache).spawn().unwrap();
    let handle = Upkeep::start().unwrap();
    // It names itself when it begins, and one of another test's may be about to end.
    let is_alone = || {
        (0..20_000).any(|_| {
            thread::yield_now();
            upkeeps() == 1
        })
    };
    assert!(is_alone(), "one thread for three handles");
    drop(first);
    assert!(is_alone(), "for two");
    drop(second);
    assert!(is_alone(), "for one");
    assert!(cache.touch(&1));
    drop(handle);
    assert!(cache.touch(&1));
    check(&cache);
}

#[test]
fn a_listener_may_drop_the_sweeper_and_every_handle_of_the_upkeep() {
    type Place = Arc<Mutex<Option<(Sweeper, Upkeep)>>>;
    let place = Place::default();
    let done = Arc::new(AtomicBool::new(false));
    let (taken, told) = (Arc::clone(&place), Arc::clone(&done));
    let cache = Cache::<u32, u32>::builder()
        .on_removal(move |_, _, _| {
            drop(taken.lock().unwrap().take());
            told.store(true, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    cache.insert(1, 1).unwrap();
    cache.insert(2, 2).unwrap();
    let sweeper = Sweeper::builder().watch(&cache).spawn().unwrap();
    *place.lock().unwrap() = Some((sweeper, Upkeep::start().unwrap()));
    cache.remove(&1);
    while !done.load(Ordering::SeqCst) {
        if let Some((sweeper, _)) = place.try_lock().ok().as_deref().and_then(Option::as_ref) {
            sweeper.trigger();
        }
        thread::yield_now();
    }
    assert!(place.lock().unwrap().is_none());
    assert_eq!(cache.get(&2), Some(2));
    check_after_races(&cache);
}
