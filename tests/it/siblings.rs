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
