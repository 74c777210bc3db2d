//! Leases: what is in use is not idle.

use crate::support::*;
use idlewheel::*;
use std::thread;

#[test]
fn a_held_entry_is_not_idle_and_idleness_begins_when_the_last_lease_ends() {
    let (cache, mock) = cache::<u32, u32>();
    cache.insert(1, 10).unwrap();
    let (first, second) = (cache.hold(&1).unwrap(), cache.hold(&1).unwrap());
    assert_eq!(cache.remaining(&1).unwrap().idle, None);
    mock.advance(24 * HOUR);
    assert_eq!(cache.sweep().visited, 0);
    drop(first);
    mock.advance(24 * HOUR);
    assert_eq!((cache.sweep().visited, cache.peek(&1)), (0, Some(10)));
    assert_eq!(format!("{second:?}"), "Lease { is_live: true, .. }");
    drop(second);
    mock.advance(29 * MINUTE);
    assert_eq!(cache.peek(&1), Some(10));
    mock.advance(2 * MINUTE);
    assert_eq!((cache.sweep().expired, cache.peek(&1)), (1, None));
    assert_eq!(cache.stats().removed.idle, 1);
    check(&cache);
}

#[test]
fn a_lease_holds_back_neither_age_nor_removal() {
    let (cache, mock) =
        cache_with(|builder: Builder<u32, u32>| builder.absolute_timeout(12 * HOUR));
    cache.insert(1, 10).unwrap();
    cache.insert(2, 20).unwrap();
    let leases = [cache.hold(&1).unwrap(), cache.hold(&2).unwrap()];
    assert!(cache.remove(&1));
    assert_eq!(leases.each_ref().map(Lease::is_live), [false, true]);
    mock.advance(11 * HOUR);
    assert!(leases[1].is_live());
    mock.advance(2 * HOUR);
    assert!(!leases[1].is_live(), "unswept, but over");
    assert_eq!((cache.get(&2), cache.sweep().expired), (None, 0));
    assert_eq!(cache.stats().removed.absolute, 1);
    drop(leases);
    check(&cache);
}

#[test]
fn a_lease_is_of_one_incarnation() {
    let (cache, mock) = cache::<u32, u32>();
    cache.insert(1, 10).unwrap();
    let stale = cache.hold(&1).unwrap();
    cache.remove(&1);
    flush_all(&cache);
    cache.insert(1, 11).unwrap();
    let lease = cache.hold(&1).unwrap();
    assert!(!stale.is_live() && lease.is_live());
    drop(stale);
    mock.advance(HOUR);
    assert!(lease.is_live(), "another lease's end ended it");
    drop(lease);
    mock.advance(HOUR);
    cache.sweep();
    assert!(cache.is_empty());
    check(&cache);
}

#[test]
fn changes_of_timeouts_keep_the_leases() {
    let (cache, mock) = cache::<u32, u32>();
    cache.insert(1, 10).unwrap();
    let lease = cache.hold(&1).unwrap();
    assert!(cache.set_timeouts(&1, Timeouts::new().idle(MINUTE)));
    cache.insert_with(1, 11, Timeouts::new().idle(2 * MINUTE)).unwrap();
    assert!(cache.renew(&1));
    mock.advance(HOUR);
    assert_eq!(cache.peek(&1), Some(11));
    drop(lease);
    mock.advance(MINUTE);
    assert_eq!(cache.peek(&1), Some(11));
    mock.advance(2 * MINUTE);
    assert_eq!(cache.peek(&1), None);
    check(&cache);
}

#[test]
fn what_is_held_makes_no_room() {
    for lasting in [false, true] {
        let (cache, mock) = cache_with(|builder: Builder<u32, u32>| {
            let builder = builder.max_entries(4);
            if lasting { builder.no_idle_timeout() } else { builder.absolute_timeout(HOUR) }
        });
        let mut leases = Vec::new();
        for key in 0..4 {
            cache.insert(key, key).unwrap();
            mock.advance(SECOND);
            if key < 3 {
                leases.push(cache.hold(&key).unwrap());
            }
        }
        for key in 4..20 {
            cache.insert(key, key).unwrap();
            assert_eq!((cache.len(), cache.peek(&key)), (4, Some(key)));
        }
        leases.push(cache.hold(&19).unwrap());
        let error = cache.insert(20, 20).unwrap_err();
        assert_eq!(error.kind(), InsertErrorKind::AtCapacity);
        assert!(leases.iter().all(Lease::is_live));
        leases.pop();
        cache.insert(20, 20).unwrap();
        assert_eq!(cache.peek(&19), None);
        check(&cache);
    }
}

#[test]
fn a_held_child_dies_with_its_parent() {
    let (parents, _mock) = cache::<u32, u32>();
    let children: Cache<u32, u32> = Cache::builder().linked_to(&parents).build().unwrap();
    parents.insert(1, 10).unwrap();
    children.insert(1, 11).unwrap();
    let lease = children.hold(&1).unwrap();
    parents.remove(&1);
    assert!(!lease.is_live());
    drop(lease);
    assert_eq!(children.get(&1), None);
    check(&children);
    check(&parents);
}

#[test]
fn a_lease_may_end_on_another_thread_and_after_its_cache() {
    let tally = Tally::default();
    let (cache, _mock) = cache::<u32, Counted>();
    cache.insert(1, tally.value()).unwrap();
    let (one, other) = (cache.hold(&1).unwrap(), cache.hold(&1).unwrap());
    thread::scope(|scope| scope.spawn(move || drop(one)).join().unwrap());
    check_after_races(&cache);
    drop(cache);
    assert_eq!(tally.dropped(), 1, "a lease kept the cache alive");
    assert!(!other.is_live());
}

#[test]
fn leases_of_many_threads_add_up() {
    let (cache, mock) = cache::<u64, u32>();
    for key in 0..4 {
        cache.insert(key, 0).unwrap();
    }
    thread::scope(|scope| {
        for seed in 0..3 {
            let (cache, mock) = (&cache, &mock);
            scope.spawn(move || {
                let mut random = Random(seed);
                let mut leases = vec![cache.hold(&0).unwrap()];
                for _ in 0..20_000 {
                    let key = random.below(4);
                    match random.below(8) {
                        0..3 if leases.len() < 9 => leases.extend(cache.hold(&key)),
                        // The first one stays.
                        3..6 if leases.len() > 1 => {
                            let nth = 1 + random.below(leases.len() as u64 - 1) as usize;
                            drop(leases.swap_remove(nth));
                        }
                        6 => _ = cache.get(&key),
                        7 => _ = cache.set_timeouts(&key, Timeouts::new().idle(HOUR)),
                        _ => _ = cache.sweep(),
                    }
                    mock.advance(SECOND);
                    assert!(leases.iter().all(Lease::is_live));
                }
            });
        }
    });
    mock.advance(2 * HOUR);
    cache.sweep();
    assert_eq!(cache.len(), 0, "a lease was left");
    flush_all(&cache);
    check_after_races(&cache);
}
