//! When values are dropped: after removal, with the cache, from threads that idle or exit.

use crate::support::*;
use idlewheel::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn dropping_the_cache_drops_every_value_before_it_returns() {
    let tally = Tally::default();
    let (cache, clock) = cache();
    for key in 0..10_000u32 {
        cache.insert(key, tally.value()).unwrap();
    }
    for key in 0..3000 {
        cache.insert(key, tally.value()).unwrap();
    }
    for key in 2000..4000 {
        cache.remove(&key);
    }
    clock.advance(HOUR);
    cache.sweep_within(SweepBudget::visits(500));
    for key in 20_000..21_000 {
        cache.insert(key, tally.value()).unwrap();
    }
    check_after_races(&cache);
    let other = cache.clone();
    drop(cache);
    assert!(tally.dropped() < tally.made(), "a handle is left");
    drop(other);
    assert_eq!(tally.dropped(), tally.made());
}

#[test]
fn a_value_is_dropped_by_the_flush_after_its_removal() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    for _ in 0..1000 {
        cache.insert(1, tally.value()).unwrap();
        cache.insert(1, tally.value()).unwrap();
        assert!(cache.remove(&1));
        flush_all(&cache);
        assert_eq!(tally.dropped(), tally.made());
        check_after_races(&cache);
    }
}

#[test]
fn replaced_values_are_dropped_while_their_entry_lives_on() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    for round in 1..=100 {
        cache.insert(1, tally.value()).unwrap();
        flush_all(&cache);
        assert_eq!(tally.dropped(), round - 1);
        check_after_races(&cache);
    }
    assert_eq!(cache.stats().removed.replaced, 99);
}

#[test]
fn a_reader_delays_the_drop_of_what_it_sees_and_nothing_else() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    cache.insert(1, tally.value()).unwrap();
    cache.insert(2, tally.value()).unwrap();
    {
        let pinned = cache.pin();
        let value = pinned.get(&1).unwrap();
        let cache = &cache;
        thread::scope(|scope| {
            scope.spawn(move || {
                assert!(cache.remove(&1));
                cache.insert(2, Tally::default().value()).unwrap();
                assert_eq!(cache.flush(), 0);
                assert!(cache.get_with(&1, |_| ()).is_none(), "removed for everybody");
            });
        });
        assert_eq!(tally.dropped(), 0);
        let _still_there = value;
    }
    flush_all(&cache);
    assert_eq!(tally.dropped(), 2);
    check_after_races(&cache);
}

#[test]
fn removals_of_idle_and_exited_threads_are_dropped_by_others() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    for key in 0..100 {
        cache.insert(key, tally.value()).unwrap();
    }
    let (done, wait) = mpsc::channel();
    let (release, hold) = mpsc::channel::<()>();
    let idle = {
        let cache = cache.clone();
        thread::spawn(move || {
            (0..50).for_each(|key| assert!(cache.remove(&key)));
            done.send(()).unwrap();
            let _ = hold.recv();
        })
    };
    let exits = {
        let cache = cache.clone();
        thread::spawn(move || (50..100).for_each(|key| assert!(cache.remove(&key))))
    };
    exits.join().unwrap();
    wait.recv().unwrap();
    flush_all(&cache);
    assert_eq!(tally.dropped(), 100);
    drop(release);
    idle.join().unwrap();
    check_after_races(&cache);
}

#[test]
fn values_are_dropped_by_whoever_sweeps_and_not_by_readers() {
    struct Spy(Arc<Mutex<Vec<thread::ThreadId>>>);
    impl Drop for Spy {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }
    let droppers = Arc::new(Mutex::new(Vec::new()));
    let (cache, clock) = cache();
    for key in 0..5000 {
        cache.insert(key, Spy(Arc::clone(&droppers))).unwrap();
    }
    clock.advance(HOUR);
    thread::scope(|scope| {
        // These reads find the entries expired and remove them.
        scope.spawn(|| (0..2500).for_each(|key| assert!(cache.get_with(&key, |_| ()).is_none())));
    });
    assert!(droppers.lock().unwrap().is_empty());
    while cache.stats().pending_reclamation > 0 || !cache.is_empty() {
        cache.sweep();
    }
    let droppers = droppers.lock().unwrap();
    assert_eq!(droppers.len(), 5000);
    assert!(droppers.iter().all(|id| *id == thread::current().id()));
}

#[test]
fn a_cache_may_be_used_in_the_drop_of_its_values_and_of_thread_locals() {
    struct Reenter(Cache<u32, Option<Box<Reenter>>>);
    impl Drop for Reenter {
        fn drop(&mut self) {
            self.0.insert(7, None).unwrap();
            self.0.get_with(&7, |_| ());
            self.0.sweep();
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Option<Reenter>> = const { std::cell::RefCell::new(None) };
    }
    let (cache, _clock) = cache::<u32, Option<Box<Reenter>>>();
    let own = cache.clone();
    thread::spawn(move || {
        LATE.with(|late| *late.borrow_mut() = Some(Reenter(own.clone())));
        own.insert(1, None).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(cache.len(), 2);
    cache.insert(1, Some(Box::new(Reenter(cache.clone())))).unwrap();
    assert!(cache.remove(&1));
    flush_all(&cache);
    assert!(cache.contains_key(&7));
    check_after_races(&cache);
}

#[test]
fn the_last_handle_may_die_in_the_drop_of_a_value_of_another_cache() {
    let drops = Arc::new(AtomicUsize::new(0));
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (outer, _clock) = cache();
    for user in 0..10 {
        let inner = Cache::new();
        for key in 0..10 {
            inner.insert(key, Count(Arc::clone(&drops))).unwrap();
        }
        outer.insert(user, inner).unwrap();
    }
    outer.clear();
    flush_all(&outer);
    assert_eq!(drops.load(Ordering::SeqCst), 100);
    check_after_races(&outer);
}

#[test]
fn many_short_lived_threads_leave_nothing_behind() {
    let tally = Tally::default();
    let (cache, _clock) = cache();
    for round in 0..500u32 {
        thread::scope(|scope| {
            for thread in 0..4 {
                let (cache, tally) = (&cache, &tally);
                scope.spawn(move || {
                    let key = round * 4 + thread;
                    cache.insert(key, tally.value()).unwrap();
                    assert!(cache.remove(&key));
                });
            }
        });
    }
    flush_all(&cache);
    assert_eq!((tally.made(), tally.dropped()), (2000, 2000));
    check_after_races(&cache);
}
