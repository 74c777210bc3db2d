//! Linked caches: reading a child, removing a parent with its child, cascades over many children.
//! No peer has them: beside idlewheel's children are plain entries.

use super::{Case, Scale, timed};
use crate::loads::zipf;
use idlewheel::{Cache, Clock, RandomState};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Removals in one run, and then a flush that erases them.
const REMOVALS: u64 = 1000;

type Plain = Cache<u64, u64>;

fn fill(cache: &Plain, keys: std::ops::Range<u64>) {
    keys.for_each(|key| assert!(cache.insert(key, key).is_ok()));
}

/// A cache and one that is linked to it.
fn family() -> (Plain, Plain) {
    let parents = Cache::new();
    let children = Cache::builder().linked_to(&parents).build().expect("valid settings");
    (parents, children)
}

pub(super) fn get(scale: &Scale) -> Vec<Case> {
    let entries = scale.entries(10_000);
    let keys: Arc<[u64]> = zipf(entries as usize, 0.99, scale.hot_lookups, 1).into();
    let (parents, children) = family();
    let plain = Cache::new();
    [&parents, &children, &plain].into_iter().for_each(|cache| fill(cache, 0..entries));
    let read = |name, cache: Plain, parents: Option<Plain>| {
        let keys = Arc::clone(&keys);
        Case::per_op(name, keys.len() as u64, move || {
            // The parents are kept alive.
            let _ = &parents;
            timed(|| {
                black_box(keys.iter().map(|key| cache.get(key).unwrap_or(0)).sum::<u64>());
            })
        })
    };
    vec![read("idlewheel", children, Some(parents)), read("plain_get", plain, None)]
}

pub(super) fn cascade_one(scale: &Scale) -> Vec<Case> {
    let entries = 10 * REMOVALS / scale.divide.min(10);
    let (parents, children) = family();
    let pair: (Plain, Plain) = (Cache::new(), Cache::new());
    for (first, second) in [(&parents, &children), (&pair.0, &pair.1)] {
        fill(first, REMOVALS..entries);
        fill(second, REMOVALS..entries);
    }
    let cascade = Case::per_op("idlewheel", REMOVALS, move || {
        fill(&parents, 0..REMOVALS);
        fill(&children, 0..REMOVALS);
        let time = timed(|| {
            (0..REMOVALS).for_each(|key| assert!(parents.remove(&key)));
            parents.flush();
        });
        assert_eq!(children.len() as u64, entries - REMOVALS);
        time
    });
    let both = Case::per_op("two_removes", REMOVALS, move || {
        fill(&pair.0, 0..REMOVALS);
        fill(&pair.1, 0..REMOVALS);
        timed(|| {
            for key in 0..REMOVALS {
                assert!(pair.0.remove(&key));
                assert!(pair.1.remove(&key));
            }
            pair.0.flush();
            pair.1.flush();
        })
    });
    vec![cascade, both]
}

type Sessions = Cache<u64, u64, RandomState, u64>;

/// One parent and all its children, which a sweep removes: nanoseconds per child.
pub(super) fn cascade_many(scale: &Scale) -> Vec<Case> {
    let sizes = [
        ("idlewheel_1", 1),
        ("idlewheel_10", 10),
        ("idlewheel_100", 100),
        ("idlewheel_1k", 1000),
        ("idlewheel_10k", 10_000),
        ("idlewheel_100k", 100_000),
        ("idlewheel_1m", 1_000_000),
    ];
    let sizes = sizes.into_iter().filter(|(_, count)| *count <= scale.entries(1_000_000));
    sizes.map(|(name, count)| Case::per_op(name, count, cascade_of(count))).collect()
}

fn cascade_of(count: u64) -> impl FnMut() -> Duration {
    let (clock, _) = Clock::mock();
    let users: Plain = Cache::builder().clock(clock).build().expect("valid settings");
    let sessions: Sessions = Cache::builder().children_of(&users).build().expect("valid settings");
    move || {
        fill(&users, 0..1);
        (0..count).for_each(|id| assert!(sessions.insert_linked(id, id, &0).is_ok()));
        timed(|| {
            assert!(users.remove(&0));
            assert_eq!(users.sweep().cascaded, count);
        })
    }
}
