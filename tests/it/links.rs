//! Linked caches: a child lives only while its parent does.

use crate::support::{
    HOUR, MINUTE, Random, SECOND, TICK, Tally, cache, cache_with, check, check_after_races,
    flush_all,
};
use idlewheel::{
    BuildError, Cache, Clock, InsertErrorKind, Inserted, MockClock, RandomState, SweepBudget,
    Timeouts,
};
use std::sync::atomic::{AtomicBool, Ordering};

type Children = Cache<u64, u64, RandomState, u64>;

/// Contexts that die after 30 idle minutes, and keys under the same ids.
fn contexts_and_keys() -> (Cache<u64, u64>, Cache<u64, u64>, MockClock) {
    let (contexts, mock) = cache();
    let keys = Cache::builder().linked_to(&contexts).build().unwrap();
    (contexts, keys, mock)
}

/// Users, and sessions of theirs under ids of their own.
fn users_and_sessions() -> (Cache<u64, u64>, Children, MockClock) {
    let (users, mock) = cache();
    let sessions = Cache::builder().children_of(&users).tick(TICK).build().unwrap();
    (users, sessions, mock)
}

fn kind<T: std::fmt::Debug, V>(result: Result<T, idlewheel::InsertError<V>>) -> InsertErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_child_is_unreadable_once_its_parent_is_dead_however_it_died() {
    type End = fn(Cache<u64, u64>, &MockClock) -> Option<Cache<u64, u64>>;
    let ends: [(&str, End); 5] = [
        ("removed", |contexts, _| {
            contexts.remove(&1);
            Some(contexts)
        }),
        ("taken", |contexts, _| {
            contexts.take(&1);
            Some(contexts)
        }),
        ("cleared", |contexts, _| {
            contexts.clear();
            Some(contexts)
        }),
        ("expired", |contexts, mock| {
            mock.advance(30 * MINUTE + TICK);
            Some(contexts)
        }),
        ("dropped", |_, _| None),
    ];
    for (name, end) in ends {
        let (contexts, keys, mock) = contexts_and_keys();
        contexts.insert(1, 10).unwrap();
        keys.insert(1, 20).unwrap();
        assert_eq!(keys.get(&1), Some(20), "{name}");
        let contexts = end(contexts, &mock);
        assert_eq!(keys.get(&1), None, "{name}");
        assert_eq!(keys.peek(&1), None, "{name}");
        assert_eq!(keys.pin().get(&1), None, "{name}");
        assert!(!keys.contains_key(&1) && !keys.touch(&1) && !keys.remove(&1), "{name}");
        assert_eq!(kind(keys.insert(1, 21)), InsertErrorKind::ParentGone, "{name}");
        assert_eq!(kind(keys.update(&1, 21)), InsertErrorKind::Missing, "{name}");
        keys.sweep();
        assert_eq!((keys.len(), keys.stats().removed.cascade), (0, 1), "{name}");
        contexts.iter().for_each(check);
        check(&keys);
    }
}

#[test]
fn a_sweep_of_any_cache_of_the_family_cascades_and_erases() {
    for sweep_parent in [true, false] {
        let (clock, mock) = Clock::mock();
        let contexts: Cache<u64, ()> = Cache::builder().clock(clock).build().unwrap();
        let keys = Cache::builder().linked_to(&contexts).build().unwrap();
        let tally = Tally::default();
        for id in 0..1000 {
            contexts.insert(id, ()).unwrap();
            keys.insert(id, tally.value()).unwrap();
        }
        mock.advance(32 * MINUTE);
        let report = if sweep_parent { contexts.sweep() } else { keys.sweep() };
        assert_eq!((report.expired, report.cascaded, report.visited), (1000, 1000, 2000));
        flush_all(&contexts);
        flush_all(&keys);
        assert_eq!((tally.dropped(), keys.len()), (1000, 0));
        check(&contexts);
        check(&keys);
    }
}

