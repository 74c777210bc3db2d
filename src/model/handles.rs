//! Races of the last handles of a cache: whoever lets the last one go shuts the cache down, once.

use super::{Alive, explore, get, insert, one, part, together};

/// The last handle goes while another thread gets one from a weak one, and uses it.
fn drop_against_upgrade() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let weak = cache.downgrade();
    let (w, value) = (weak.clone(), alive.value(1));
    let dropper = part(move || drop(cache));
    let user = part(move || {
        let Some(cache) = w.upgrade() else { return };
        assert_eq!(get(&cache, 1), Some(0), "shut down under a handle");
        let other = cache.clone();
        drop(cache);
        assert!(insert(&other, 2, value));
        assert_eq!((get(&other, 1), get(&other, 2)), (Some(0), Some(1)));
    });
    together([dropper, user]);
    assert!(weak.upgrade().is_none(), "a handle is left");
    alive.expect_all_gone();
}

#[test]
fn a_cache_that_a_weak_handle_got_is_not_shut_down() {
    explore(drop_against_upgrade);
}

/// Two handles go at once, each after a use of its own.
fn drops_against_each_other() {
    let alive = Alive::default();
    let (cache, _mock) = one(&alive);
    let parts = [2, 3].map(|key| {
        let (cache, value) = (cache.clone(), alive.value(key));
        part(move || {
            assert!(insert(&cache, key, value));
            assert_eq!(get(&cache, 1), Some(0));
        })
    });
    drop(cache);
    together(parts);
    alive.expect_all_gone();
}

#[test]
fn the_last_of_several_handles_drops_every_value() {
    explore(drops_against_each_other);
}
