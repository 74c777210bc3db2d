//! Limits on the children of one parent.

use crate::support::*;
use idlewheel::*;
use std::thread;

type Users = Cache<u32, u32>;
type Sessions = Cache<u64, u32, RandomState, u32>;

/// Users 1 and 2, and a cache of sessions, of which each may have two.
fn two_each(policy: CapacityPolicy) -> (Users, Sessions, MockClock) {
    let (users, mock) = cache_with(|builder: Builder<u32, u32>| builder.no_idle_timeout());
    let builder = Cache::<u64, u32>::builder().children_of(&users).idle_timeout(HOUR);
    let sessions = builder.max_children(2).capacity_policy(policy).build().unwrap();
    for user in [1, 2] {
        users.insert(user, 0).unwrap();
    }
    (users, sessions, mock)
}

fn children(sessions: &Sessions, user: u32) -> Vec<u64> {
    let mut keys = sessions.children(&user);
    keys.sort_unstable();
    keys
}

#[test]
fn the_child_that_expires_soonest_makes_room() {
    let (users, sessions, mock) = two_each(CapacityPolicy::EvictSoonestToExpire);
    for session in 0..4 {
        let user = 1 + (session / 2) as u32;
        sessions.insert_linked(session, 0, &user).unwrap();
        mock.advance(MINUTE);
    }
    sessions.get(&0);
    sessions.insert_linked(10, 0, &1).unwrap();
    assert_eq!((children(&sessions, 1), children(&sessions, 2)), (vec![0, 10], vec![2, 3]));
    assert_eq!(sessions.stats().removed.capacity, 1);
    // Replacing a value takes no place, and going over to another parent gives one back.
    sessions.insert_linked(10, 1, &1).unwrap();
    assert_eq!(children(&sessions, 1), [0, 10]);
    sessions.insert_linked(10, 1, &2).unwrap();
    assert_eq!((children(&sessions, 1), children(&sessions, 2)), (vec![0], vec![3, 10]));
    let lease = sessions.hold(&3).unwrap();
    sessions.insert_linked(11, 1, &2).unwrap();
    assert_eq!(children(&sessions, 2), [3, 11]);
    drop(lease);
    check(&sessions);
    check(&users);
}

#[test]
fn one_child_too_many_is_refused_until_another_one_is_gone() {
    let (users, sessions, mock) = two_each(CapacityPolicy::RejectNew);
    sessions.insert_linked(0, 0, &1).unwrap();
    sessions.insert_linked_with(1, 0, &1, Timeouts::new().idle(MINUTE)).unwrap();
    let error = sessions.insert_linked(2, 7, &1).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::TooManyChildren, 7));
    let error = sessions.entry(2).child_of(&1).or_insert_with(|| 7).unwrap_err();
    assert_eq!(error.kind(), Some(InsertErrorKind::TooManyChildren));
    assert_eq!(sessions.stats().refused, 2);
    mock.advance(2 * MINUTE);
    sessions.insert_linked(2, 0, &1).unwrap();
    assert_eq!((children(&sessions, 1), sessions.stats().removed.idle), (vec![0, 2], 1));
    sessions.remove(&0);
    sessions.insert_linked(3, 0, &1).unwrap();
    check(&sessions);
    check(&users);
}

#[test]
fn a_move_that_is_refused_leaves_the_entry_with_its_parent() {
    let (users, sessions, _mock) = two_each(CapacityPolicy::RejectNew);
    sessions.insert_linked(0, 7, &1).unwrap();
    sessions.insert_linked(1, 0, &2).unwrap();
    sessions.insert_linked(2, 0, &2).unwrap();
    let stays = |error: InsertError<u32>, kind| {
        assert_eq!((error.kind(), error.into_value()), (kind, 8));
        assert_eq!((sessions.peek(&0), children(&sessions, 1)), (Some(7), vec![0]), "{kind:?}");
        assert_eq!(sessions.stats().removed.total(), 0, "{kind:?}");
    };
    let error = sessions.insert_linked(0, 8, &2).unwrap_err();
    stays(error, InsertErrorKind::TooManyChildren);
    let error = sessions.insert_linked(0, 8, &3).unwrap_err();
    stays(error, InsertErrorKind::ParentGone);
    check(&sessions);
    check(&users);
}

#[test]
fn a_move_that_finds_no_slot_leaves_the_entry_with_its_parent() {
    let (users, _mock) = cache::<u32, u32>();
    let builder = Cache::<u64, u32>::builder().children_of(&users);
    let sessions = builder.slot_limit(1).build().unwrap();
    users.insert(1, 0).unwrap();
    users.insert(2, 0).unwrap();
    sessions.insert_linked(0, 7, &1).unwrap();
    for timeouts in [Timeouts::new(), Timeouts::new().idle(MINUTE)] {
        let error = sessions.insert_linked_with(0, 8, &2, timeouts).unwrap_err();
        assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::Full, 8));
        assert_eq!((sessions.peek(&0), children(&sessions, 1)), (Some(7), vec![0]));
    }
    assert_eq!((sessions.len(), sessions.stats().removed.total()), (1, 0));
    check(&sessions);
    check(&users);
}

