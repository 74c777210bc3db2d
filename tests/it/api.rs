//! One operation at a time.

use crate::support::*;
use idlewheel::*;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_default_cache_expires_after_thirty_idle_minutes() {
    let (cache, clock) = cache();
    cache.insert("alice", 1).unwrap();
    clock.advance(30 * MINUTE);
    assert_eq!(cache.get("alice"), Some(1), "exactly at the timeout it is live");
    clock.advance(30 * MINUTE + TICK);
    assert_eq!(cache.get("alice"), None);
    check(&cache);
}

#[test]
fn lookups_take_borrowed_keys() {
    let (cache, _clock) = cache::<String, u32>();
    cache.insert("alice".to_owned(), 1).unwrap();
    assert_eq!(cache.get("alice"), Some(1));
    assert!(cache.remove("alice"));
    check(&cache);
}

#[test]
fn get_touches_and_peek_contains_and_remaining_do_not() {
    for touches in [true, false] {
        let (cache, clock) = cache();
        cache.insert(1, 1).unwrap();
        clock.advance(20 * MINUTE);
        if touches {
            assert_eq!(cache.get(&1), Some(1));
        } else {
            assert_eq!(cache.peek(&1), Some(1));
            assert_eq!(cache.pin().peek(&1), Some(&1));
            assert!(cache.contains_key(&1));
            assert!(cache.remaining(&1).is_some());
        }
        clock.advance(20 * MINUTE);
        assert_eq!(cache.contains_key(&1), touches);
        check(&cache);
    }
}

#[test]
fn get_many_finds_what_get_finds_in_the_order_of_the_keys() {
    let (clock, mock) = Clock::mock();
    for record in [false, true] {
        // Crowded buckets, entries with timeouts of their own, some of them expired.
        let builder = Cache::builder().clock(clock.clone()).hasher(Constant).record_stats(record);
        let cache = builder.build().unwrap();
        for key in 0..40u32 {
            let timeouts = Timeouts::new().idle((key % 3 + 1) * MINUTE);
            cache.insert_with(key, key, timeouts).unwrap();
            cache.insert(key + 100, key).unwrap();
        }
        mock.advance(2 * MINUTE);
        let keys: [u32; 16] = std::array::from_fn(|n| [n as u32, n as u32 + 100, 999][n % 3]);
        let expected: [Option<u32>; 16] = std::array::from_fn(|n| cache.peek(&keys[n]));
        let before = cache.stats();
        let pinned = cache.pin();
        assert_eq!(pinned.get_many(keys.each_ref()).map(|found| found.copied()), expected);
        assert_eq!(pinned.get_many::<u32, 0>([]), []);
        drop(pinned);
        let (hits, misses) =
            (cache.stats().hits - before.hits, cache.stats().misses - before.misses);
        let found = expected.iter().flatten().count() as u64;
        assert_eq!((hits, misses), if record { (found, 16 - found) } else { (0, 0) });
        check(&cache);
    }
}

#[test]
fn every_touching_lookup_restarts_idleness() {
    type Look = fn(&Cache<u32, u32>) -> bool;
    let looks: [Look; 5] = [
        |cache| cache.get(&1).is_some(),
        |cache| cache.touch(&1),
        |cache| cache.get_with(&1, |_| ()).is_some(),
        |cache| cache.pin().get(&1).is_some(),
        |cache| cache.pin().get_many([&1, &2]) == [Some(&1), None],
    ];
    for look in looks {
        let (cache, clock) = cache();
        cache.insert(1, 1).unwrap();
        for _ in 0..10 {
            clock.advance(29 * MINUTE);
            assert!(look(&cache));
        }
        clock.advance(31 * MINUTE);
        assert!(!look(&cache));
        check(&cache);
    }
}

#[test]
fn a_replaced_value_keeps_the_absolute_deadline_and_restarts_idleness() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(10 * MINUTE).absolute_timeout(HOUR));
    cache.insert(1, 0).unwrap();
    for value in 1..=7 {
        clock.advance(8 * MINUTE);
        assert_eq!(cache.insert(1, value).unwrap(), Inserted::Replaced);
        assert_eq!(cache.peek(&1), Some(value));
    }
    assert_eq!(cache.remaining(&1).unwrap().absolute, Some(4 * MINUTE));
    clock.advance(4 * MINUTE + TICK);
    assert_eq!(cache.peek(&1), None, "created an hour ago");
    assert_eq!(cache.stats().removed.absolute, 1);
    assert_eq!(cache.stats().removed.replaced, 7);
    check(&cache);
}

