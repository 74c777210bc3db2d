//! Races of loads with removals and with each other.

use super::{explore, hasher, part, settle, together};
use crate::{Cache, Clock};
use ahash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

type Users = Cache<u32, u32, RandomState>;

fn users() -> Users {
    let (clock, _mock) = Clock::mock();
    Cache::builder().clock(clock).hasher(hasher()).build().expect("valid settings")
}

/// What was being loaded when a removal began is not there when it has ended, nor later.
pub(super) fn load_against_removal() {
    let users = users();
    // Relaxed, as all that is outside of the model.
    let (began, settled) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (u, b) = (users.clone(), Arc::clone(&began));
    let loader = part(move || {
        let load = || {
            b.store(true, Ordering::Relaxed);
            10
        };
        u.get_or_insert_with(1, load).ok();
    });
    let (u, b, s) = (users.clone(), Arc::clone(&began), Arc::clone(&settled));
    let remover = part(move || {
        let had_begun = b.load(Ordering::Relaxed);
        u.remove(&1);
        s.store(had_begun, Ordering::Relaxed);
        assert!(!had_begun || u.get(&1).is_none(), "it came back");
    });
    let u = users.clone();
    let reader = part(move || {
        u.get(&1);
    });
    together([loader, remover, reader]);
    assert!(!settled.load(Ordering::Relaxed) || users.get(&1).is_none(), "it came back");
    settle(&users);
}

#[test]
fn what_was_loaded_before_a_removal_does_not_come_back() {
    explore(load_against_removal);
}

/// The same while another thread stores a value, and the index grows.
fn load_against_removal_and_inserts() {
    let users = users();
    let began = Arc::new(AtomicBool::new(false));
    let (u, b) = (users.clone(), Arc::clone(&began));
    let loader = part(move || {
        let load = || {
            b.store(true, Ordering::Relaxed);
            10
        };
        u.get_or_insert_with(1, load).ok();
    });
    let (u, b) = (users.clone(), Arc::clone(&began));
    let remover = part(move || {
        let had_begun = b.load(Ordering::Relaxed);
        u.clear();
        assert!(!had_begun || u.get(&1) != Some(10), "it came back");
    });
    let u = users.clone();
    let inserter = part(move || {
        for key in 1..6 {
            u.insert(key, 20).expect("there is room");
        }
    });
    together([loader, remover, inserter]);
    settle(&users);
}

#[test]
fn a_load_survives_neither_a_clear_nor_the_growth_of_the_index() {
    explore(load_against_removal_and_inserts);
}

/// Two threads that want one key: one of them loads it.
fn two_loads() {
    let users = users();
    let loads = Arc::new(AtomicU32::new(0));
    let parts = [0, 1].map(|_| {
        let (u, l) = (users.clone(), Arc::clone(&loads));
        part(move || {
            let load = || l.fetch_add(1, Ordering::Relaxed) + 10;
            assert_eq!(u.get_or_insert_with(1, load).ok(), Some(10));
        })
    });
    together(parts);
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    settle(&users);
}

#[test]
fn of_two_threads_one_loads() {
    explore(two_loads);
}

/// One of two loads fails, if it is the first: the other one runs, and nobody sleeps for ever.
fn load_that_fails() {
    let users = users();
    let u = users.clone();
    let fails = part(move || {
        let outcome = u.get_or_try_insert_with(1, || Err::<u32, ()>(()));
        assert!(matches!(outcome, Ok(10) | Err(crate::LoadError::Failed(()))));
    });
    let u = users.clone();
    let loads = part(move || assert_eq!(u.get_or_insert_with(1, || 10).ok(), Some(10)));
    together([fails, loads]);
    assert_eq!(users.get(&1), Some(10));
    settle(&users);
}

#[test]
fn a_load_that_fails_wakes_the_next_one() {
    explore(load_that_fails);
}
