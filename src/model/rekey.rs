//! Races of a change of keys with whatever looks at, wants or ends the entry.

use super::{Alive, Keys, MINUTE, at_rest, explore, get, insert, one, part, settle, together};
use crate::RekeyError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Readers find the entry under one of its keys, and never under both.
fn rekey_against_readers() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let c = cache.clone();
    let renamer = part(move || assert_eq!(c.rekey(&1, 2), Ok(())));
    let c = cache.clone();
    let new_first = part(move || {
        let new = get(&c, 2);
        let old = get(&c, 1);
        assert!(new.is_none() || old.is_none(), "found under both keys");
    });
    let c = cache.clone();
    let old_first = part(move || {
        let old = get(&c, 1);
        let new = get(&c, 2);
        assert!(old.is_some() || new.is_some(), "found under neither key");
    });
    together([renamer, new_first, old_first]);
    assert_eq!((get(&cache, 1), get(&cache, 2)), (None, Some(0)));
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn an_entry_changes_its_key_in_one_step() {
    explore(rekey_against_readers);
}

/// Somebody else inserts under the new key, or under the old one.
fn rekey_against_inserts() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let c = cache.clone();
    let renamer = part(move || {
        let renamed = c.rekey(&1, 2);
        assert!(renamed.is_ok() || renamed == Err(RekeyError::Exists));
    });
    let (c, value) = (cache.clone(), alive.value(1));
    let at_new = part(move || _ = c.insert_new(2, value).ok());
    let (c, value) = (cache.clone(), alive.value(2));
    let at_old = part(move || _ = c.insert_new(1, value).ok());
    together([renamer, at_new, at_old]);
    let found = [get(&cache, 1), get(&cache, 2)];
    assert_eq!(found.iter().filter(|value| **value == Some(0)).count(), 1, "{found:?}");
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn a_new_key_is_given_once() {
    explore(rekey_against_inserts);
}

/// Threads that know the former key only, beside a change of keys and a new value after it.
fn users_of_the_former_key() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    // So that it has terms, which a reader has to look at.
    assert!(cache.renew(&1));
    let (c, value) = (cache.clone(), alive.value(8));
    let renamer = part(move || {
        assert_eq!(c.rekey(&1, 2), Ok(()));
        let seen = get(&c, 2);
        assert!(c.update(&2, value).is_ok(), "its present key");
        assert!(seen == Some(0) || seen == Some(7), "{seen:?}");
    });
    let (c, value) = (cache.clone(), alive.value(7));
    let writer = part(move || _ = c.update(&1, value).ok());
    let c = cache.clone();
    let reader = part(move || assert_ne!(get(&c, 1), Some(8), "a value for the new key"));
    together([renamer, writer, reader]);
    assert_eq!(get(&cache, 2), Some(8), "replaced by the former key");
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn the_former_key_neither_reads_nor_replaces_what_the_new_one_has() {
    explore(users_of_the_former_key);
}

/// Another thread meets the entry by its new key, and removes it, before the renamer looks again.
fn rekey_against_take() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let renamed = Arc::new(AtomicU32::new(0));
    let (c, done) = (cache.clone(), Arc::clone(&renamed));
    // Relaxed: outside of the model.
    let renamer = part(move || _ = c.rekey(&1, 2).map(|()| done.fetch_add(1, Ordering::Relaxed)));
    let (c, taken) = (cache.clone(), Arc::new(AtomicU32::new(0)));
    let met = Arc::clone(&taken);
    let remover = part(move || _ = met.fetch_add(u32::from(c.remove(&2)), Ordering::Relaxed));
    // Finishes what it finds begun.
    let c = cache.clone();
    let helper = part(move || _ = c.renew(&1));
    together([renamer, remover, helper]);
    assert!(renamed.load(Ordering::Relaxed) >= taken.load(Ordering::Relaxed), "and says so");
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn a_change_of_keys_that_somebody_has_seen_is_not_reported_as_a_miss() {
    explore(rekey_against_take);
}

/// Several threads rename one entry, and one of them back.
fn rekeys_of_one_entry() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let done = Arc::new(AtomicU32::new(0));
    let parts = [(1, 2), (1, 3), (2, 1)].map(|(old, new)| {
        let (c, d) = (cache.clone(), Arc::clone(&done));
        // Relaxed: outside of the model.
        part(move || _ = c.rekey(&old, new).map(|()| d.fetch_add(1, Ordering::Relaxed)))
    });
    together(parts);
    let found = [1, 2, 3].map(|key| get(&cache, key));
    assert_eq!(found.iter().flatten().count(), 1, "{found:?}");
    assert!(done.load(Ordering::Relaxed) > 0, "nobody came through");
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn of_several_renamings_each_succeeds_or_not() {
    explore(rekeys_of_one_entry);
}

/// Two entries want one key.
fn rekeys_to_one_key() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    assert!(insert(&cache, 2, alive.value(1)));
    let parts = [1, 2].map(|old| {
        let c = cache.clone();
        part(move || _ = c.rekey(&old, 3))
    });
    together(parts);
    let found = [1, 2, 3].map(|key| get(&cache, key));
    assert_eq!(found.iter().flatten().count(), 2, "{found:?}");
    at_rest(&cache, &alive);
}

#[test]
fn two_entries_do_not_get_one_key() {
    explore(rekeys_to_one_key);
}

/// The entry is removed by its old key: then it keeps that, or the removal found nothing.
pub(super) fn rekey_against_removal() {
    let alive = Alive::default();
    let (cache, mock) = one(&alive);
    let (renamed, removed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (c, r) = (cache.clone(), Arc::clone(&renamed));
    let renamer = part(move || r.store(c.rekey(&1, 2).is_ok().into(), Ordering::Relaxed));
    let (c, r) = (cache.clone(), Arc::clone(&removed));
    let remover = part(move || r.store(c.remove(&1).into(), Ordering::Relaxed));
    let c = cache.clone();
    let sweeper = part(move || {
        mock.advance(MINUTE);
        c.sweep();
    });
    together([renamer, remover, sweeper]);
    let of = |count: &AtomicU32| count.load(Ordering::Relaxed);
    assert_eq!(of(&renamed) + of(&removed), 1, "either, and not both");
    assert_eq!(get(&cache, 2), (of(&renamed) == 1).then_some(0));
    at_rest(&cache, &alive);
}

#[test]
fn an_entry_is_renamed_or_removed_by_its_old_key() {
    explore(rekey_against_removal);
}

/// The parent gets another key while a child of the same key comes, and then dies.
fn rekey_of_a_parent_against_its_children() {
    let (parents, _mock) = super::parents();
    let children = Keys::builder().linked_to(&parents).build().expect("valid settings");
    let alive = Alive::default();
    parents.insert(1, 0).expect("there is room");
    let p = parents.clone();
    let renamer = part(move || {
        p.rekey(&1, 2).expect("nobody else does");
        p.remove(&2);
        p.flush();
    });
    let parts = [1, 2].map(|key| {
        let (c, value) = (children.clone(), alive.value(key));
        part(move || _ = insert(&c, key, value))
    });
    together(parts.into_iter().chain([renamer]));
    parents.flush();
    settle(&parents);
    settle(&children);
    assert_eq!(children.len(), 0, "a child was forgotten");
    alive.expect(0);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn children_of_a_renamed_parent_die_with_it() {
    explore(rekey_of_a_parent_against_its_children);
}
