//! Races between touches and what ends entries: a sweep, a reader, an insert that needs room.

use super::{MINUTE, Parents, explore, parents, part, settle, together};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::{Cache, CapacityPolicy, Clock, MockClock};
use std::sync::Arc;

/// An entry that has to be touched within the next ten minutes.
fn sessions() -> (Parents, MockClock) {
    let (sessions, mock) = parents();
    sessions.insert(1, 0).expect("there is room");
    mock.advance(21 * MINUTE);
    (sessions, mock)
}

fn touches_against_expiry() {
    let (sessions, mock) = sessions();
    let touched = Arc::new(AtomicBool::new(false));
    let touchers = [(); 2].map(|()| {
        let (s, touched) = (sessions.clone(), Arc::clone(&touched));
        part(move || {
            if s.touch(&1) {
                // Relaxed: read when the threads have ended.
                touched.store(true, Ordering::Relaxed);
            }
        })
    });
    let s = sessions.clone();
    let expirer = part(move || {
        mock.advance(11 * MINUTE);
        s.sweep();
    });
    let s = sessions.clone();
    let reader = part(move || {
        if s.peek(&1).is_none() {
            assert!(!s.touch(&1), "it came back");
        }
    });
    together(touchers.into_iter().chain([expirer, reader]));
    let is_alive = sessions.peek(&1).is_some();
    assert_eq!(is_alive, touched.load(Ordering::Relaxed), "a touch got lost, or one came late");
    settle(&sessions);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn touches_race_with_the_expiry_of_their_entry() {
    explore(touches_against_expiry);
}

fn touch_against_remaining() {
    let (sessions, _mock) = sessions();
    let touched = Arc::new(AtomicBool::new(false));
    let (s, t) = (sessions.clone(), Arc::clone(&touched));
    let toucher = part(move || {
        s.touch(&1);
        // Release: a thread that sees this has to see the touch.
        t.store(true, Ordering::Release);
    });
    let s = sessions.clone();
    let reader = part(move || {
        let was_touched = touched.load(Ordering::Acquire);
        let left = s.remaining(&1).and_then(|left| left.idle).expect("it is alive");
        assert!(!was_touched || left > 29 * MINUTE, "only {left:?} after a touch");
    });
    together([toucher, reader]);
    settle(&sessions);
}

#[test]
fn a_touch_counts_as_soon_as_it_returns() {
    explore(touch_against_remaining);
}

/// Of two entries one has to make room while it is touched.
fn touch_against_eviction() {
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().clock(clock).hasher(super::hasher()).max_entries(2);
    let cache: Cache<u32, u32> =
        builder.capacity_policy(CapacityPolicy::EvictSoonestToExpire).build().expect("valid");
    cache.insert(1, 0).expect("there is room");
    mock.advance(5 * MINUTE);
    cache.insert(2, 0).expect("there is room");
    mock.advance(5 * MINUTE);
    let touched = Arc::new(AtomicBool::new(false));
    let (c, t) = (cache.clone(), Arc::clone(&touched));
    let toucher = part(move || {
        let lives = c.touch(&1);
        // Release: a thread that sees this has to see the touch.
        t.store(lives, Ordering::Release);
    });
    let c = cache.clone();
    let inserter = part(move || {
        let was_touched = touched.load(Ordering::Acquire);
        c.insert(3, 0).expect("another one goes");
        assert!(!was_touched || c.peek(&1).is_some(), "2 would have expired sooner");
    });
    together([toucher, inserter]);
    assert_eq!((cache.len(), cache.peek(&3)), (2, Some(0)));
    settle(&cache);
}

#[test]
#[cfg_attr(loom, ignore = "too many interleavings")]
fn a_touch_races_with_an_eviction() {
    explore(touch_against_eviction);
}