#[test]
fn a_key_inserted_after_its_entry_died_is_a_new_entry() {
    let (cache, clock) = cache_with(|b| b.no_idle_timeout().absolute_timeout(HOUR));
    cache.insert(1, 1).unwrap();
    clock.advance(HOUR / 2);
    assert!(cache.remove(&1));
    assert_eq!(cache.insert(1, 2).unwrap(), Inserted::New);
    clock.advance(HOUR / 2 + TICK);
    assert_eq!(cache.peek(&1), Some(2));
    clock.advance(HOUR / 2 + TICK);
    assert_eq!(cache.insert(1, 3).unwrap(), Inserted::New);
    check(&cache);
}

#[test]
fn renew_restarts_both_deadlines_again_and_again() {
    let (cache, clock) = cache_with(|b| b.idle_timeout(50 * MINUTE).absolute_timeout(HOUR));
    cache.insert(1, 1).unwrap();
    for _ in 0..40 {
        clock.advance(45 * MINUTE);
        assert!(cache.renew(&1));
        let remaining = cache.remaining(&1).unwrap();
        assert!(remaining.absolute.unwrap() > HOUR - TICK);
        assert!(remaining.idle.unwrap() > 50 * MINUTE - TICK);
        check(&cache);
    }
    clock.advance(40 * MINUTE);
    assert!(cache.touch(&1));
    clock.advance(20 * MINUTE + TICK);
    assert!(!cache.renew(&1), "a dead entry is not revived");
    check(&cache);
}

#[test]
fn update_and_touch_never_create() {
    let (cache, clock) = cache();
    assert_eq!(cache.update(&1, 5).unwrap_err().kind(), InsertErrorKind::Missing);
    assert!(!cache.touch(&1));
    cache.insert(1, 1).unwrap();
    cache.update(&1, 2).unwrap();
    assert_eq!(cache.get(&1), Some(2));
    clock.advance(31 * MINUTE);
    assert_eq!(cache.update(&1, 3).unwrap_err().into_value(), 3);
    assert!(!cache.touch(&1) && cache.is_empty());
    check(&cache);
}

#[test]
fn insert_new_leaves_a_live_entry_alone() {
    let (cache, clock) = cache();
    cache.insert_new(1, 1).unwrap();
    clock.advance(20 * MINUTE);
    let error = cache.insert_new(1, 2).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::Exists, 2));
    clock.advance(11 * MINUTE);
    cache.insert_new(1, 3).expect("the refused insert did not touch the first one");
    assert_eq!(cache.stats().inserted, 2);
    check(&cache);
}

#[test]
fn entries_with_timeouts_of_their_own_live_side_by_side() {
    let (cache, clock) = cache();
    let lives = [1u64, 5, 60, 3600, 86_400, 30 * 86_400, 400 * 86_400];
    for (key, secs) in lives.into_iter().enumerate() {
        let timeouts = Timeouts::new().idle(Duration::from_secs(secs));
        cache.insert_with(key, secs, timeouts).unwrap();
    }
    cache.insert_with(100, 0, Timeouts::new().idle(Duration::MAX)).unwrap();
    let mut passed = Duration::ZERO;
    for (dead, secs) in lives.into_iter().enumerate() {
        let next = Duration::from_secs(secs) + TICK;
        clock.advance(next - passed);
        passed = next;
        for key in 0..lives.len() {
            assert_eq!(cache.peek(&key).is_some(), key > dead, "{key} after {secs} s");
        }
        check(&cache);
    }
    assert_eq!(cache.peek(&100), Some(0));
    assert_eq!(cache.remaining(&100).unwrap().shortest(), None);
}

