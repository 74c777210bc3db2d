//! Key material: once its time is over, it is nowhere in the memory of the process. The heap is
//! searched for it, piece by piece.
#![cfg(not(loom))]

#[path = "secrets/family.rs"]
mod family;
#[path = "secrets/heap.rs"]
mod heap;

use family::{Key, MINUTE, TIMEOUT, alice, check, check_both, family};
use heap::{Canary, PIECES};
use idlewheel::{Cache, Clock, InsertErrorKind, Inserted, Sweeper};
use std::hash::{Hash, Hasher};
use std::thread;
use std::time::Duration;
use zeroize::Zeroizing;

/// A key without a `Drop` that wipes it.
struct Unwiped(#[expect(dead_code)] [u8; 32]);

#[test]
fn the_search_finds_a_key_while_it_lives() {
    let canary = Canary::new();
    assert_eq!(canary.live(), 0);
    let (contexts, keys, _mock) = alice(false, canary.key());
    assert_eq!(canary.live(), PIECES);
    let boxed = Box::new(canary.key());
    assert_eq!(canary.live(), 2 * PIECES);
    drop(boxed);
    assert_eq!((canary.live(), canary.freed()), (PIECES, 0));
    assert!(contexts.remove("alice"));
    contexts.flush();
    check_both(&contexts, &keys);
}

/// What the other tests find gone is gone because it was wiped, not because it was overlooked.
#[test]
fn the_search_finds_a_key_that_was_not_wiped_after_it_was_dropped() {
    let canary = Canary::new();
    let (contexts, keys, _mock) = alice(false, Unwiped(canary.bytes()));
    assert!(contexts.remove("alice"));
    contexts.flush();
    check_both(&contexts, &keys);
    assert_eq!((canary.live(), canary.freed()), (PIECES, 0), "in the slot");
    drop(keys);
    drop(contexts);
    assert_eq!((canary.live(), canary.freed()), (0, PIECES), "in the slot as it was freed");

    let (contexts, keys, _mock) = alice(false, Box::new(Unwiped(canary.bytes())));
    assert!(contexts.remove("alice"));
    contexts.flush();
    check_both(&contexts, &keys);
    assert_eq!((canary.live(), canary.freed()), (0, 2 * PIECES), "in a box of its own");
}

#[test]
fn one_sweep_after_the_contexts_deadline_wipes_its_key() {
    for absolute in [false, true] {
        for by_child in [false, true] {
            let canary = Canary::new();
            let (contexts, keys, mock) = alice(absolute, canary.key());
            mock.advance(TIMEOUT);
            assert!(keys.contains_key("alice"), "live to the end");
            contexts.sweep();
            assert_eq!(canary.live(), PIECES);
            mock.advance(MINUTE);
            let report = if by_child { keys.sweep() } else { contexts.sweep() };
            assert_eq!((report.expired, report.cascaded, report.more), (1, 1, false));
            canary.assert_gone();
            check_both(&contexts, &keys);
        }
    }
}

#[test]
fn a_key_that_a_reader_found_expired_is_wiped_by_the_next_flush() {
    let canary = Canary::new();
    let (contexts, keys, mock) = alice(false, canary.key());
    // By default an expiry is late by two ticks at most, of 1.07 s for this timeout.
    mock.advance(TIMEOUT + Duration::from_nanos(2 << 30));
    assert!(keys.get("alice").is_none());
    assert_eq!(canary.live(), PIECES, "readers drop nothing");
    keys.flush();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn one_round_of_a_sweeper_wipes_the_key() {
    for by_child in [false, true] {
        let canary = Canary::new();
        let (contexts, keys, mock) = alice(false, canary.key());
        let sweeper = Sweeper::builder();
        let sweeper = if by_child { sweeper.watch(&keys) } else { sweeper.watch(&contexts) };
        let sweeper = sweeper.interval(Duration::from_secs(3600)).spawn().unwrap();
        let round = || {
            let before = sweeper.rounds();
            sweeper.trigger();
            while sweeper.rounds() == before {
                thread::yield_now();
            }
        };
        mock.advance(TIMEOUT);
        round();
        assert_eq!(canary.live(), PIECES);
        mock.advance(MINUTE);
        round();
        canary.assert_gone();
        assert_eq!((contexts.len(), keys.len()), (0, 0));
        check_both(&contexts, &keys);
    }
}

#[test]
fn a_logout_and_a_flush_wipe_the_key() {
    for by_child in [false, true] {
        let canary = Canary::new();
        let (contexts, keys, _mock) = alice(false, canary.key());
        assert!(contexts.remove("alice"));
        assert!(keys.peek("alice").is_none());
        let count = if by_child { keys.flush() } else { contexts.flush() };
        assert_eq!(count, 2);
        canary.assert_gone();
        check_both(&contexts, &keys);
    }
}

#[test]
fn a_key_that_was_taken_or_removed_is_wiped_by_a_flush() {
    let canary = Canary::new();
    let (contexts, keys, _mock) = alice(false, canary.key());
    assert_eq!(keys.take("alice"), Some(canary.key()));
    keys.flush();
    canary.assert_gone();
    keys.insert("alice".into(), canary.key()).unwrap();
    keys.clear();
    keys.flush();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn keys_in_memory_of_their_own_are_wiped_before_it_is_freed() {
    let canary = Canary::new();
    let (contexts, keys, mock) = alice(false, Box::new(canary.key()));
    assert_eq!(canary.live(), PIECES);
    contexts.remove("alice");
    contexts.flush();
    canary.assert_gone();
    contexts.insert("alice".into(), 2).unwrap();
    keys.insert("alice".into(), Box::new(canary.key())).unwrap();
    mock.advance(TIMEOUT + MINUTE);
    contexts.sweep();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn a_replaced_key_is_wiped_while_its_entry_lives_on() {
    let canary = Canary::new();
    // The first value lies in the slot of its entry, each later one in a slot of its own.
    let (contexts, keys, mock) = alice(false, canary.key());
    for _ in 0..3 {
        let other = keys.insert("alice".into(), Key::default()).unwrap();
        assert_eq!(other, Inserted::Replaced);
        assert_eq!(canary.live(), PIECES, "readers may still see it");
        keys.flush();
        canary.assert_gone();
        keys.update("alice", canary.key()).unwrap();
        keys.flush();
        assert_eq!(canary.live(), PIECES);
    }
    // Both of them wait when the context ends.
    keys.insert("alice".into(), canary.key()).unwrap();
    assert_eq!(canary.live(), 2 * PIECES);
    mock.advance(TIMEOUT + MINUTE);
    contexts.sweep();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn a_first_key_and_its_replacement_are_wiped_together() {
    let canary = Canary::new();
    let (contexts, keys, _mock) = alice(false, canary.key());
    keys.insert("alice".into(), canary.key()).unwrap();
    assert_eq!(canary.live(), 2 * PIECES);
    contexts.remove("alice");
    contexts.flush();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn a_refused_key_leaves_nothing_behind() {
    let canary = Canary::new();
    let (contexts, keys, _mock) = family(false);
    let refused = keys.insert("alice".into(), canary.key()).unwrap_err();
    assert_eq!(refused.kind(), InsertErrorKind::ParentGone);
    assert_eq!(refused.into_value(), canary.key());
    assert!(keys.update("alice", canary.key()).is_err());
    contexts.insert("alice".into(), 1).unwrap();
    keys.insert("alice".into(), Key::default()).unwrap();
    let refused = keys.insert_new("alice".into(), canary.key()).unwrap_err();
    assert_eq!(refused.kind(), InsertErrorKind::Exists);
    drop(refused);
    canary.assert_gone();
    contexts.flush();
    check_both(&contexts, &keys);
}

#[test]
fn dropping_the_contexts_wipes_the_keys_by_the_next_flush_or_sweep() {
    for sweeps in [false, true] {
        let canary = Canary::new();
        let (contexts, keys, _mock) = alice(false, canary.key());
        drop(contexts);
        assert!(keys.peek("alice").is_none(), "gone with the cache of the contexts");
        if sweeps {
            keys.sweep();
        } else {
            keys.flush();
        }
        canary.assert_gone();
        assert_eq!(keys.stats().removed.cascade, 1);
        check(&keys);
    }
}

#[test]
fn dropping_the_keys_wipes_them_before_drop_returns() {
    let canary = Canary::new();
    let (contexts, keys, mock) = alice(false, canary.key());
    keys.insert("alice".into(), canary.key()).unwrap();
    for user in ["bob", "carol", "dave"] {
        contexts.insert(user.into(), 1).unwrap();
        keys.insert(user.into(), canary.key()).unwrap();
    }
    keys.remove("bob");
    contexts.remove("carol");
    assert_eq!(canary.live(), 5 * PIECES);
    mock.advance(TIMEOUT + MINUTE);
    drop(keys);
    canary.assert_gone();
    contexts.sweep();
    check(&contexts);
}

#[test]
fn a_reader_delays_the_wipe_and_its_end_allows_it() {
    let canary = Canary::new();
    let (contexts, keys, _mock) = alice(false, canary.key());
    let pinned = keys.pin();
    let key = pinned.peek("alice").unwrap();
    contexts.remove("alice");
    contexts.flush();
    assert!(keys.peek("alice").is_none(), "unreadable for those who come now");
    assert_eq!(**key, canary.bytes(), "and whole for the one who has it");
    assert_eq!(canary.live(), PIECES);
    drop(pinned);
    contexts.flush();
    canary.assert_gone();
    check_both(&contexts, &keys);
}

#[test]
fn keys_two_links_down_are_wiped_by_the_same_flush() {
    let canary = Canary::new();
    let (clock, _mock) = Clock::mock();
    let users: Cache<String, u32> = Cache::builder().clock(clock).build().unwrap();
    let sessions = Cache::<u64, u32>::builder().children_of(&users).build().unwrap();
    let keys = Cache::<u64, Key>::builder().linked_to(&sessions).build().unwrap();
    users.insert("alice".into(), 1).unwrap();
    for session in 0..10 {
        sessions.insert_linked(session, 1, "alice").unwrap();
        keys.insert(session, canary.key()).unwrap();
    }
    assert_eq!(canary.live(), 10 * PIECES);
    users.remove("alice");
    users.flush();
    canary.assert_gone();
    check(&users);
    check(&sessions);
    check(&keys);
}

#[test]
fn thousands_of_keys_that_end_in_every_way_leave_nothing_behind() {
    let canary = Canary::new();
    let (contexts, keys, mock) = family(false);
    for user in 0..6000 {
        contexts.insert(format!("{user}"), user).unwrap();
        keys.insert(format!("{user}"), canary.key()).unwrap();
    }
    assert_eq!(canary.live(), 6000 * PIECES, "however much the cache has grown");
    for user in 0..1000 {
        contexts.remove(&format!("{user}"));
        keys.insert(format!("{}", user + 1000), canary.key()).unwrap();
        contexts.touch(&format!("{}", user + 5000));
    }
    mock.advance(TIMEOUT - MINUTE);
    (2000..3000).for_each(|user| assert!(contexts.touch(&format!("{user}"))));
    mock.advance(2 * MINUTE);
    (3000..3500).for_each(|user| assert!(keys.get(&format!("{user}")).is_none()));
    while contexts.sweep().more {}
    assert_eq!(canary.live(), 1000 * PIECES);
    assert_eq!((contexts.len(), keys.len()), (1000, 1000));
    check_both(&contexts, &keys);
    mock.advance(TIMEOUT + MINUTE);
    while keys.sweep().more {}
    canary.assert_gone();
    check_both(&contexts, &keys);
}

/// A session id that is a secret itself, and wiped.
#[derive(Clone, PartialEq, Eq)]
struct Id(Zeroizing<[u8; 32]>);

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_slice().hash(state);
    }
}

#[test]
fn ids_that_wipe_themselves_are_wiped_with_their_entries() {
    let canary = Canary::new();
    let id = || Id(canary.key());
    let family = || {
        let (clock, mock) = Clock::mock();
        let contexts = Cache::<Id, u32>::builder().clock(clock).build().unwrap();
        let keys = Cache::<Id, u32>::builder().linked_to(&contexts).build().unwrap();
        contexts.insert(id(), 1).unwrap();
        keys.insert(id(), 1).unwrap();
        assert_eq!(canary.live(), 2 * PIECES);
        (contexts, keys, mock)
    };
    let (contexts, keys, mock) = family();
    keys.insert(id(), 2).unwrap();
    assert_eq!(canary.live(), 2 * PIECES, "the second id was not needed");
    mock.advance(TIMEOUT + MINUTE);
    contexts.sweep();
    canary.assert_gone();
    assert!(keys.insert(id(), 3).is_err());
    contexts.insert(id(), 2).unwrap();
    contexts.remove(&id());
    contexts.flush();
    canary.assert_gone();
    drop((contexts, keys));
    let (contexts, keys, _mock) = family();
    drop(contexts);
    keys.flush();
    canary.assert_gone();
    check(&keys);
    let (contexts, keys, _mock) = family();
    drop(keys);
    assert_eq!(canary.live(), PIECES);
    drop(contexts);
    canary.assert_gone();
}

#[test]
fn inserts_that_race_for_one_id_leave_no_copy_of_it_behind() {
    let canary = Canary::new();
    let cache = Cache::<Id, ()>::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let id = || Id(canary.key());
                for _ in 0..30_000 {
                    let _ = cache.insert_new(id(), ());
                    cache.remove(&id());
                }
            });
        }
    });
    cache.clear();
    while cache.stats().pending_reclamation > 0 {
        cache.flush();
    }
    canary.assert_gone();
    check(&cache);
}

#[test]
fn threads_that_race_for_few_users_leave_nothing_behind() {
    let canary = Canary::new();
    let (contexts, keys, mock) = family(false);
    let users: Vec<String> = (0..3).map(|user| user.to_string()).collect();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (contexts, keys, mock, users, canary) = (&contexts, &keys, &mock, &users, &canary);
            scope.spawn(move || {
                for round in 0..20_000usize {
                    let user = &users[(round / 7 + thread) % users.len()];
                    match (round + thread) % 5 {
                        0 => drop(contexts.insert(user.clone(), 1)),
                        1 | 2 => drop(keys.insert(user.clone(), canary.key())),
                        3 => drop(keys.get(user)),
                        _ => drop(contexts.remove(user)),
                    }
                    if round % 1000 == 0 {
                        mock.advance(MINUTE);
                        contexts.sweep();
                    }
                }
            });
        }
    });
    contexts.clear();
    while contexts.stats().pending_reclamation + keys.stats().pending_reclamation > 0 {
        contexts.flush();
    }
    canary.assert_gone();
    check_both(&contexts, &keys);
}