#[test]
fn a_sweep_of_any_cache_reaches_grandchildren_that_die_of_themselves() {
    let (contexts, keys, mock) = contexts_and_keys();
    let grandchildren: Cache<u64, u64> =
        Cache::builder().linked_to(&keys).idle_timeout(5 * MINUTE).build().unwrap();
    for (round, cache) in (1..).zip([&contexts, &keys, &grandchildren]) {
        contexts.insert(round, 0).unwrap();
        keys.insert(round, 0).unwrap();
        grandchildren.insert(round, 0).unwrap();
        mock.advance(6 * MINUTE);
        let report = cache.sweep();
        assert_eq!((report.expired, grandchildren.len()), (1, 0));
        assert_eq!((contexts.len() as u64, keys.len() as u64), (round, round));
    }
    [&contexts, &keys, &grandchildren].into_iter().for_each(check);
}

#[test]
fn a_child_needs_a_live_parent_and_gets_its_value_back_without_one() {
    let (contexts, keys, mock) = contexts_and_keys();
    let error = keys.insert(1, 77).unwrap_err();
    assert_eq!((error.kind(), error.into_value()), (InsertErrorKind::ParentGone, 77));
    contexts.insert(1, 0).unwrap();
    mock.advance(31 * MINUTE);
    assert_eq!(kind(keys.insert(1, 1)), InsertErrorKind::ParentGone, "expired");
    contexts.insert(1, 0).unwrap();
    keys.insert_new(1, 1).unwrap();
    assert_eq!(kind(keys.insert_new(1, 2)), InsertErrorKind::Exists);
    assert_eq!(keys.insert(1, 3).unwrap(), Inserted::Replaced);
    assert_eq!(keys.get(&1), Some(3));
    check(&contexts);
    check(&keys);
}

#[test]
fn a_replaced_parent_keeps_its_children_and_a_new_one_inherits_none() {
    let (contexts, keys, _mock) = contexts_and_keys();
    contexts.insert(1, 10).unwrap();
    keys.insert(1, 20).unwrap();
    contexts.insert(1, 11).unwrap();
    contexts.update(&1, 12).unwrap();
    assert!(contexts.renew(&1));
    assert_eq!(keys.get(&1), Some(20), "the parent is still the same");
    contexts.remove(&1);
    contexts.insert(1, 13).unwrap();
    assert_eq!(keys.get(&1), None, "another parent");
    keys.insert(1, 21).unwrap();
    contexts.sweep();
    assert_eq!(keys.get(&1), Some(21), "the old parent's cascade leaves the new child alone");
    check(&contexts);
    check(&keys);
}

#[test]
fn reading_a_child_keeps_it_but_not_its_parent() {
    let (contexts, mock) = cache::<u64, u64>();
    let builder = Cache::builder().linked_to(&contexts).idle_timeout(20 * MINUTE);
    let keys: Cache<u64, u64> = builder.tick(TICK).build().unwrap();
    contexts.insert(1, 0).unwrap();
    keys.insert(1, 0).unwrap();
    for _ in 0..2 {
        mock.advance(15 * MINUTE);
        assert!(keys.touch(&1));
    }
    mock.advance(TICK);
    assert_eq!(keys.get(&1), None, "the parent was idle for 30 minutes");
    assert!(!contexts.contains_key(&1));
    contexts.insert(1, 0).unwrap();
    keys.insert(1, 0).unwrap();
    mock.advance(20 * MINUTE + TICK);
    assert_eq!(keys.get(&1), None, "a child dies of its own idleness, too");
    assert!(contexts.contains_key(&1));
    check(&contexts);
    check(&keys);
}

