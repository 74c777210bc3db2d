//! Passing over all entries, and draining them.

use crate::support::*;
use idlewheel::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn every_live_entry_is_yielded_once_with_its_present_value() {
    let (cache, clock) = cache::<u64, u64>();
    let mut expected = BTreeMap::new();
    let mut random = Random(1);
    for _ in 0..20_000 {
        let key = random.below(5000);
        match random.below(3) {
            0 => {
                cache.remove(&key);
                expected.remove(&key);
            }
            _ => {
                let value = random.next();
                cache.insert(key, value).unwrap();
                expected.insert(key, value);
            }
        }
    }
    clock.advance(20 * MINUTE);
    let pairs: Vec<(u64, u64)> = cache.iter().collect();
    assert_eq!(pairs.len(), expected.len(), "none twice");
    assert_eq!(pairs.into_iter().collect::<BTreeMap<_, _>>(), expected);
    assert!(cache.keys().all(|key| expected.contains_key(&key)));
    assert_eq!(cache.keys().count(), expected.len());
    let pinned = cache.pin();
    assert!(pinned.iter().all(|(key, value)| expected[key] == *value));
    assert_eq!((&pinned).into_iter().count(), (&cache).into_iter().count());
    drop(pinned);
    clock.advance(20 * MINUTE);
    assert_eq!(cache.iter().next(), None, "iterating is no activity");
    check(&cache);
}

#[test]
fn neither_expired_entries_nor_orphans_are_yielded() {
    let (parents, clock) = cache::<u32, u32>();
    let children = Cache::<u32, u32>::builder().linked_to(&parents).build().unwrap();
    for key in 0..3 {
        parents.insert(key, key).unwrap();
        children.insert(key, key).unwrap();
    }
    parents.remove(&0);
    assert_eq!(children.keys().collect::<Vec<_>>(), [1, 2]);
    clock.advance(20 * MINUTE);
    parents.touch(&2);
    clock.advance(20 * MINUTE);
    assert_eq!(children.iter().collect::<Vec<_>>(), [(2, 2)]);
    assert_eq!(parents.pin().iter().collect::<Vec<_>>(), [(&2, &2)]);
    check(&parents);
    check(&children);
}

#[test]
fn an_iteration_ends_and_misses_nothing_while_others_insert_and_remove() {
    let (cache, _clock) = cache::<u64, u64>();
    for key in 0..2000 {
        cache.insert(key, key).unwrap();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 1..3u64 {
            let (cache, done) = (&cache, &done);
            scope.spawn(move || {
                let mut random = Random(thread);
                for key in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    cache.insert(thread << 32 | key, 0).unwrap();
                    cache.remove(&(thread << 32 | random.below(key + 1)));
                    // The others are touched and replaced, but stay.
                    cache.insert(random.below(2000), 7).unwrap();
                }
            });
        }
        for _ in 0..20 {
            let mut seen = cache.keys().filter(|key| *key < 2000).collect::<Vec<_>>();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..2000));
        }
        done.store(true, Ordering::Relaxed);
    });
    check_after_races(&cache);
}

#[test]
fn a_drain_yields_what_has_expired_unswept_but_no_orphans() {
    let (parents, clock) = cache::<u32, u32>();
    let children = Cache::<u32, u32>::builder().linked_to(&parents).build().unwrap();
    for key in 0..4 {
        parents.insert(key, key).unwrap();
        children.insert(key, 10 + key).unwrap();
    }
    parents.remove(&0);
    assert_eq!(children.drain().collect::<Vec<_>>(), [(1, 11), (2, 12), (3, 13)]);
    clock.advance(HOUR);
    assert_eq!(parents.drain().collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!((children.len(), parents.len()), (0, 0));
    let removed = children.stats().removed;
    assert_eq!((removed.explicit, removed.cascade), (3, 1));
    check(&parents);
    check(&children);
}

#[test]
fn a_drain_that_is_dropped_early_removes_the_rest() {
    let (cache, _clock) = cache::<u32, Counted>();
    let tally = Tally::default();
    for key in 0..5000 {
        assert!(cache.insert(key, tally.value()).is_ok());
    }
    drop(cache.drain());
    assert!(cache.is_empty());
    flush_all(&cache);
    assert_eq!(tally.dropped(), 5000);
    check(&cache);
}

#[test]
fn of_several_drains_one_yields_each_entry() {
    let (cache, _clock) = cache::<u64, u64>();
    for key in 0..20_000 {
        cache.insert(key, key).unwrap();
    }
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let drained: Vec<u64> = cache.drain().map(|(key, _)| key).collect();
                all.lock().unwrap().extend(drained);
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..20_000));
    check_after_races(&cache);
}

#[test]
fn a_clone_that_panics_ends_a_step_and_no_more() {
    #[derive(Debug)]
    struct Grumpy(u32);
    impl Clone for Grumpy {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 1, "user code panics");
            Grumpy(self.0)
        }
    }
    let (cache, _clock) = cache::<u32, Grumpy>();
    for key in 0..3 {
        cache.insert(key, Grumpy(key)).unwrap();
    }
    let step = |pairs: &mut dyn Iterator<Item = (u32, Grumpy)>| {
        catch_unwind(AssertUnwindSafe(|| pairs.next().map(|(key, _)| key))).ok()
    };
    let mut iter = cache.iter();
    let steps = [0; 4].map(|_| step(&mut iter));
    assert_eq!(steps, [Some(Some(0)), None, Some(Some(2)), Some(None)]);
    let mut drain = cache.drain();
    let steps = [0; 4].map(|_| step(&mut drain));
    assert_eq!(steps, [Some(Some(0)), None, Some(Some(2)), Some(None)]);
    drop(drain);
    assert!(cache.is_empty());
    check(&cache);
}
