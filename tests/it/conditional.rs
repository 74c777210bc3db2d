//! Operations that depend on the value they meet.

use crate::support::*;
use idlewheel::*;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[test]
fn only_an_entry_whose_value_fits_is_removed() {
    let (cache, clock) = cache::<u32, u32>();
    cache.insert(1, 10).unwrap();
    assert!(!cache.remove_if(&2, |_| true));
    assert!(!cache.remove_if(&1, |value| *value == 11));
    cache.update(&1, 11).unwrap();
    assert!(cache.remove_if(&1, |value| *value == 11));
    assert!(!cache.remove_if(&1, |_| true));
    cache.insert(1, 12).unwrap();
    clock.advance(20 * MINUTE);
    assert!(!cache.remove_if(&1, |_| false));
    clock.advance(20 * MINUTE);
    assert!(!cache.remove_if(&1, |_| true), "asking is no activity, and it has expired");
    let removed = cache.stats().removed;
    assert_eq!((removed.explicit, removed.replaced, removed.idle), (1, 1, 1));
    check(&cache);
}

#[test]
fn only_a_value_that_fits_is_replaced_and_the_entry_keeps_its_identity() {
    let (cache, clock) = cache_with(|b| b.absolute_timeout(HOUR));
    let kind = |result: Result<(), InsertError<u32>>| result.unwrap_err().kind();
    assert_eq!(kind(cache.replace_if(&1, 2, |_| true)), InsertErrorKind::Missing);
    cache.insert(1, 10).unwrap();
    clock.advance(20 * MINUTE);
    let error = cache.replace_if(&1, 12, |value| *value == 11).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::ConditionUnmet, 12));
    cache.replace_if(&1, 11, |value| *value == 10).unwrap();
    clock.advance(20 * MINUTE);
    assert_eq!(cache.get(&1), Some(11), "replacing is activity");
    clock.advance(20 * MINUTE + TICK);
    assert_eq!(cache.get(&1), None, "the absolute deadline stayed");
    assert_eq!(kind(cache.replace_if(&1, 2, |_| true)), InsertErrorKind::Missing);
    check(&cache);
}

#[test]
fn retain_keeps_what_it_is_asked_to_and_touches_none() {
    let (cache, clock) = cache::<u32, u32>();
    for key in 0..1000 {
        cache.insert(key, key % 3).unwrap();
        cache.insert(key, key % 5).unwrap();
    }
    clock.advance(20 * MINUTE);
    cache.retain(|key, value| *value == 0 || *key == 1);
    let kept: BTreeSet<u32> = cache.keys().collect();
    assert_eq!(kept, (0..1000).filter(|key| key % 5 == 0 || *key == 1).collect());
    clock.advance(20 * MINUTE);
    cache.retain(|_, _| panic!("all have expired"));
    assert!(cache.is_empty());
    check(&cache);
}

#[test]
fn a_condition_that_panics_changes_nothing() {
    let (cache, _clock) = cache::<u32, u32>();
    cache.insert(1, 1).unwrap();
    type Ask = fn(&Cache<u32, u32>);
    let asks: [Ask; 3] = [
        |cache| _ = cache.remove_if(&1, |_| panic!("user code")),
        |cache| _ = cache.replace_if(&1, 2, |_| panic!("user code")),
        |cache| cache.retain(|_, _| panic!("user code")),
    ];
    for ask in asks {
        assert!(catch_unwind(AssertUnwindSafe(|| ask(&cache))).is_err());
        assert_eq!(cache.get(&1), Some(1));
        check(&cache);
    }
}

#[test]
fn conditions_may_use_the_cache() {
    let (cache, _clock) = cache::<u32, u32>();
    for key in 0..10 {
        cache.insert(key, key).unwrap();
    }
    assert!(!cache.remove_if(&1, |_| cache.remove(&1)), "it removed the entry itself");
    cache.replace_if(&2, 7, |value| cache.get(&2) == Some(*value)).unwrap();
    cache.retain(|key, _| {
        cache.remove(&(key + 1));
        true
    });
    assert_eq!(cache.len(), 5);
    check(&cache);
}

#[test]
fn replacing_by_comparison_counts_every_success_once() {
    let (cache, _clock) = cache::<u32, u64>();
    cache.insert(1, 0).unwrap();
    let successes = AtomicU64::new(0);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..5000 {
                    let seen = cache.get(&1).unwrap();
                    let done = cache.replace_if(&1, seen + 1, |value| *value == seen).is_ok();
                    successes.fetch_add(u64::from(done), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(cache.get(&1), Some(successes.into_inner()));
    flush_all(&cache);
    check_after_races(&cache);
}

#[test]
fn conditional_operations_in_a_storm_keep_the_accounts() {
    let (cache, clock) = cache::<u64, u64>();
    let removed = AtomicU64::new(0);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let (cache, barrier, removed, clock) = (&cache, &barrier, &removed, &clock);
            scope.spawn(move || {
                let mut random = Random(thread);
                barrier.wait();
                for _ in 0..50_000 {
                    let key = random.below(8);
                    match random.below(8) {
                        0 => _ = cache.insert(key, random.next()),
                        1 => _ = cache.update(&key, random.next()),
                        2 => _ = cache.replace_if(&key, 2, |value| value % 2 == 1),
                        3 | 4 => {
                            let done = cache.remove_if(&key, |value| value % 2 == 1);
                            removed.fetch_add(u64::from(done), Ordering::Relaxed);
                        }
                        5 if thread == 0 => clock.advance(SECOND),
                        6 => cache.retain(|_, value| value % 4 != 3),
                        _ => _ = cache.get(&key),
                    }
                }
            });
        }
    });
    assert!(cache.stats().removed.explicit >= removed.into_inner());
    flush_all(&cache);
    check_after_races(&cache);
}