#[test]
fn a_link_may_make_a_childs_activity_its_parents_but_not_past_the_absolute_deadline() {
    let (contexts, mock) = cache_with::<u64, u64>(|b| b.absolute_timeout(2 * HOUR));
    let middle: Cache<u64, u64> =
        Cache::builder().linked_to(&contexts).touches_parent(true).build().unwrap();
    let keys: Cache<u64, u64> =
        Cache::builder().linked_to(&middle).touches_parent(true).build().unwrap();
    contexts.insert(1, 0).unwrap();
    middle.insert(1, 0).unwrap();
    keys.insert(1, 0).unwrap();
    for step in 1..=6 {
        mock.advance(20 * MINUTE);
        match step % 3 {
            0 => assert!(keys.touch(&1)),
            1 => assert_eq!(keys.get(&1), Some(0)),
            _ => keys.update(&1, 0).unwrap(),
        }
        assert!(contexts.contains_key(&1), "two caches up, touched in step {step}");
    }
    mock.advance(TICK);
    assert_eq!(keys.get(&1), None, "two hours are over");
    for cache in [&contexts, &middle, &keys] {
        cache.sweep();
        check(cache);
    }
}

#[test]
fn a_parent_has_many_children_in_many_caches_which_can_be_listed() {
    let (users, sessions, _mock) = users_and_sessions();
    let tokens = Cache::<String, u8>::builder().children_of(&users).build().unwrap();
    for user in [1, 2] {
        users.insert(user, 0).unwrap();
        for session in 0..100 {
            sessions.insert_linked(user * 1000 + session, 0, &user).unwrap();
        }
        tokens.insert_linked(format!("token of {user}"), 0, &user).unwrap();
    }
    let mut children = sessions.children(&1);
    children.sort_unstable();
    assert_eq!(children, (1000..1100).collect::<Vec<_>>());
    assert_eq!(tokens.children(&2), ["token of 2"]);
    sessions.remove(&1000);
    assert_eq!((sessions.count_children(&1), sessions.count_children(&3)), (99, 0));
    users.remove(&1);
    assert_eq!((sessions.count_children(&1), sessions.count_children(&2)), (0, 100));
    assert!((1000..1100).all(|session| !sessions.contains_key(&session)));
    assert!(!tokens.contains_key("token of 1") && tokens.contains_key("token of 2"));
    users.sweep();
    assert_eq!((sessions.len(), tokens.len()), (100, 1));
    assert_eq!(sessions.stats().removed.cascade, 99);
    check(&users);
    check(&sessions);
    check(&tokens);
}

#[test]
fn same_key_children_are_listed_too() {
    let (contexts, keys, _mock) = contexts_and_keys();
    contexts.insert(1, 0).unwrap();
    contexts.insert(2, 0).unwrap();
    assert_eq!(keys.count_children(&1), 0);
    keys.insert(1, 0).unwrap();
    keys.insert_linked(77, 0, &1).unwrap();
    let mut children = keys.children(&1);
    children.sort_unstable();
    assert_eq!(children, [1, 77]);
    contexts.remove(&1);
    assert_eq!(keys.sweep().cascaded, 2);
    check(&keys);
}

