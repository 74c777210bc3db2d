//! Entries that get another key.

use crate::support::*;
use idlewheel::*;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[test]
fn an_entry_keeps_everything_but_its_key() {
    let (cache, mock) = cache_with(|builder: Builder<u32, u32>| builder.absolute_timeout(2 * HOUR));
    cache.insert_with(1, 10, Timeouts::new().idle(HOUR)).unwrap();
    let lease = cache.hold(&1).unwrap();
    mock.advance(HOUR);
    cache.rekey(&1, 2).unwrap();
    assert_eq!((cache.get(&1), cache.get(&2), cache.len()), (None, Some(10), 1));
    drop(lease);
    let remaining = cache.remaining(&2).unwrap();
    assert!(remaining.idle.unwrap() <= HOUR && remaining.idle.unwrap() > HOUR - SECOND);
    assert!(remaining.absolute.unwrap() <= HOUR);
    assert_eq!((cache.stats().inserted, cache.stats().removed.total()), (1, 0));
    cache.update(&2, 11).unwrap();
    assert_eq!((cache.peek(&2), cache.update(&1, 0).is_err()), (Some(11), true));
    mock.advance(61 * MINUTE);
    assert_eq!((cache.sweep().expired, cache.get(&2)), (1, None));
    flush_all(&cache);
    check(&cache);
    let census = cache.validate().unwrap();
    assert_eq!((census.aliases, census.holders, census.free), (0, 0, census.slots));
}

#[test]
fn the_old_key_is_free_and_the_new_one_is_taken() {
    let (cache, _mock) = cache::<u32, u32>();
    cache.insert(1, 10).unwrap();
    cache.insert(2, 20).unwrap();
    assert_eq!(cache.rekey(&1, 2), Err(RekeyError::Exists));
    assert_eq!(cache.rekey(&1, 1), Err(RekeyError::Exists));
    assert_eq!(cache.rekey(&3, 4), Err(RekeyError::Missing));
    cache.rekey(&1, 3).unwrap();
    assert_eq!(cache.insert(1, 11).unwrap(), Inserted::New);
    assert_eq!(cache.insert_new(3, 0).unwrap_err().kind(), InsertErrorKind::Exists);
    // Round and round, and back to keys that were its own.
    for round in 0..100 {
        cache.rekey(&3, 4).unwrap();
        cache.rekey(&1, 3).unwrap();
        cache.rekey(&4, 1).unwrap();
        let (first, second) = if round % 2 == 0 { (10, 11) } else { (11, 10) };
        assert_eq!((cache.get(&1), cache.get(&3)), (Some(first), Some(second)));
    }
    check(&cache);
    flush_all(&cache);
    let census = cache.validate().unwrap();
    assert_eq!((census.live, census.aliases, census.waiting), (3, 2, 0));
    assert!(cache.remove(&1) && cache.remove(&3) && !cache.remove(&4));
    flush_all(&cache);
    assert_eq!(cache.len(), 1);
    check(&cache);
}

#[test]
fn a_key_that_expired_or_is_loaded_is_free() {
    let (cache, mock) = cache::<u32, u32>();
    cache.insert(2, 20).unwrap();
    mock.advance(20 * MINUTE);
    cache.insert(1, 10).unwrap();
    mock.advance(20 * MINUTE);
    cache.rekey(&1, 2).unwrap();
    assert_eq!(cache.get(&2), Some(10));
    let loaded = cache.get_or_insert_with(3, || {
        cache.rekey(&2, 3).unwrap();
        30
    });
    assert_eq!(loaded.unwrap(), 10);
    check(&cache);
}

