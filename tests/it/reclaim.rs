//! What waits for readers, and threads that are held up while they drop a value.

use crate::support::*;
use idlewheel::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

/// A value that tells when it is dropped, and may be held up there.
#[derive(Default)]
struct Slow {
    gate: Option<Arc<Barrier>>,
    dropped: Arc<AtomicBool>,
}

impl Slow {
    fn gated(gate: &Arc<Barrier>) -> Self {
        Slow { gate: Some(Arc::clone(gate)), dropped: Arc::default() }
    }

    fn noted(dropped: &Arc<AtomicBool>) -> Self {
        Slow { gate: None, dropped: Arc::clone(dropped) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.wait();
            gate.wait();
        }
        self.dropped.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_flusher_held_up_in_a_drop_holds_back_that_one_value() {
    let (cache, _clock) = cache();
    let gate = Arc::new(Barrier::new(2));
    let [present, other] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    cache.insert(1, Slow::gated(&gate)).unwrap();
    cache.update(&1, Slow::noted(&present)).unwrap();
    cache.insert(2, Slow::noted(&other)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| flush_all(&cache));
        gate.wait();
        // It is dropping the first value of entry 1 now. A sweep does not wait for it.
        assert!(cache.remove(&1) && cache.remove(&2));
        while cache.stats().pending_reclamation > 1 {
            cache.sweep();
        }
        while !present.load(Ordering::SeqCst) {
            cache.sweep();
        }
        assert!(other.load(Ordering::SeqCst));
        assert!(cache.sweep().more, "the slot of entry 1 waits");
        gate.wait();
    });
    flush_all(&cache);
    check_after_races(&cache);
}

#[test]
fn a_flusher_that_wakes_after_a_turn_of_the_generations_drops_nothing_that_is_read() {
    let (cache, _clock) = cache();
    let gate = Arc::new(Barrier::new(2));
    cache.insert(0, Slow::gated(&gate)).unwrap();
    cache.insert(1, Slow::default()).unwrap();
    cache.update(&1, Slow::default()).unwrap();
    flush_all(&cache);
    // The former holder of entry 1's value and the gated value are noted together.
    cache.update(&1, Slow::default()).unwrap();
    cache.remove(&0);
    thread::scope(|scope| {
        // It comes to the gate once: until then other tests of this process may be pinned.
        let sleeper = scope.spawn(|| while cache.flush() == 0 {});
        gate.wait();
        let settle = || {
            while cache.stats().pending_reclamation > 1 {
                cache.sweep();
            }
        };
        settle();
        // Two slots take turns in holding the value: 2^20 generations of each.
        for _ in 0..(2 << 20) - 2 {
            cache.update(&1, Slow::default()).unwrap();
            settle();
        }
        let dropped = Arc::new(AtomicBool::new(false));
        cache.update(&1, Slow::noted(&dropped)).unwrap();
        settle();
        let pinned = cache.pin();
        assert!(pinned.peek(&1).is_some());
        cache.update(&1, Slow::default()).unwrap();
        gate.wait();
        sleeper.join().unwrap();
        assert!(!dropped.load(Ordering::SeqCst), "the pin can still see it");
    });
    flush_all(&cache);
    check_after_races(&cache);
}

#[test]
fn a_flush_waits_for_a_value_that_another_thread_is_dropping() {
    let (cache, _clock) = cache();
    let gate = Arc::new(Barrier::new(2));
    let (dropped, flushing) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let slow = Slow { gate: Some(Arc::clone(&gate)), dropped: Arc::clone(&dropped) };
    cache.insert(1, slow).unwrap();
    cache.remove(&1);
    thread::scope(|scope| {
        scope.spawn(|| while cache.sweep().reclaimed == 0 {});
        gate.wait();
        scope.spawn(|| {
            flushing.store(true, Ordering::SeqCst);
            cache.flush();
            assert!(dropped.load(Ordering::SeqCst), "it did not wait");
        });
        while !flushing.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        // Turns in which a flush that does not wait would return.
        (0..1000).for_each(|_| thread::yield_now());
        gate.wait();
    });
    flush_all(&cache);
    check_after_races(&cache);
}