#[test]
fn a_child_moves_to_another_parent_as_a_new_entry() {
    let (users, sessions, mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    users.insert(2, 0).unwrap();
    assert_eq!(sessions.insert_linked(7, 10, &1).unwrap(), Inserted::New);
    assert_eq!(sessions.insert_linked(7, 11, &1).unwrap(), Inserted::Replaced);
    mock.advance(MINUTE);
    assert_eq!(sessions.insert_linked(7, 12, &2).unwrap(), Inserted::New);
    assert_eq!(kind(sessions.insert_linked_new(7, 13, &1)), InsertErrorKind::Exists);
    assert_eq!((sessions.count_children(&1), sessions.count_children(&2)), (0, 1));
    assert_eq!(sessions.insert(7, 14).unwrap(), Inserted::Replaced, "it keeps its parent");
    users.remove(&1);
    assert_eq!(sessions.get(&7), Some(14));
    users.remove(&2);
    assert_eq!(sessions.get(&7), None);
    assert_eq!(sessions.stats().removed.replaced, 3);
    users.sweep();
    check(&users);
    check(&sessions);
}

#[test]
fn links_that_are_not_there_are_refused_with_advice() {
    let (users, sessions, _mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    assert_eq!(kind(sessions.insert(7, 0)), InsertErrorKind::NoParent);
    assert_eq!(kind(sessions.insert_linked(7, 0, &9)), InsertErrorKind::ParentGone);
    assert_eq!(kind(users.insert_linked(7, 0, &1)), InsertErrorKind::NotLinked);
    assert!(users.children(&1).is_empty());
    let other = Cache::<u64, u64>::builder().clock(Clock::mock().0).linked_to(&users).build();
    assert_eq!(other.unwrap_err(), BuildError::LinkedClock);
    let other = Cache::<u64, u64>::builder().linked_to(&users).clock(Clock::system()).build();
    assert_eq!(other.unwrap_err(), BuildError::LinkedClock);
    let other = Cache::<u64, u64>::builder().linked_to(&users).hasher(RandomState::new()).build();
    assert_eq!(other.unwrap_err(), BuildError::LinkedHasher);
    let other = Cache::<u64, u64>::builder().touches_parent(true).build();
    assert_eq!(other.unwrap_err(), BuildError::NotLinked);
    assert!(BuildError::LinkedHasher.to_string().contains("parents' hasher"));
}

#[test]
fn timeouts_of_its_own_end_a_child_before_its_parent() {
    let (users, sessions, mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    let brief = Timeouts::new().absolute(5 * SECOND);
    sessions.insert_linked_with(7, 0, &1, brief).unwrap();
    sessions.insert_linked(8, 0, &1).unwrap();
    mock.advance(6 * SECOND);
    assert!(!sessions.contains_key(&7) && sessions.contains_key(&8));
    assert_eq!(sessions.children(&1), [8]);
    assert_eq!((sessions.stats().removed.absolute, sessions.stats().removed.cascade), (1, 0));
    check(&sessions);
}

#[test]
fn eight_caches_in_a_chain_die_together() {
    let (root, mock) = cache::<u64, u64>();
    let mut chain = vec![root];
    for depth in 0..7 {
        let next = Cache::builder().linked_to(&chain[depth]).build().unwrap();
        chain.push(next);
    }
    for id in 0..100 {
        chain.iter().for_each(|cache| assert!(cache.insert(id, id).is_ok()));
    }
    mock.advance(15 * MINUTE);
    assert!((50..100).all(|id| chain[0].touch(&id)));
    chain[3].remove(&99);
    mock.advance(16 * MINUTE);
    assert!((0..50).all(|id| chain.iter().all(|cache| !cache.contains_key(&id))));
    assert!((50..99).all(|id| chain.iter().all(|cache| cache.contains_key(&id))));
    assert!(chain[3..].iter().all(|cache| !cache.contains_key(&99)) && chain[2].contains_key(&99));
    mock.advance(MINUTE);
    chain[7].sweep();
    for (depth, cache) in chain.iter().enumerate() {
        assert_eq!(cache.len(), if depth < 3 { 50 } else { 49 });
        check(cache);
    }
}

#[test]
fn a_parent_of_a_million_children_cascades_within_budgets_while_others_work() {
    const CHILDREN: u64 = 1_000_000;
    let (users, sessions, _mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    users.insert(2, 0).unwrap();
    for id in 0..CHILDREN {
        sessions.insert_linked(id, id, &1).unwrap();
    }
    sessions.insert_linked(CHILDREN, 0, &2).unwrap();
    users.remove(&1);
    assert!(!sessions.contains_key(&0) && !sessions.contains_key(&(CHILDREN - 1)));
    let (mut rounds, mut cascaded) = (0, 0);
    loop {
        let report = users.sweep_within(SweepBudget::visits(10_000));
        assert!(report.visited <= 10_000);
        cascaded += report.cascaded;
        rounds += 1;
        let id = 2 * CHILDREN + rounds;
        sessions.insert_linked(id, 0, &2).unwrap();
        assert_eq!(sessions.get(&id), Some(0));
        if cascaded >= CHILDREN - 2 && !report.more {
            break;
        }
        assert!(rounds < 1000, "{cascaded} of {CHILDREN} in {rounds} rounds");
    }
    assert!(rounds >= 100);
    assert_eq!(sessions.len() as u64, 1 + rounds);
    // Two were claimed by the reads above.
    assert_eq!(sessions.stats().removed.cascade, CHILDREN);
    check(&users);
    check(&sessions);
}

#[test]
fn churning_children_leave_a_list_as_long_as_the_live_ones() {
    const LIVE: u64 = 100;
    let (users, sessions, _mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    for id in 0..100_000 {
        sessions.insert_linked(id, 0, &1).unwrap();
        if id >= LIVE {
            assert!(sessions.remove(&(id - LIVE)));
        }
        if id % 1000 == 999 {
            flush_all(&sessions);
            let census = sessions.validate().unwrap();
            assert!(census.nodes <= 2 * LIVE + 8, "{} nodes", census.nodes);
        }
    }
    assert_eq!(sessions.count_children(&1) as u64, LIVE);
    check(&users);
    check(&sessions);
}

#[test]
fn a_child_in_a_reused_slot_is_listed_once() {
    let (users, sessions, _mock) = users_and_sessions();
    users.insert(1, 0).unwrap();
    for id in 0..7 {
        sessions.insert_linked(id, 0, &1).unwrap();
        assert_eq!(sessions.children(&1), [id]);
        sessions.remove(&id);
        flush_all(&sessions);
    }
    sessions.insert_linked(7, 0, &1).unwrap();
    assert_eq!((sessions.count_children(&1), sessions.validate().unwrap().nodes), (1, 8));
    check(&users);
    check(&sessions);
}

#[test]
fn a_dropped_parent_drops_its_values_and_its_childrens() {
    let (parents, children) = (Tally::default(), Tally::default());
    let users: Cache<u64, _> = Cache::new();
    let sessions = Cache::builder().children_of(&users).build().unwrap();
    let keys = Cache::builder().linked_to(&users).build().unwrap();
    for id in 0..100 {
        users.insert(id, parents.value()).unwrap();
        users.insert(id, parents.value()).unwrap();
        sessions.insert_linked(id + 1000, children.value(), &id).unwrap();
        keys.insert(id, children.value()).unwrap();
    }
    drop(users);
    assert_eq!(parents.dropped(), 200, "before drop returns");
    assert_eq!((sessions.count_children(&1), keys.count_children(&1)), (0, 0));
    assert!((0..100).all(|id| !sessions.contains_key(&(id + 1000)) && !keys.contains_key(&id)));
    assert_eq!(kind(keys.insert(1, children.value())), InsertErrorKind::ParentGone);
    // Other tests of this process may have been pinned.
    flush_all(&sessions);
    flush_all(&keys);
    assert_eq!((children.dropped(), children.made()), (201, 201));
    check(&sessions);
    check(&keys);
}

#[test]
fn a_pinned_reader_delays_the_drop_of_a_dead_parents_values_by_nothing() {
    let tally = Tally::default();
    let users: Cache<u64, _> = Cache::new();
    let keys: Cache<u64, u64> = Cache::builder().linked_to(&users).build().unwrap();
    users.insert(1, tally.value()).unwrap();
    keys.insert(1, 7).unwrap();
    let pinned = keys.pin();
    let seen = pinned.get(&1);
    drop(users);
    assert_eq!(tally.dropped(), 1, "only handles of the cache could read them");
    assert_eq!(seen, Some(&7), "what was read stays readable under its pin");
    assert_eq!(pinned.get(&1), None);
    drop(pinned);
    flush_all(&keys);
    check(&keys);
}

#[test]
fn a_child_cache_may_be_dropped_before_its_parent() {
    let (contexts, keys, mock) = contexts_and_keys();
    let tally = Tally::default();
    let others = Cache::builder().linked_to(&contexts).build().unwrap();
    contexts.insert(1, 0).unwrap();
    keys.insert(1, 0).unwrap();
    others.insert(1, tally.value()).unwrap();
    drop(others);
    assert_eq!(tally.dropped(), 1);
    mock.advance(32 * MINUTE);
    let report = contexts.sweep();
    assert_eq!((report.expired, report.cascaded), (1, 1));
    check(&contexts);
    check(&keys);
}

/// Many threads insert children of users that one thread alone creates and logs out everywhere.
#[test]
fn no_child_is_read_after_its_parent_was_removed_under_a_storm() {
    const USERS: u64 = 16;
    const SESSIONS: u64 = 64;
    let (users, sessions, mock) = users_and_sessions();
    let keys: Cache<u64, u64> = Cache::builder().linked_to(&users).build().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (users, sessions, keys, stop) = (&users, &sessions, &keys, &stop);
        for thread in 0..2 {
            scope.spawn(move || {
                let mut random = Random(thread);
                while !stop.load(Ordering::Relaxed) {
                    let user = random.below(USERS);
                    users.touch(&user);
                    // A session's value is its user.
                    let _ = sessions.insert_linked(random.below(SESSIONS), user, &user);
                    let _ = keys.insert(user, user);
                    sessions.remove(&random.below(SESSIONS));
                    keys.get(&random.below(USERS));
                }
            });
        }
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sessions.sweep_within(SweepBudget::visits(50));
                keys.flush();
            }
        });
        let mut random = Random(99);
        for round in 1..200_000 {
            let user = random.below(USERS);
            if round % 64 == 0 {
                mock.advance(MINUTE);
            }
            if random.below(4) > 0 || users.get(&user).is_some() {
                users.remove(&user);
            }
            // From here on the user is gone, by removal or by time.
            assert_eq!((keys.get(&user), sessions.count_children(&user)), (None, 0));
            let session = random.below(SESSIONS);
            assert_ne!(sessions.get(&session), Some(user), "a session outlived its user");
            users.insert(user, user).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    users.clear();
    for cache in [&users, &keys] {
        flush_all(cache);
    }
    flush_all(&sessions);
    assert_eq!((sessions.len(), keys.len()), (0, 0), "no orphan is left");
    check_after_races(&users);
    check_after_races(&keys);
    check_after_races(&sessions);
}

#[test]
fn a_child_that_was_touched_in_time_is_among_its_parents_children() {
    let (users, mock) = cache();
    let builder = Cache::builder().children_of(&users).idle_timeout(10 * MINUTE);
    let sessions: Children = builder.build().unwrap();
    users.insert(1, 1).unwrap();
    sessions.insert_linked(7, 7, &1).unwrap();
    for _ in 0..2 {
        mock.advance(8 * MINUTE);
        assert_eq!(sessions.get(&7), Some(7));
    }
    mock.advance(9 * MINUTE);
    assert_eq!(sessions.count_children(&1), 1);
    check(&sessions);
}

#[test]
fn a_key_that_its_child_got_later_has_no_children_of_its_own() {
    // Slots come in segments. The alias lies in one in which no child was tied yet.
    const FIRST_SEGMENT: u64 = 4096;
    let (contexts, keys, _mock) = contexts_and_keys();
    for id in 0..FIRST_SEGMENT {
        contexts.insert(id, 0).unwrap();
        keys.insert(id, 0).unwrap();
    }
    contexts.insert(FIRST_SEGMENT, 0).unwrap();
    keys.rekey(&7, FIRST_SEGMENT).unwrap();
    assert_eq!(keys.children(&FIRST_SEGMENT), []);
    assert_eq!(keys.children(&7), [FIRST_SEGMENT], "under the key it has now");
    contexts.remove(&FIRST_SEGMENT);
    contexts.sweep();
    assert_eq!(keys.get(&FIRST_SEGMENT), Some(0), "another parent's cascade");
    contexts.remove(&7);
    contexts.sweep();
    assert_eq!((keys.get(&FIRST_SEGMENT), keys.len()), (None, FIRST_SEGMENT as usize - 1));
    check(&keys);
    check(&contexts);
}