#[test]
fn new_timeouts_of_a_live_entry_take_effect_and_count_from_its_creation() {
    let (cache, clock) = cache_with(|b| b.absolute_timeout(10 * HOUR));
    cache.insert(1, 1).unwrap();
    clock.advance(20 * MINUTE);
    let longer = Timeouts::new().idle(2 * HOUR).absolute(3 * HOUR);
    assert_eq!(cache.insert_with(1, 2, longer).unwrap(), Inserted::Replaced);
    clock.advance(100 * MINUTE);
    assert_eq!(cache.get(&1), Some(2));
    let shorter = Timeouts::new().idle(SECOND);
    cache.insert_with(1, 3, shorter).unwrap();
    check(&cache);
    clock.advance(2 * SECOND);
    assert_eq!(cache.get(&1), None);
    cache.insert_with(2, 1, longer).unwrap();
    for _ in 0..2 {
        clock.advance(80 * MINUTE);
        cache.insert(2, 2).unwrap();
    }
    clock.advance(20 * MINUTE + TICK);
    assert_eq!(cache.get(&2), None, "three hours after its creation");
    check(&cache);
}

#[test]
fn take_returns_the_value_once() {
    let (cache, _clock) = cache();
    cache.insert(1, Arc::new(7)).unwrap();
    assert_eq!(cache.take(&1).as_deref(), Some(&7));
    assert_eq!(cache.take(&1), None);
    assert_eq!(cache.stats().removed.explicit, 1);
    check(&cache);
}

#[test]
fn clear_removes_everything() {
    let (cache, _clock) = cache();
    for key in 0..10_000 {
        cache.insert(key, key).unwrap();
    }
    cache.clear();
    assert!(cache.is_empty() && !cache.contains_key(&77));
    assert_eq!(cache.stats().removed.explicit, 10_000);
    cache.insert(1, 1).unwrap();
    assert_eq!(cache.len(), 1);
    check(&cache);
}

#[test]
fn hits_and_misses_are_counted_only_on_request() {
    for record in [true, false] {
        let (cache, _clock) = cache_with(|b| b.record_stats(record));
        cache.insert(1, 1).unwrap();
        for key in [1, 2, 1] {
            cache.get(&key);
        }
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), if record { (2, 1) } else { (0, 0) });
        check(&cache);
    }
}

#[test]
fn senseless_settings_are_refused_with_advice() {
    let build = |b: Builder<u32, u32>| b.build().map(drop).unwrap_err();
    for tick in [Duration::ZERO, Duration::from_millis(9), 2 * HOUR, Duration::MAX] {
        let error = build(Cache::builder().tick(tick));
        assert!(matches!(error, BuildError::Tick { given, .. } if given == tick));
        assert!(error.to_string().contains("choose"));
    }
    let error = build(Cache::builder().max_entries(usize::MAX));
    assert!(matches!(error, BuildError::Capacity { .. }));
    let error = build(Cache::builder().max_entries(10).initial_capacity(11));
    assert!(matches!(error, BuildError::InitialCapacity { given: 11, max_entries: 10 }));
}

#[test]
fn neither_keys_nor_values_are_printed() {
    let (cache, _clock) = cache();
    cache.insert("session-4711", "secret-0815").unwrap();
    let error = cache.insert_new("session-4711", "secret-0815").unwrap_err();
    let pinned = cache.pin();
    let all = format!("{cache:?} {:#?} {error:?} {error} {pinned:?} {:?}", cache, cache.stats());
    assert!(!all.contains("4711") && !all.contains("0815"), "{all}");
}

#[test]
fn weak_hashers_only_make_it_slower() {
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().clock(clock).hasher(Constant).build().unwrap();
    for key in 0..3000u32 {
        cache.insert(key, key).unwrap();
    }
    assert!((0..3000).all(|key| cache.get(&key) == Some(key)));
    check(&cache);
    for key in 0..1500 {
        assert!(cache.remove(&key));
    }
    mock.advance(31 * MINUTE);
    assert_eq!(cache.sweep().expired, 1500);
    check(&cache);
}

