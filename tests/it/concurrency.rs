//! Many threads at once. What the models check step by step is run here at full speed.

use crate::support::*;
use idlewheel::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const THREADS: u64 = 4;

/// Runs `f` on several threads that begin together.
fn together(threads: u64, f: impl Fn(u64) + Sync) {
    let barrier = Barrier::new(threads as usize);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (f, barrier) = (&f, &barrier);
            scope.spawn(move || {
                barrier.wait();
                f(thread);
            });
        }
    });
}

#[test]
fn of_many_creators_of_one_key_exactly_one_succeeds() {
    let (cache, _clock) = cache();
    let created = AtomicU64::new(0);
    let taken = AtomicU64::new(0);
    together(THREADS, |thread| {
        for round in 0..20_000u64 {
            let key = round / 4;
            let new = cache.insert_new(key, thread).is_ok();
            created.fetch_add(u64::from(new), Ordering::Relaxed);
            if round % 4 == 3 {
                let gone = cache.take(&key).is_some();
                taken.fetch_add(u64::from(gone), Ordering::Relaxed);
            }
        }
    });
    let left = created.into_inner() - taken.into_inner();
    assert_eq!(left, cache.len() as u64);
    check_after_races(&cache);
}

#[test]
fn a_value_is_never_seen_under_another_key() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(SECOND));
    together(THREADS, |thread| {
        let mut random = Random(thread);
        for _ in 0..200_000 {
            let key = random.below(64);
            match random.below(10) {
                0 => drop(cache.insert(key, (key, random.next()))),
                1 => drop(cache.insert_new(key, (key, 0))),
                2 => drop(cache.remove(&key)),
                3 => drop(cache.update(&key, (key, 1))),
                4 if thread == 0 => clock.advance(SECOND / 20),
                5 if thread == 1 => drop(cache.sweep_within(SweepBudget::visits(8))),
                6 => drop(cache.renew(&key)),
                _ => {
                    if let Some(found) = cache.get_with(&key, |value| value.0) {
                        assert_eq!(found, key);
                    }
                }
            }
        }
    });
    check_after_races(&cache);
}

#[test]
fn a_key_that_is_always_there_is_never_missed_while_the_index_grows() {
    let (cache, _clock) = cache();
    for key in 0..100 {
        cache.insert(key, key).unwrap();
    }
    let done = AtomicBool::new(false);
    together(THREADS, |thread| {
        if thread == 0 {
            for key in 100..200_000u64 {
                cache.insert(key, key).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            return;
        }
        while !done.load(Ordering::Relaxed) {
            for key in 0..100 {
                assert_eq!(cache.get(&key), Some(key));
                assert!(cache.insert_new(key, 0).is_err());
            }
        }
    });
    assert_eq!(cache.len(), 200_000);
    check_after_races(&cache);
}

#[test]
fn threads_that_insert_and_remove_the_same_keys_grow_the_index_together() {
    let (cache, _clock) = cache();
    together(THREADS, |thread| {
        for key in 0..50_000u64 {
            drop(cache.insert(key, thread));
            if key % 3 == thread % 3 {
                cache.remove(&(key / 2));
            }
        }
    });
    check_after_races(&cache);
    let census = cache.validate().unwrap();
    assert_eq!(census.live, cache.len() as u64);
}

#[test]
fn two_sweepers_and_readers_expire_each_entry_once() {
    for _ in 0..20 {
        let tally = Tally::default();
        let (cache, clock) = cache_with(|b| b.idle_timeout(MINUTE));
        for key in 0..5000u64 {
            cache.insert(key, tally.value()).unwrap();
        }
        clock.advance(SECOND * 63);
        together(THREADS, |thread| {
            if thread < 2 {
                while cache.sweep_within(SweepBudget::visits(64)).more {}
            } else {
                (0..5000).for_each(|key| assert!(!cache.touch(&key)));
            }
        });
        assert_eq!(cache.stats().removed.idle, 5000);
        flush_all(&cache);
        assert_eq!(tally.dropped(), 5000);
        check_after_races(&cache);
    }
}

#[test]
fn touches_race_sweeps_and_nothing_is_lost_or_early() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(SECOND * 3));
    for key in 0..2000u64 {
        cache.insert(key, key).unwrap();
    }
    let done = AtomicBool::new(false);
    together(THREADS, |thread| match thread {
        0 => {
            // The others touch their keys at least once between two steps of the clock.
            for _ in 0..400 {
                (0..500).for_each(|key| assert!(cache.touch(&key), "expired early"));
                clock.advance(SECOND / 5);
            }
            done.store(true, Ordering::SeqCst);
        }
        1 => {
            while !done.load(Ordering::SeqCst) {
                cache.sweep();
            }
        }
        _ => {
            while !done.load(Ordering::SeqCst) {
                for key in 0..1000 {
                    cache.touch(&key);
                }
            }
        }
    });
    check_after_races(&cache);
    clock.advance(SECOND * 4);
    cache.sweep();
    assert!(cache.is_empty(), "{} entries are invisible to sweeps", cache.len());
    check_after_races(&cache);
}

#[test]
fn every_value_is_dropped_once_under_a_storm() {
    let tally = Tally::default();
    let (cache, clock) = cache_with(|b| b.idle_timeout(SECOND).absolute_timeout(SECOND * 5));
    together(THREADS, |thread| {
        let mut random = Random(thread + 100);
        for _ in 0..60_000 {
            let key = random.below(300);
            match random.below(16) {
                0..=4 => drop(cache.insert(key, tally.value())),
                5 => drop(cache.insert_with(
                    key,
                    tally.value(),
                    Timeouts::new().idle(SECOND * random.below(9) as u32),
                )),
                6 => drop(cache.update(&key, tally.value())),
                7 => drop(cache.remove(&key)),
                8 => clock.advance(SECOND / 50),
                9 if thread % 2 == 0 => drop(cache.sweep()),
                10 => drop(cache.flush()),
                11 if random.below(500) == 0 => cache.clear(),
                12 => drop(cache.renew(&key)),
                _ => drop(cache.get_with(&key, |_| ())),
            }
        }
    });
    check_after_races(&cache);
    flush_all(&cache);
    check_after_races(&cache);
    let stats = cache.stats();
    assert_eq!(tally.made() - tally.dropped(), stats.live as usize);
    drop(cache);
    assert_eq!(tally.dropped(), tally.made());
}

#[test]
fn timing_changes_of_one_entry_by_many_threads_leave_it_readable() {
    let (cache, clock) = cache();
    cache.insert(1, 0).unwrap();
    together(THREADS, |thread| {
        let mut random = Random(thread);
        for round in 0..100_000u64 {
            match random.below(4) {
                0 => {
                    let idle = MINUTE * (1 + random.below(50) as u32);
                    cache.insert_with(1, round, Timeouts::new().idle(idle)).unwrap();
                }
                1 => assert!(cache.renew(&1)),
                2 => clock.advance(SECOND / 100),
                _ => assert!(cache.get(&1).is_some()),
            }
        }
    });
    assert!(cache.remaining(&1).is_some());
    check_after_races(&cache);
}
