//! Races for the last place of a bounded cache.

use super::{Alive, Keys, MINUTE, explore, get, hasher, insert, part, settle, together};
use crate::{Cache, CapacityPolicy, Clock, MockClock};

fn bounded(most: usize, policy: CapacityPolicy) -> (Keys, MockClock) {
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().clock(clock).hasher(hasher());
    let cache = builder.max_entries(most).capacity_policy(policy).build();
    (cache.expect("valid settings"), mock)
}

fn at_rest(cache: &Keys, most: u64, alive: &Alive) {
    settle(cache);
    let live = cache.stats().live;
    assert!(live <= most, "{live} entries");
    alive.expect(live as usize);
}

/// Two inserts make room while the entries that could go are touched and removed.
fn inserts_against_touch_and_remove() {
    let (cache, mock) = bounded(2, CapacityPolicy::EvictSoonestToExpire);
    let alive = Alive::default();
    for key in 1..3 {
        assert!(insert(&cache, key, alive.value(key)));
    }
    mock.advance(MINUTE);
    let inserters = [3, 4].map(|key| {
        let (cache, value) = (cache.clone(), alive.value(key));
        // Refused only while the other insert and the removal have the places.
        part(move || _ = insert(&cache, key, value))
    });
    let others = cache.clone();
    let other = part(move || {
        others.touch(&1);
        others.remove(&2);
    });
    together(inserters.into_iter().chain([other]));
    at_rest(&cache, 2, &alive);
    assert!(get(&cache, 3).is_some() || get(&cache, 4).is_some());
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn inserts_make_room_while_entries_are_touched_and_removed() {
    explore(inserts_against_touch_and_remove);
}

/// One key, several inserts: what takes a place for nothing gives it back.
fn inserts_of_one_key() {
    for policy in [CapacityPolicy::EvictSoonestToExpire, CapacityPolicy::RejectNew] {
        let (cache, _mock) = bounded(2, policy);
        let alive = Alive::default();
        assert!(insert(&cache, 1, alive.value(1)));
        together([2, 2, 1].map(|key| {
            let (cache, value) = (cache.clone(), alive.value(key));
            part(move || {
                insert(&cache, key, value);
            })
        }));
        at_rest(&cache, 2, &alive);
        let is_there = get(&cache, 2).is_some();
        // One that evicts may evict the entry that the other has just made.
        assert!(is_there || policy == CapacityPolicy::EvictSoonestToExpire);
        assert!(cache.stats().live > 0);
    }
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn inserts_of_one_key_take_one_place() {
    explore(inserts_of_one_key);
}

/// An insert may be refused only while the cache is full.
fn refusals_against_expiry_and_removal() {
    let (cache, mock) = bounded(1, CapacityPolicy::RejectNew);
    let alive = Alive::default();
    assert!(insert(&cache, 1, alive.value(1)));
    mock.advance(40 * MINUTE);
    let sweeper = cache.clone();
    let removed = cache.clone();
    let (inserter, value) = (cache.clone(), alive.value(2));
    together([
        part(move || _ = sweeper.sweep()),
        part(move || _ = removed.remove(&1)),
        part(move || {
            // The entry has expired: whoever claims it, there is room, or will be at once.
            if !insert(&inserter, 2, value) {
                assert!(inserter.stats().refused > 0);
            }
        }),
    ]);
    at_rest(&cache, 1, &alive);
    assert!(insert(&cache, 2, alive.value(2)), "nothing keeps the place");
    at_rest(&cache, 1, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn expired_entries_give_their_places_back_once() {
    explore(refusals_against_expiry_and_removal);
}

/// Two children want the one place under a parent, which dies and comes back meanwhile.
fn siblings_against_the_death_of_their_parent() {
    let (parents, _mock) = super::parents();
    let builder = Cache::<u32, u32>::builder().children_of(&parents).max_children(1);
    let children = builder.build().expect("valid settings");
    parents.insert(1, 0).expect("there is room");
    let parts = [10, 11].map(|key| {
        let c = children.clone();
        super::part(move || _ = c.insert_linked(key, 0, &1).ok())
    });
    let p = parents.clone();
    let killer = super::part(move || {
        p.remove(&1);
        p.insert(1, 1).expect("there is room");
        p.flush();
    });
    super::together(parts.into_iter().chain([killer]));
    assert!(children.count_children(&1) <= 1);
    settle(&parents);
    settle(&children);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn places_under_a_parent_are_counted_through_its_death() {
    explore(siblings_against_the_death_of_their_parent);
}
