//! Races between touches, which are logged, and whoever goes by the state words.

use super::{MINUTE, Parents, explore, parents, part, settle, together};
use crate::MockClock;
use crate::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// An entry that has to be touched within the next ten minutes, and one to fill logs with.
fn sessions() -> (Parents, MockClock) {
    let (sessions, mock) = parents();
    sessions.insert(1, 0).expect("there is room");
    sessions.insert(2, 0).expect("there is room");
    mock.advance(20 * MINUTE);
    // The first touch of all makes the logs.
    assert!(sessions.touch(&2));
    mock.advance(MINUTE);
    (sessions, mock)
}

pub(super) fn touches_against_expiry() {
    let (sessions, mock) = sessions();
    let touched = Arc::new(AtomicBool::new(false));
    let touchers = [true, false].map(|fills| {
        let (s, touched) = (sessions.clone(), Arc::clone(&touched));
        part(move || {
            if s.touch(&1) {
                // Relaxed: read when the threads have ended.
                touched.store(true, Ordering::Relaxed);
            }
            if fills {
                s.touch(&2);
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
        // Release: whoever sees this has to see the touch.
        t.store(true, Ordering::Release);
        // Finds the log full, and empties it.
        s.touch(&2);
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
fn a_touch_moves_from_the_log_to_the_word_while_it_is_looked_for() {
    explore(touch_against_remaining);
}
