//! Caches with a limit: who goes, who is refused, and that the limit holds.

use crate::support::*;
use idlewheel::*;
use std::sync::Barrier;
use std::thread;

use CapacityPolicy::{EvictSoonestToExpire, RejectNew};

fn bounded(most: usize, policy: CapacityPolicy) -> (Cache<u32, u32>, MockClock) {
    cache_with(|b| b.max_entries(most).capacity_policy(policy))
}

fn keys(cache: &Cache<u32, u32>, candidates: u32) -> Vec<u32> {
    (0..candidates).filter(|key| cache.peek(key).is_some()).collect()
}

#[test]
fn the_entries_that_would_expire_soonest_make_room() {
    let (cache, clock) = bounded(10, EvictSoonestToExpire);
    for key in 0..10 {
        cache.insert(key, key).unwrap();
        clock.advance(2 * MINUTE);
    }
    // Now 0 and 3 are the newest, and 1, 2, 4 the oldest.
    assert!(cache.touch(&0) && cache.get(&3).is_some());
    for key in 10..13 {
        cache.insert(key, key).unwrap();
        assert_eq!(cache.len(), 10);
    }
    assert_eq!(keys(&cache, 20), [0, 3, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(cache.stats().removed.capacity, 3);
    check(&cache);
}

#[test]
fn the_oldest_go_first_in_a_large_cache_too() {
    // So many slots that the wheel keeps several chunks of each bucket; ten ages.
    let (cache, clock) = bounded(20_000, EvictSoonestToExpire);
    for age in 0..10 {
        for key in 0..2000 {
            cache.insert(age * 2000 + key, 0).unwrap();
        }
        clock.advance(2 * MINUTE);
    }
    for age in 0..3 {
        for key in 0..2000 {
            cache.insert(20_000 + age * 2000 + key, 0).unwrap();
        }
        let oldest = (age + 1) * 2000;
        assert!((0..oldest).all(|key| !cache.contains_key(&key)), "{age}");
        assert_eq!(cache.len(), 20_000);
    }
    assert_eq!(keys(&cache, 30_000), (6000..26_000).collect::<Vec<_>>());
    check(&cache);
}

#[test]
fn timeouts_of_their_own_decide_who_goes_first() {
    let (cache, clock) = bounded(6, EvictSoonestToExpire);
    for (key, minutes) in [(0, 50), (1, 3), (2, 400), (3, 10), (4, 100)] {
        cache.insert_with(key, key, Timeouts::new().idle(minutes * MINUTE)).unwrap();
    }
    cache.insert(5, 5).unwrap();
    clock.advance(MINUTE);
    for (key, goes) in [(10, 1), (11, 3), (12, 5), (13, 0), (14, 4), (15, 2)] {
        cache.insert_with(key, key, Timeouts::new().idle(1000 * MINUTE)).unwrap();
        assert_eq!(cache.peek(&goes), None, "{goes} goes");
        assert_eq!(cache.len(), 6);
    }
    check(&cache);
}

#[test]
fn a_cache_that_rejects_hands_the_value_back_until_something_has_expired() {
    let (cache, clock) = bounded(3, RejectNew);
    for key in 0..3 {
        cache.insert(key, key).unwrap();
    }
    clock.advance(20 * MINUTE);
    assert!(cache.touch(&1));
    for _ in 0..2 {
        let error = cache.insert(9, 99).unwrap_err();
        assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::AtCapacity, 99));
        assert_eq!(cache.insert_new(9, 9).unwrap_err().kind(), InsertErrorKind::AtCapacity);
    }
    assert_eq!(cache.stats().refused, 4);
    // What is there can be replaced, updated and renewed.
    assert_eq!(cache.insert(0, 5).unwrap(), Inserted::Replaced);
    assert_eq!(cache.insert_new(0, 6).unwrap_err().kind(), InsertErrorKind::Exists);
    cache.update(&1, 7).unwrap();
    assert!(cache.renew(&1));
    assert!(cache.remove(&1));
    cache.insert(9, 9).unwrap();
    assert_eq!(cache.insert(10, 10).unwrap_err().kind(), InsertErrorKind::AtCapacity);
    // 2 expires, and nobody sweeps.
    clock.advance(12 * MINUTE);
    cache.insert(10, 10).unwrap();
    assert_eq!(cache.insert(11, 11).unwrap_err().kind(), InsertErrorKind::AtCapacity);
    assert_eq!(keys(&cache, 20), [0, 9, 10]);
    let removed = cache.stats().removed;
    assert_eq!((removed.idle, removed.explicit, removed.capacity), (1, 1, 0));
    check(&cache);
}

