//! Races of conditional operations with whatever else changes an entry.

use super::{Alive, Keys, MINUTE, at_rest, explore, get, one, parents, part, settle, together};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts what happened; relaxed, because it is outside of the model.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

impl Count {
    fn add(&self, happened: bool) {
        self.0.fetch_add(happened.into(), Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The value 0 may go; an update makes it 1, which must stay.
fn removal_against_update() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let (removed, updated) = (Count::default(), Count::default());
    let (c, r) = (cache.clone(), removed.clone());
    let remover = part(move || r.add(c.remove_if(&1, |value| value.number() == 0)));
    let (c, u, value) = (cache.clone(), updated.clone(), alive.value(1));
    let updater = part(move || u.add(c.update(&1, value).is_ok()));
    let c = cache.clone();
    let reader = part(move || {
        c.touch(&1);
    });
    together([remover, updater, reader]);
    assert_eq!(removed.get() + updated.get(), 1, "it was removed, or updated before");
    assert_eq!(get(&cache, 1), (updated.get() == 1).then_some(1));
    at_rest(&cache, &alive);
}

#[test]
fn a_value_that_was_replaced_is_not_removed_for_what_it_was() {
    explore(removal_against_update);
}

/// Of several removals one takes place, and knows it.
fn removals_of_one_entry() {
    let alive = Alive::default();
    let (cache, mock) = one(&alive);
    let removed = Count::default();
    let kinds: [fn(&Keys) -> bool; 3] = [
        |cache| cache.remove_if(&1, |_| true),
        |cache| cache.remove_if(&1, |_| true),
        |cache| cache.remove(&1),
    ];
    let parts = kinds.map(|remove| {
        let (cache, removed) = (cache.clone(), removed.clone());
        part(move || removed.add(remove(&cache)))
    });
    together(parts);
    assert_eq!(removed.get(), 1);
    drop(mock);
    at_rest(&cache, &alive);
}

#[test]
fn of_several_removals_of_one_entry_one_succeeds() {
    explore(removals_of_one_entry);
}

/// An update meets a closed entry and ends its removal; the remover learns of it.
fn removal_against_insert() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let (removed, new) = (Count::default(), Count::default());
    let (c, r) = (cache.clone(), removed.clone());
    let remover = part(move || r.add(c.remove_if(&1, |value| value.number() == 0)));
    let inserters = [1, 2].map(|number| {
        let (cache, new, value) = (cache.clone(), new.clone(), alive.value(number));
        part(move || {
            let inserted = cache.insert(1, value);
            new.add(inserted.is_ok_and(|inserted| inserted == crate::Inserted::New));
        })
    });
    together(inserters.into_iter().chain([remover]));
    assert_eq!(new.get(), removed.get(), "each removal makes room for one new entry");
    assert!(get(&cache, 1).is_some_and(|number| number > 0));
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn whoever_ends_a_removal_for_another_leaves_word() {
    explore(removal_against_insert);
}

/// Replacements by comparison: each success is built on the one before.
fn comparisons() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let replaced = Count::default();
    let parts = [0; 3].map(|_| {
        let (cache, replaced, alive) = (cache.clone(), replaced.clone(), alive.clone());
        part(move || {
            let seen = get(&cache, 1).expect("nobody removes it");
            let value = alive.value(seen + 1);
            replaced.add(cache.replace_if(&1, value, |value| value.number() == seen).is_ok());
        })
    });
    together(parts);
    assert_eq!(get(&cache, 1), Some(replaced.get()));
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn replacements_by_comparison_build_on_each_other() {
    explore(comparisons);
}

/// A conditional removal, expiry, and an iteration.
fn removal_against_expiry() {
    let (cache, mock) = parents();
    cache.insert(1, 0).expect("there is room");
    cache.insert(2, 0).expect("there is room");
    let c = cache.clone();
    let remover = part(move || c.retain(|key, _| *key != 1));
    let c = cache.clone();
    let sweeper = part(move || {
        mock.advance(40 * MINUTE);
        c.sweep();
    });
    let c = cache.clone();
    let reader = part(move || {
        let keys: Vec<u32> = c.keys().collect();
        assert!(keys.len() <= 2);
    });
    together([remover, sweeper, reader]);
    assert_eq!(cache.len(), 0);
    settle(&cache);
}

#[test]
fn an_entry_ends_once_by_condition_or_by_expiry() {
    explore(removal_against_expiry);
}
