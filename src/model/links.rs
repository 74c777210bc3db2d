//! Races in families of caches.

use super::{Alive, Keys, MINUTE, Parents, explore, get, insert, parents, part, settle, together};
use crate::{Cache, MockClock, SweepBudget};
use ahash::RandomState;

type Sessions = Cache<u32, super::Value, RandomState, u32>;

/// Contexts and their keys under the same ids, one of each.
fn contexts_and_keys(alive: &Alive) -> (Parents, Keys, MockClock) {
    let (contexts, mock) = parents();
    let keys = Cache::builder().linked_to(&contexts).build().expect("valid settings");
    contexts.insert(1, 0).expect("there is room");
    assert!(insert(&keys, 1, alive.value(0)));
    (contexts, keys, mock)
}

/// At rest: every key has its context, and every value that is gone was dropped.
fn end(contexts: &Parents, keys: &Keys, alive: &Alive) {
    settle(contexts);
    settle(keys);
    alive.expect(keys.len());
    if contexts.is_empty() {
        assert_eq!(keys.len(), 0, "an orphan is left");
    }
}

pub(super) fn link_against_removal() {
    let alive = Alive::default();
    let (contexts, keys, _mock) = contexts_and_keys(&alive);
    keys.remove(&1);
    let (k, a) = (keys.clone(), alive.clone());
    let inserter = part(move || {
        insert(&k, 1, a.value(1));
    });
    let (c, k) = (contexts.clone(), keys.clone());
    let remover = part(move || {
        assert!(c.remove(&1));
        assert_eq!(get(&k, 1), None, "read after its context was removed");
    });
    let c = contexts.clone();
    let sweeper = part(move || {
        c.sweep();
    });
    together([inserter, remover, sweeper]);
    end(&contexts, &keys, &alive);
}

#[test]
fn a_link_races_with_the_removal_of_its_parent() {
    explore(link_against_removal);
}

pub(super) fn link_against_removal_and_sweep() {
    let alive = Alive::default();
    let (contexts, keys, _mock) = contexts_and_keys(&alive);
    keys.remove(&1);
    keys.flush();
    let (k, a) = (keys.clone(), alive.clone());
    let inserter = part(move || {
        insert(&k, 1, a.value(1));
    });
    let c = contexts.clone();
    let remover = part(move || {
        assert!(c.remove(&1));
        c.sweep();
    });
    together([inserter, remover]);
    end(&contexts, &keys, &alive);
}

#[test]
fn a_link_races_with_a_removal_and_its_sweep() {
    explore(link_against_removal_and_sweep);
}