#[test]
fn a_flush_drops_what_an_idle_and_an_ended_thread_have_removed() {
    let (cache, _clock) = cache();
    let dropped = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    (0..2).for_each(|key| {
        cache.insert(key, Slow::noted(&dropped[key])).unwrap();
    });
    let (removed, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| assert!(cache.remove(&0))).join().unwrap();
        scope.spawn(|| {
            assert!(cache.remove(&1));
            removed.wait();
            leave.wait();
        });
        removed.wait();
        flush_all(&cache);
        assert!(dropped.iter().all(|dropped| dropped.load(Ordering::SeqCst)));
        leave.wait();
    });
    check_after_races(&cache);
}

#[test]
fn a_flush_under_a_pin_of_its_own_thread_drops_nothing_and_returns() {
    let (cache, _clock) = cache();
    let dropped = Arc::new(AtomicBool::new(false));
    cache.insert(1, Slow::noted(&dropped)).unwrap();
    let pinned = cache.pin();
    assert!(cache.remove(&1));
    assert_eq!(cache.flush(), 0);
    assert!(!dropped.load(Ordering::SeqCst), "the pin could see it");
    drop(pinned);
    flush_all(&cache);
    assert!(dropped.load(Ordering::SeqCst));
    check(&cache);
}

#[test]
fn a_writer_drops_a_bounded_number_of_values() {
    let (cache, _clock) = cache();
    let tally = Tally::default();
    (0..5000).for_each(|key| {
        cache.insert(key, tally.value()).unwrap();
    });
    let mut most = 0;
    for key in 0..5000 {
        let before = tally.dropped();
        assert!(cache.remove(&key));
        most = most.max(tally.dropped() - before);
    }
    assert!(most <= 256, "one removal dropped {most} values");
    flush_all(&cache);
    assert_eq!(tally.dropped(), 5000);
    check(&cache);
}

#[test]
fn what_is_taken_was_not_replaced() {
    const ROUNDS: usize = 300_000;
    let (cache, _clock) = cache();
    let done = AtomicBool::new(false);
    let (inserts, takes) = thread::scope(|scope| {
        let inserts = scope.spawn(|| {
            let insert = |value| cache.insert(1, value).unwrap();
            let inserts: Vec<Inserted> = (0..ROUNDS).map(insert).collect();
            done.store(true, Ordering::SeqCst);
            inserts
        });
        let mut takes = Vec::new();
        while !done.load(Ordering::SeqCst) {
            takes.extend(cache.take(&1));
        }
        (inserts.join().unwrap(), takes)
    });
    for value in takes {
        let next = inserts.get(value + 1).unwrap_or(&Inserted::New);
        assert_eq!(*next, Inserted::New, "value {value} was taken and replaced");
    }
    check_after_races(&cache);
}

#[test]
fn values_that_flush_when_they_are_dropped_do_not_exhaust_the_stack() {
    struct Flushes;
    static CACHE: OnceLock<Cache<u32, Flushes>> = OnceLock::new();
    impl Drop for Flushes {
        fn drop(&mut self) {
            if let Some(cache) = CACHE.get() {
                cache.flush();
            }
        }
    }
    let cache = CACHE.get_or_init(Cache::new);
    for key in 0..100_000 {
        cache.insert(key, Flushes).unwrap();
    }
    cache.clear();
    flush_all(cache);
    check(cache);
}

#[test]
fn a_reader_of_another_cache_delays_the_drop_and_no_operation() {
    let (cache, _clock) = cache();
    let (other, _clock) = crate::support::cache::<u32, u32>();
    let dropped = Arc::new(AtomicBool::new(false));
    cache.insert(1, Slow::noted(&dropped)).unwrap();
    let pinned = other.pin();
    assert!(cache.remove(&1));
    assert_eq!(cache.flush(), 0);
    assert!(cache.sweep_within(SweepBudget::time(SECOND / 1000)).more);
    assert!(!dropped.load(Ordering::SeqCst));
    drop(pinned);
    flush_all(&cache);
    assert!(dropped.load(Ordering::SeqCst));
    check(&cache);
}