#[test]
fn odd_shapes_of_keys_and_values_work() {
    #[repr(align(128))]
    #[derive(Clone, PartialEq, Debug)]
    struct Aligned(u8);
    let (aligned, _clock) = cache();
    let (large, _clock) = cache();
    let (empty, _clock) = cache::<(), ()>();
    for key in 0..100u8 {
        aligned.insert(key, Aligned(key)).unwrap();
        large.insert(key, [key; 1 << 16]).unwrap();
        empty.insert((), ()).unwrap();
    }
    for key in 0..100u8 {
        let address = aligned.get_with(&key, |value| std::ptr::from_ref(value).addr());
        assert_eq!(address.unwrap() % 128, 0);
        assert_eq!(aligned.get(&key), Some(Aligned(key)));
        assert!(large.get_with(&key, |value| value.iter().all(|b| *b == key)).unwrap());
    }
    assert_eq!(empty.len(), 1);
    check(&aligned);
    check(&large);
    check(&empty);
}

#[test]
fn running_out_of_slots_is_an_error_that_returns_the_value() {
    let (cache, _clock) = cache_with(|b| b.slot_limit(100));
    let mut stored = 0;
    let error = loop {
        match cache.insert(stored, stored) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.into_value(), stored), (InsertErrorKind::Full, 100, 100));
    assert!(cache.update(&1, 0).is_err(), "the new value would need a slot");
    assert_eq!(cache.peek(&1), Some(1));
    let pinned = cache.pin();
    assert!(cache.remove(&0));
    assert!(cache.insert(100, 100).is_err(), "the pin may still read what was removed");
    assert!(pinned.get(&1).is_some(), "everything else goes on");
    drop(pinned);
    flush_all(&cache);
    cache.insert(100, 100).unwrap();
    check(&cache);
}

#[test]
fn handles_can_be_shared_and_sent() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn cloned<T: Send + Sync + Clone>(_: &T) {}
    let (cache, clock) = cache::<String, Vec<u8>>();
    cloned(&cache);
    cloned(&cache.downgrade());
    cloned(&clock);
    cloned(&cache.clone().stats());
    cache.insert("a".into(), vec![]).unwrap();
    shared(&cache.hold("a").unwrap());
    shared(&cache.entry("a".into()));
    shared(&cache.iter());
    shared(&cache.keys());
    let load = cache.get_or_insert_async("b".into(), async { vec![] });
    shared(&load);
    drop(load);
    let _ = default_hasher();
}

#[test]
fn what_is_shown_for_debugging_has_neither_keys_nor_values() {
    let (cache, _clock) = cache::<&str, &str>();
    cache.insert("key-4711", "value-4711").unwrap();
    let error = cache.insert_new("key-4711", "value-4711").unwrap_err();
    let lease = cache.hold("key-4711").unwrap();
    let shown = [
        format!("{cache:?}"),
        format!("{:?}", cache.pin()),
        format!("{:?}", cache.entry("key-4711")),
        format!("{lease:?}"),
        format!("{:?}", cache.downgrade()),
        format!("{error:?} {error}"),
        format!("{:?}", cache.stats()),
        format!("{:?}", Cache::<&str, &str>::builder()),
        format!("{:?}", Sweeper::builder().watch(&cache)),
        format!("{:?} {:?}", cache.iter(), cache.keys()),
    ];
    assert!(!shown.iter().any(|text| text.contains("4711")), "{shown:?}");
}

/// A key that borrows as a number, and has its hash as the contract of `Borrow` demands.
#[derive(PartialEq, Eq, Hash)]
struct Name(u32);

impl std::borrow::Borrow<u32> for Name {
    fn borrow(&self) -> &u32 {
        &self.0
    }
}

/// Hashes a number by a shortcut of its own if it is all that is to be hashed.
#[derive(Clone, Default)]
struct Shortcut(std::hash::BuildHasherDefault<std::hash::DefaultHasher>);

impl std::hash::BuildHasher for Shortcut {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }

    fn hash_one<T: std::hash::Hash>(&self, key: T) -> u64 {
        let is_number = std::any::type_name::<T>().ends_with("u32");
        if is_number { 4711 } else { self.0.hash_one(key) }
    }
}

#[test]
fn a_borrowed_key_is_found_although_the_hasher_has_a_shortcut_for_its_type() {
    let cache = Cache::<Name, u32>::builder().hasher(Shortcut::default()).build().unwrap();
    cache.insert(Name(1), 1).unwrap();
    assert_eq!(cache.get(&1), Some(1));
    assert!(cache.remove(&1));
    check(&cache);
}