pub(super) fn link_against_expiry() {
    let alive = Alive::default();
    let (contexts, keys, mock) = contexts_and_keys(&alive);
    keys.remove(&1);
    let (k, a) = (keys.clone(), alive.clone());
    let inserter = part(move || {
        insert(&k, 1, a.value(1));
    });
    let (c, k) = (contexts.clone(), keys.clone());
    let reader = part(move || {
        mock.advance(31 * MINUTE);
        if c.get(&1).is_none() {
            assert_eq!(get(&k, 1), None, "read after its context was missed");
        }
    });
    let c = contexts.clone();
    let toucher = part(move || {
        c.touch(&1);
        c.sweep();
    });
    together([inserter, reader, toucher]);
    end(&contexts, &keys, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn a_link_races_with_the_expiry_of_its_parent() {
    explore(link_against_expiry);
}

pub(super) fn read_against_death() {
    let alive = Alive::default();
    let (contexts, keys, mock) = contexts_and_keys(&alive);
    let readers = [false, true].map(|late| {
        let (c, k, mock) = (contexts.clone(), keys.clone(), mock.clone());
        part(move || {
            if late {
                mock.advance(31 * MINUTE);
            }
            let context = c.get(&1);
            let key = get(&k, 1);
            assert!(context.is_some() || key.is_none(), "read after its context was missed");
        })
    });
    let (c, k) = (contexts.clone(), keys.clone());
    let remover = part(move || {
        c.remove(&1);
        assert_eq!(get(&k, 1), None, "read after its context was removed");
    });
    together(readers.into_iter().chain([remover]));
    end(&contexts, &keys, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn a_read_of_a_child_races_with_its_parents_death() {
    explore(read_against_death);
}

pub(super) fn cascade_against_reinsertion() {
    let alive = Alive::default();
    let (contexts, keys, _mock) = contexts_and_keys(&alive);
    let (c, k, a) = (contexts.clone(), keys.clone(), alive.clone());
    let user = part(move || {
        assert!(c.remove(&1));
        c.insert(1, 1).expect("there is room");
        assert_eq!(get(&k, 1), None, "the old key under the new context");
        assert!(insert(&k, 1, a.value(1)));
    });
    let sweepers = [contexts.clone(), contexts.clone()].map(|c| {
        part(move || {
            c.sweep();
            c.flush();
        })
    });
    together([user].into_iter().chain(sweepers));
    assert_eq!(get(&keys, 1), Some(1), "an old cascade took the new key");
    end(&contexts, &keys, &alive);
}

#[test]
fn a_cascade_races_with_the_reinsertion_of_parent_and_child() {
    explore(cascade_against_reinsertion);
}

pub(super) fn two_sweepers_and_a_remover() {
    let alive = Alive::default();
    let (contexts, keys, mock) = contexts_and_keys(&alive);
    contexts.insert(2, 0).expect("there is room");
    assert!(insert(&keys, 2, alive.value(0)));
    mock.advance(31 * MINUTE);
    contexts.insert(3, 0).expect("there is room");
    assert!(insert(&keys, 3, alive.value(0)));
    mock.advance(MINUTE);
    let sweepers = [1, u64::MAX].map(|visits| {
        let c = contexts.clone();
        part(move || {
            c.sweep_within(SweepBudget::visits(visits));
        })
    });
    let (c, k) = (contexts.clone(), keys.clone());
    let remover = part(move || {
        k.remove(&1);
        c.remove(&3);
        assert_eq!(get(&k, 3), None);
    });
    together(sweepers.into_iter().chain([remover]));
    contexts.sweep();
    assert!(contexts.is_empty() && keys.is_empty());
    end(&contexts, &keys, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn two_sweepers_and_a_remover_on_one_family() {
    explore(two_sweepers_and_a_remover);
}

pub(super) fn cascade_against_touch() {
    let alive = Alive::default();
    let (contexts, keys, mock) = contexts_and_keys(&alive);
    mock.advance(MINUTE);
    let c = contexts.clone();
    let remover = part(move || {
        assert!(c.remove(&1));
        c.sweep();
    });
    let k = keys.clone();
    let toucher = part(move || {
        k.touch(&1);
    });
    together([remover, toucher]);
    end(&contexts, &keys, &alive);
}

#[test]
fn a_cascade_races_with_a_touch_of_the_child() {
    explore(cascade_against_touch);
}

pub(super) fn drop_against_link() {
    let alive = Alive::default();
    let (contexts, keys, _mock) = contexts_and_keys(&alive);
    let k = keys.clone();
    let dropper = part(move || {
        drop(contexts);
        assert_eq!(get(&k, 1), None, "read after its context's cache was dropped");
    });
    let (k, a) = (keys.clone(), alive.clone());
    let inserter = part(move || {
        insert(&k, 1, a.value(1));
        insert(&k, 2, a.value(2));
    });
    let k = keys.clone();
    let flusher = part(move || {
        k.flush();
    });
    together([dropper, inserter, flusher]);
    settle(&keys);
    assert_eq!(keys.len(), 0, "an orphan is left");
    alive.expect(0);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn the_drop_of_the_parents_cache_races_with_a_link() {
    explore(drop_against_link);
}

pub(super) fn lists_against_removal() {
    let alive = Alive::default();
    let (users, _mock) = parents();
    let sessions: Sessions = Cache::builder().children_of(&users).build().expect("valid");
    users.insert(1, 0).expect("there is room");
    for id in 0..8 {
        assert!(sessions.insert_linked(id, alive.value(id), &1).is_ok());
    }
    let (s, a) = (sessions.clone(), alive.clone());
    let inserter = part(move || {
        for id in 8..10 {
            let _ = s.insert_linked(id, a.value(id), &1);
        }
    });
    let s = sessions.clone();
    let churner = part(move || {
        for id in 0..8 {
            s.remove(&id);
        }
        s.flush();
    });
    let (u, s) = (users.clone(), sessions.clone());
    let remover = part(move || {
        assert!(u.remove(&1));
        assert!((0..10).all(|id| !s.contains_key(&id)), "read after its user was removed");
        u.flush();
        u.insert(1, 1).expect("there is room");
        assert!(s.children(&1).iter().all(|id| *id >= 8), "a new user inherits sessions");
    });
    together([inserter, churner, remover]);
    settle(&users);
    settle(&sessions);
    let late = sessions.len();
    assert_eq!(sessions.count_children(&1), late);
    alive.expect(late);
    users.remove(&1);
    users.flush();
    settle(&users);
    settle(&sessions);
    assert_eq!(sessions.len(), 0, "an orphan is left");
    alive.expect(0);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn insertions_removals_and_a_cascade_race_on_one_list() {
    explore(lists_against_removal);
}

pub(super) fn three_levels() {
    let alive = Alive::default();
    let (users, mock) = parents();
    let sessions: Parents = Cache::builder().linked_to(&users).build().expect("valid settings");
    let keys: Keys = Cache::builder().linked_to(&sessions).build().expect("valid settings");
    users.insert(1, 0).expect("there is room");
    sessions.insert(1, 0).expect("its parent is there");
    let (k, a) = (keys.clone(), alive.clone());
    let inserter = part(move || {
        insert(&k, 1, a.value(0));
    });
    let (s, k) = (sessions.clone(), keys.clone());
    let reader = part(move || {
        mock.advance(31 * MINUTE);
        if s.get(&1).is_none() {
            assert_eq!(get(&k, 1), None, "read after its session was missed");
        }
    });
    let (u, k) = (users.clone(), keys.clone());
    let remover = part(move || {
        u.touch(&1);
        u.remove(&1);
        assert_eq!(get(&k, 1), None, "read after its user was removed");
        k.sweep();
    });
    together([inserter, reader, remover]);
    settle(&users);
    settle(&sessions);
    settle(&keys);
    assert_eq!((sessions.len(), keys.len()), (0, 0), "an orphan is left");
    alive.expect(0);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn death_at_the_root_races_with_reads_and_links_two_levels_below() {
    explore(three_levels);
}