#[test]
fn iterators_conditions_and_events_see_the_present_key() {
    let told = std::sync::Arc::new(Mutex::new(Vec::new()));
    let events = std::sync::Arc::clone(&told);
    let (cache, _mock) = cache_with(|builder: Builder<u32, u32>| {
        builder.on_removal(move |key, value, cause| {
            events.lock().unwrap().push((*key, *value, cause));
        })
    });
    for key in 0..5 {
        cache.insert(key, 10 * key).unwrap();
        cache.rekey(&key, 100 + key).unwrap();
    }
    cache.rekey(&100, 200).unwrap();
    let sorted = |mut keys: Vec<u32>| {
        keys.sort_unstable();
        keys
    };
    assert_eq!(sorted(cache.keys().collect()), [101, 102, 103, 104, 200]);
    assert_eq!(
        sorted(cache.pin().iter().map(|(key, _)| *key).collect()),
        [101, 102, 103, 104, 200]
    );
    cache.retain(|key, value| *key != 101 && *value < 40);
    assert_eq!(sorted(cache.keys().collect()), [102, 103, 200]);
    cache.update(&102, 21).unwrap();
    cache.update(&102, 22).unwrap();
    let drained = cache.drain().map(|(key, _)| key).collect();
    assert_eq!(sorted(drained), [102, 103, 200]);
    flush_all(&cache);
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|event| (event.0, event.1));
    let explicit = |key, value| (key, value, RemovalCause::Explicit);
    let replaced = |key, value| (key, value, RemovalCause::Replaced);
    let expected = [explicit(101, 10), replaced(102, 20), replaced(102, 21), explicit(102, 22)];
    assert_eq!(told[..4], expected);
    assert_eq!(told[4..], [explicit(103, 30), explicit(104, 40), explicit(200, 0)]);
    check(&cache);
}

#[test]
fn links_stay_whichever_is_renamed() {
    let (users, mock) = cache::<u32, u32>();
    let keys = Cache::<u32, u32>::builder().linked_to(&users).build().unwrap();
    let sessions = Cache::<u64, u32>::builder().children_of(&users).build().unwrap();
    for user in 0..3 {
        users.insert(user, 0).unwrap();
        keys.insert(user, 10 + user).unwrap();
        sessions.insert_linked(user.into(), 0, &user).unwrap();
    }
    keys.rekey(&0, 100).unwrap();
    users.rekey(&0, 100).unwrap();
    sessions.rekey(&0, 1000).unwrap();
    users.rekey(&1, 101).unwrap();
    assert_eq!((keys.get(&100), keys.get(&0)), (Some(10), None));
    assert_eq!(sessions.children(&100), [1000]);
    assert_eq!((keys.children(&100), sessions.children(&101)), (vec![100], vec![1]));
    // New children of one that was renamed, of the same key and of others.
    keys.insert(101, 11).unwrap();
    sessions.insert_linked(7, 0, &101).unwrap();
    assert_eq!(keys.insert(1, 12).is_err(), keys.get(&1).is_none());
    assert_eq!(sessions.insert_linked(8, 0, &1).unwrap_err().kind(), InsertErrorKind::ParentGone);
    assert!(users.remove(&100) && users.remove(&101));
    assert_eq!((keys.get(&100), keys.get(&101), keys.get(&1)), (None, None, None));
    assert_eq!([1000, 1, 7].map(|session| sessions.get(&session)), [None; 3]);
    for _ in 0..2 {
        flush_all(&users);
        flush_all(&keys);
        flush_all(&sessions);
    }
    assert_eq!((users.len(), keys.len(), sessions.len()), (1, 1, 1));
    mock.advance(HOUR);
    users.sweep();
    flush_all(&users);
    assert_eq!((keys.len(), sessions.len()), (0, 0), "a child was forgotten");
    check(&users);
    check(&keys);
    check(&sessions);
}

#[test]
fn a_cascade_finds_the_children_that_a_renamed_parent_got_since() {
    let (users, _mock) = cache::<u32, u32>();
    let keys = Cache::<u32, u32>::builder().linked_to(&users).build().unwrap();
    for user in 0..10 {
        users.insert(user, 0).unwrap();
        users.rekey(&user, 100 + user).unwrap();
        keys.insert(100 + user, 0).unwrap();
        keys.get_or_insert_with(100 + user, || unreachable!()).unwrap();
        users.remove(&(100 + user));
    }
    // No read of the children: that would remove them.
    users.flush();
    flush_all(&users);
    assert_eq!(keys.len(), 0);
    check(&users);
    check(&keys);
}