#[test]
fn expired_entries_make_room_before_live_ones_however_long_nobody_swept() {
    for policy in [EvictSoonestToExpire, RejectNew] {
        for gap in [HOUR, 1000 * HOUR] {
            let (cache, clock) = bounded(200, policy);
            for key in 0..100 {
                cache.insert(key, key).unwrap();
            }
            clock.advance(gap);
            for key in 100..300 {
                cache.insert(key, key).unwrap();
            }
            let removed = cache.stats().removed;
            assert_eq!((removed.idle, removed.capacity), (100, 0), "{policy:?}, {gap:?}");
            assert_eq!(cache.len(), 200);
            check(&cache);
        }
    }
}

#[test]
fn inserts_go_on_when_everything_was_touched_in_this_very_tick() {
    let (cache, clock) = bounded(1000, EvictSoonestToExpire);
    for key in 0..1000 {
        cache.insert(key, key).unwrap();
    }
    clock.advance(10 * MINUTE);
    for round in 0..5 {
        (0..5000).for_each(|key| _ = cache.touch(&key));
        for key in 0..500 {
            cache.insert(1000 * (round + 1) + key, key).unwrap();
            assert_eq!(cache.len(), 1000);
        }
    }
    assert_eq!(cache.stats().removed.capacity, 2500);
    check(&cache);
}

#[test]
fn entries_that_never_expire_go_last() {
    let (cache, _clock) = bounded(4, EvictSoonestToExpire);
    let never = Timeouts::new().idle(std::time::Duration::MAX);
    for key in 0..3 {
        cache.insert_with(key, key, never).unwrap();
    }
    cache.insert(3, 3).unwrap();
    cache.insert(4, 4).unwrap();
    assert_eq!(keys(&cache, 10), [0, 1, 2, 4]);
    for key in 5..20 {
        cache.insert_with(key, key, never).unwrap();
        assert_eq!((cache.len(), cache.peek(&key)), (4, Some(key)));
    }
    check(&cache);
}

#[test]
fn room_for_none_and_for_one() {
    for policy in [EvictSoonestToExpire, RejectNew] {
        let (cache, _clock) = bounded(0, policy);
        assert_eq!(cache.insert(1, 1).unwrap_err().kind(), InsertErrorKind::AtCapacity);
        check(&cache);
        let (cache, _clock) = bounded(1, policy);
        cache.insert(1, 1).unwrap();
        assert_eq!(cache.insert(2, 2).is_ok(), policy == EvictSoonestToExpire);
        assert_eq!(cache.len(), 1);
        check(&cache);
    }
}

#[test]
fn what_makes_room_takes_its_children_along() {
    let (parents, clock) = bounded(2, EvictSoonestToExpire);
    let children = Cache::<u32, u32>::builder().linked_to(&parents).max_entries(2).build().unwrap();
    for key in 0..2 {
        parents.insert(key, key).unwrap();
        children.insert(key, key).unwrap();
        clock.advance(2 * MINUTE);
    }
    parents.insert(2, 2).unwrap();
    assert_eq!(children.get(&0), None, "its parent made room");
    children.insert(2, 2).unwrap();
    assert_eq!(children.len(), 2);
    assert_eq!(children.stats().removed.cascade, 1);
    check(&parents);
    check(&children);
}

#[test]
fn places_of_inserts_that_find_the_key_taken_are_given_back() {
    let (cache, _clock) = bounded(64, EvictSoonestToExpire);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4u32 {
            let (cache, barrier) = (&cache, &barrier);
            scope.spawn(move || {
                let mut random = Random(thread.into());
                for _ in 0..200 {
                    barrier.wait();
                    // All threads want the same keys.
                    for key in 0..64 {
                        let _ = cache.insert_new(key, thread);
                    }
                    barrier.wait();
                    cache.remove(&(random.below(64) as u32));
                }
            });
        }
    });
    check_after_races(&cache);
}

#[test]
fn the_limit_holds_whenever_many_threads_come_to_rest() {
    const MOST: usize = 100;
    for policy in [EvictSoonestToExpire, RejectNew] {
        let (cache, clock) = bounded(MOST, policy);
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            for thread in 0..3u64 {
                let (cache, clock, barrier) = (&cache, &clock, &barrier);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    for _ in 0..30 {
                        barrier.wait();
                        assert!(cache.len() <= MOST, "{} entries", cache.len());
                        barrier.wait();
                        for _ in 0..2000 {
                            let key = random.below(300) as u32;
                            match random.below(10) {
                                0..4 => _ = cache.insert(key, key),
                                4 => _ = cache.insert_new(key, key),
                                5 => _ = cache.remove(&key),
                                6 if thread == 0 => clock.advance(SECOND),
                                7 if thread == 1 => _ = cache.sweep_within(SweepBudget::visits(3)),
                                _ => _ = cache.get(&key),
                            }
                        }
                    }
                });
            }
        });
        check_after_races(&cache);
    }
}
