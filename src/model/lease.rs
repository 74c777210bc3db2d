//! Races of leases with whatever ends an entry.

use super::{Alive, Keys, MINUTE, at_rest, explore, get, insert, part, settle, together};
use crate::{Cache, Clock, MockClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A cache of at most one entry, with value 0 under key 1, idle for nearly too long.
fn nearly_idle(alive: &Alive) -> (Keys, MockClock) {
    let (clock, mock) = Clock::mock();
    let cache = Cache::builder().clock(clock).hasher(super::hasher()).max_entries(1).build();
    let cache = cache.expect("valid settings");
    assert!(insert(&cache, 1, alive.value(0)));
    mock.advance(30 * MINUTE);
    (cache, mock)
}

/// Time passes, and a sweep comes, while a lease is taken: it is of a living entry, or there is
/// none.
fn hold_against_expiry() {
    let alive = Alive::default();
    let (cache, mock) = nearly_idle(&alive);
    let c = cache.clone();
    let holder = part(move || {
        let Some(lease) = c.hold(&1) else { return };
        assert!(lease.is_live(), "expired under its lease");
        assert_eq!(get(&c, 1), Some(0));
        drop(lease);
    });
    let c = cache.clone();
    let sweeper = part(move || {
        mock.advance(MINUTE);
        c.sweep();
    });
    let c = cache.clone();
    let reader = part(move || {
        get(&c, 1);
    });
    together([holder, sweeper, reader]);
    at_rest(&cache, &alive);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn an_entry_does_not_expire_under_its_lease() {
    explore(hold_against_expiry);
}

/// Two leases come and go at once: none is lost, and none is left.
fn leases_against_each_other() {
    let alive = Alive::default();
    let (cache, mock) = nearly_idle(&alive);
    let kept = cache.hold(&1).expect("not yet idle");
    let parts = [0, 1].map(|_| {
        let c = cache.clone();
        part(move || {
            let lease = c.hold(&1).expect("held already");
            drop(lease);
        })
    });
    together(parts);
    mock.advance(60 * MINUTE);
    assert!(kept.is_live());
    assert_eq!(cache.sweep().expired, 0, "a lease was lost");
    drop(kept);
    mock.advance(60 * MINUTE);
    assert_eq!(cache.sweep().expired, 1, "a lease was left");
    settle(&cache);
}

#[test]
fn leases_that_come_and_go_at_once_add_up() {
    explore(leases_against_each_other);
}

/// A lease against an insert that needs the place: one of them gets it.
fn hold_against_eviction() {
    let alive = Alive::default();
    let (cache, _mock) = nearly_idle(&alive);
    let held = Arc::new(AtomicBool::new(false));
    let (c, h) = (cache.clone(), Arc::clone(&held));
    let holder = part(move || {
        let Some(lease) = c.hold(&1) else { return };
        h.store(true, Ordering::Relaxed);
        assert!(lease.is_live(), "evicted under its lease");
        std::mem::forget(lease);
    });
    let (c, value) = (cache.clone(), alive.value(1));
    let inserter = part(move || {
        insert(&c, 2, value);
    });
    together([holder, inserter]);
    let expected = if held.load(Ordering::Relaxed) { (Some(0), None) } else { (None, Some(1)) };
    assert_eq!((get(&cache, 1), get(&cache, 2)), expected);
    settle(&cache);
}

#[test]
fn an_entry_makes_no_room_under_its_lease() {
    explore(hold_against_eviction);
}

/// The end of a lease against the removal of its entry and a new one under the key.
fn release_against_removal() {
    let alive = Alive::default();
    let (cache, _mock) = nearly_idle(&alive);
    let lease = cache.hold(&1).expect("not yet idle");
    let releaser = part(move || drop(lease));
    let (c, value) = (cache.clone(), alive.value(1));
    let remover = part(move || {
        assert!(c.remove(&1));
        assert!(insert(&c, 1, value));
        let lease = c.hold(&1).expect("just inserted");
        assert!(lease.is_live());
    });
    together([releaser, remover]);
    assert_eq!(get(&cache, 1), Some(1));
    settle(&cache);
}

#[test]
fn the_end_of_a_lease_leaves_the_next_entry_alone() {
    explore(release_against_removal);
}