#[test]
fn the_drop_of_a_cache_drops_every_key_once() {
    let tally = Tally::default();
    #[derive(Clone)]
    struct Name(u32, #[allow(dead_code, reason = "counts")] std::sync::Arc<Counted>);
    impl PartialEq for Name {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Name {}
    impl Hash for Name {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl std::borrow::Borrow<u32> for Name {
        fn borrow(&self) -> &u32 {
            &self.0
        }
    }
    let name = |number| Name(number, std::sync::Arc::new(tally.value()));
    let (cache, _mock) = cache::<Name, ()>();
    for number in 0..50 {
        cache.insert(name(number), ()).unwrap();
        for step in 1..4 {
            cache.rekey(&(number + 100 * (step - 1)), name(number + 100 * step)).unwrap();
            _ = cache.rekey(&9999, name(1));
        }
        if number % 3 == 0 {
            cache.remove(&(number + 300));
        }
    }
    flush_all(&cache);
    check(&cache);
    drop(cache);
    assert_eq!(tally.made(), tally.dropped());
}

/// A key whose comparison panics at the n-th call.
#[derive(Debug, Clone)]
struct Burning(u32);

thread_local! {
    static FUSE: Cell<i64> = const { Cell::new(-1) };
}

impl PartialEq for Burning {
    fn eq(&self, other: &Self) -> bool {
        FUSE.set(FUSE.get() - 1);
        assert_ne!(FUSE.get(), 0, "a comparison that panics");
        self.0 == other.0
    }
}

impl Eq for Burning {}

impl Hash for Burning {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One bucket, so that all are compared.
        0.hash(state);
    }
}

#[test]
fn a_panic_in_eq_leaves_the_entry_under_its_old_key() {
    let (mut fuse, mut done) = (1, false);
    while !done {
        let (cache, _mock) = cache::<Burning, u32>();
        for key in 0..4 {
            cache.insert(Burning(key), key).unwrap();
        }
        FUSE.set(fuse);
        let renamed = catch_unwind(AssertUnwindSafe(|| cache.rekey(&Burning(1), Burning(9))));
        done = FUSE.replace(-1) > 0;
        assert_eq!(renamed.is_ok(), done);
        assert_eq!(cache.get(&Burning(1)), (!done).then_some(1));
        assert_eq!(cache.get(&Burning(9)), done.then_some(1));
        flush_all(&cache);
        check(&cache);
        assert_eq!(cache.validate().unwrap().aliases, u64::from(done));
        fuse += 1;
    }
    assert!(fuse > 4, "nothing was compared");
}

#[test]
fn a_full_slab_refuses_and_changes_nothing() {
    let (cache, _mock) = cache_with(|builder: Builder<u32, u32>| builder.slot_limit(1));
    let mut key = 0;
    while cache.insert(key, key).is_ok() {
        key += 1;
    }
    assert_eq!(cache.rekey(&0, 1_000_000), Err(RekeyError::Full));
    assert_eq!((cache.get(&0), cache.get(&1_000_000)), (Some(0), None));
    check(&cache);
}

#[test]
fn entries_that_many_threads_rename_stay_one_each() {
    const KEYS: u64 = 40;
    let (cache, mock) = cache::<u64, u64>();
    let inserted = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..3 {
            let (cache, mock, inserted) = (&cache, &mock, &inserted);
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..30_000 {
                    let (one, other) = (random.below(KEYS), random.below(KEYS));
                    match random.below(12) {
                        0..5 => _ = cache.rekey(&one, other),
                        5 => {
                            if cache.insert_new(one, inserted.load(Ordering::Relaxed)).is_ok() {
                                inserted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        6 => _ = cache.remove(&one),
                        7 => _ = cache.get(&one),
                        8 => _ = cache.modify(&one, |value| value + 1),
                        9 => drop(cache.hold(&one)),
                        10 if random.below(20) == 0 => mock.advance(MINUTE),
                        10 => _ = cache.sweep(),
                        _ => {
                            let keys: Vec<u64> = cache.keys().collect();
                            assert!(keys.iter().all(|key| *key < KEYS));
                        }
                    }
                }
            });
        }
    });
    assert_eq!(cache.stats().inserted - cache.stats().removed.replaced, inserted.into_inner());
    let found = (0..KEYS).filter(|key| cache.contains_key(key)).count();
    assert_eq!(found, cache.len());
    flush_all(&cache);
    check_after_races(&cache);
}