#[test]
fn an_entry_moves_within_a_full_cache_and_nobody_makes_room() {
    for policy in [CapacityPolicy::EvictSoonestToExpire, CapacityPolicy::RejectNew] {
        let (users, _mock) = cache::<u32, u32>();
        let builder = Cache::<u64, u32>::builder().children_of(&users);
        let sessions = builder.max_entries(2).capacity_policy(policy).build().unwrap();
        users.insert(1, 0).unwrap();
        users.insert(2, 0).unwrap();
        sessions.insert_linked(0, 7, &1).unwrap();
        sessions.insert_linked(1, 0, &1).unwrap();
        sessions.insert_linked(1, 8, &2).unwrap();
        assert_eq!((children(&sessions, 1), children(&sessions, 2)), (vec![0], vec![1]));
        let stats = sessions.stats();
        assert_eq!((stats.removed.capacity, stats.removed.replaced, stats.refused), (0, 1, 0));
        assert_eq!(sessions.peek(&1), Some(8));
        check(&sessions);
        check(&users);
    }
}

#[test]
fn nobody_makes_room_for_a_child_that_is_refused() {
    let (users, mock) = cache::<u32, u32>();
    let builder = Cache::<u64, u32>::builder().children_of(&users).max_children(1);
    let sessions = builder.max_entries(2).slot_limit(3).build().unwrap();
    users.insert(1, 0).unwrap();
    users.insert(2, 0).unwrap();
    sessions.insert_linked(1, 0, &2).unwrap();
    mock.advance(MINUTE);
    sessions.insert_linked(0, 0, &1).unwrap();
    let lease = sessions.hold(&0).unwrap();
    // The child that is held may not go, so that of the other parent need not.
    let error = sessions.insert_linked(5, 0, &1).unwrap_err();
    assert_eq!(error.kind(), InsertErrorKind::TooManyChildren);
    assert_eq!((children(&sessions, 1), children(&sessions, 2)), (vec![0], vec![1]));
    drop(lease);
    // Its value lies in the last slot.
    sessions.update(&0, 1).unwrap();
    let error = sessions.insert_linked(5, 0, &1).unwrap_err();
    assert_eq!(error.kind(), InsertErrorKind::Full);
    assert_eq!((children(&sessions, 1), children(&sessions, 2)), (vec![0], vec![1]));
    assert_eq!(sessions.stats().removed.capacity, 0);
    check(&sessions);
    check(&users);
}

#[test]
fn what_is_refused_is_no_activity_of_the_parent() {
    let (users, mock) = cache::<u32, u32>();
    let builder = Cache::<u64, u32>::builder().children_of(&users).touches_parent(true);
    let sessions = builder.no_idle_timeout().slot_limit(1).build().unwrap();
    users.insert(1, 0).unwrap();
    sessions.insert_linked(0, 0, &1).unwrap();
    mock.advance(20 * MINUTE);
    let idle = || users.remaining(&1).unwrap().idle;
    let before = idle();
    sessions.insert_linked(1, 0, &1).unwrap_err();
    sessions.insert_linked(0, 1, &1).unwrap_err();
    sessions.update(&0, 1).unwrap_err();
    assert_eq!(sessions.modify(&0, |_| 1).unwrap_err().kind(), InsertErrorKind::Full);
    assert_eq!(idle(), before);
    assert_eq!((sessions.get(&0), idle() > before), (Some(0), true));
    check(&sessions);
    check(&users);
}

#[test]
fn the_next_parent_under_the_key_begins_with_no_children() {
    let (users, sessions, _mock) = two_each(CapacityPolicy::RejectNew);
    for round in 0..50 {
        sessions.insert_linked(2 * round, 0, &1).unwrap();
        sessions.insert_linked(2 * round + 1, 0, &1).unwrap();
        sessions.insert_linked(1000, 0, &1).unwrap_err();
        users.remove(&1);
        sessions.insert_linked(1000, 0, &1).unwrap_err();
        if round % 2 == 0 {
            flush_all(&users);
        }
        users.insert(1, 0).unwrap();
    }
    flush_all(&users);
    flush_all(&sessions);
    assert_eq!(sessions.len(), 0);
    check(&sessions);
    check(&users);
}

#[test]
fn the_limit_holds_whoever_inserts_and_removes() {
    for policy in [CapacityPolicy::EvictSoonestToExpire, CapacityPolicy::RejectNew] {
        let (users, sessions, mock) = two_each(policy);
        thread::scope(|scope| {
            for seed in 0..3 {
                let (users, sessions, mock) = (&users, &sessions, &mock);
                scope.spawn(move || {
                    let mut random = Random(seed);
                    for _ in 0..20_000 {
                        let (session, user) = (random.below(12), 1 + random.below(2) as u32);
                        match random.below(8) {
                            0..4 => _ = sessions.insert_linked(session, 0, &user).ok(),
                            4 => _ = sessions.remove(&session),
                            5 => _ = sessions.touch(&session),
                            6 => _ = sessions.count_children(&user),
                            _ if random.below(9) > 0 => mock.advance(SECOND),
                            _ => {
                                users.remove(&user);
                                users.insert(user, 0).unwrap();
                            }
                        }
                    }
                });
            }
        });
        assert!([1, 2].iter().all(|user| sessions.count_children(user) <= 2));
        flush_all(&users);
        flush_all(&sessions);
        check_after_races(&sessions);
        check_after_races(&users);
    }
}

#[test]
fn a_limit_of_children_needs_a_link() {
    let error = Cache::<u32, u32>::builder().max_children(3).build().unwrap_err();
    assert_eq!(error, BuildError::NotLinked);
}
