//! Models of the touch logs: no touch that counted is lost to an expiry.

use super::Touches;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken, model};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Plain;

/// An entry is due when the clock is later than its tick by more than this.
const TIMEOUT: u64 = 1;
const SLOT: u32 = 64;

/// One entry, and what its users were told.
struct World {
    touches: Touches,
    state: AtomicU64,
    clock: AtomicU64,
    /// The latest tick of a lookup that was told "here it is". Outside of the model.
    told_here: Plain,
}

fn is_due(state: State, now: u64) -> bool {
    now > state.tick() + TIMEOUT
}

impl World {
    /// An entry touched at tick 1; `threads` threads have logs.
    fn new(now: u64, threads: u32) -> Arc<Self> {
        let world = World {
            touches: Touches::new(),
            state: AtomicU64::new(State::new(1, 1, Flag::Live).0),
            clock: AtomicU64::new(now),
            told_here: Plain::new(1),
        };
        (0..threads).for_each(|thread| world.touches.drain(thread, |_, _| unreachable!()));
        Arc::new(world)
    }

    fn now(&self) -> u64 {
        // Acquire: as the mock clock's.
        self.clock.load(Ordering::Acquire)
    }

    fn load(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    fn exchange(&self, from: State, to: State) -> bool {
        // AcqRel: as in the core.
        let (order, lost) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(from.0, to.0, order, lost).is_ok()
    }

    /// As `Core::apply_touch`.
    fn apply(&self, tick: u64) {
        loop {
            let state = self.load();
            let stale = !state.is(Flag::Live) || state.tick() >= tick;
            if stale || self.exchange(state, state.with_tick(tick)) {
                return;
            }
        }
    }

    fn fold(&self) {
        self.touches.fold(|| self.now(), |_, tick| self.apply(tick));
    }

    /// As `Core::bury`. `false`: look again.
    fn bury(&self, state: State) -> bool {
        if !broken(Step::ExpireAsOfFold) && !is_due(state, self.touches.folded()) {
            self.fold();
            return false;
        }
        self.exchange(state, state.with_flag(Flag::Dead))
    }

    /// As `Core::get`: first `glance`, then `search`.
    fn get(&self, thread: u32) -> bool {
        let state = self.load();
        let early = broken(Step::ClockAfterFolds).then(|| self.now());
        let begun = self.touches.begin();
        let now = early.unwrap_or_else(|| self.now());
        if !state.is(Flag::Live) {
            return false;
        }
        if !is_due(state, now) {
            if state.tick() >= now || self.touches.record(thread, SLOT, now, begun) {
                return self.tell(now);
            }
            self.touches.drain(thread, |_, tick| self.apply(tick));
        }
        loop {
            let (state, now) = (self.load(), self.now());
            if !state.is(Flag::Live) {
                return false;
            }
            if is_due(state, now) {
                if self.bury(state) {
                    return false;
                }
            } else if state.tick() >= now || self.exchange(state, state.with_tick(now)) {
                return self.tell(now);
            }
        }
    }

    fn tell(&self, now: u64) -> bool {
        self.told_here.fetch_max(now, Ordering::Relaxed);
        true
    }

    /// As a sweep that has read the clock.
    fn sweep(&self) {
        self.fold();
        loop {
            let state = self.load();
            if !state.is(Flag::Live) || !is_due(state, self.touches.folded()) || self.bury(state) {
                return;
            }
        }
    }

    /// The clock moves to `to`, and somebody sweeps.
    fn advance_and_sweep(&self, to: u64) {
        // Release: as the mock clock's.
        self.clock.store(to, Ordering::Release);
        self.sweep();
    }

    /// At rest: no touch is lost, and none is still to come.
    fn check(&self) {
        self.fold();
        let (state, told) = (self.load(), self.told_here.load(Ordering::Relaxed));
        assert!(state.tick() >= told, "a touch at {told} was lost: {state:?}");
        if state.is(Flag::Dead) {
            assert!(is_due(state, self.now()), "expired too early: {state:?}");
        }
    }
}

/// Runs both parts at once, then checks.
fn race(
    (now, threads): (u64, u32),
    one: impl Fn(&World) + Clone + Send + Sync + 'static,
    other: impl Fn(&World) + Send + Sync + 'static,
) {
    let world = World::new(now, threads);
    let part = {
        let (world, one) = (Arc::clone(&world), one.clone());
        thread::spawn(move || one(&world))
    };
    other(&world);
    part.join().unwrap();
    world.check();
}

fn touch_against_sweep() {
    race((2, 1), |world| _ = world.get(0), |world| world.advance_and_sweep(3));
}

/// The first lookup fills the log of one record, so the second drains it.
fn full_log_against_sweep() {
    let twice = |world: &World| {
        world.get(0);
        world.get(0);
    };
    race((2, 1), twice, |world| world.advance_and_sweep(4));
}

fn two_touches_against_sweep() {
    let world = World::new(2, 2);
    let parts = [0, 1].map(|number| {
        let world = Arc::clone(&world);
        thread::spawn(move || _ = world.get(number))
    });
    world.advance_and_sweep(3);
    parts.into_iter().for_each(|part| part.join().unwrap());
    world.check();
}

/// The second sweep may rely on the fold of the first.
fn touch_against_two_sweeps() {
    let world = World::new(2, 1);
    let toucher = Arc::clone(&world);
    let toucher = thread::spawn(move || _ = toucher.get(0));
    let sweeper = Arc::clone(&world);
    let sweeper = thread::spawn(move || sweeper.advance_and_sweep(3));
    world.sweep();
    toucher.join().unwrap();
    sweeper.join().unwrap();
    world.check();
}

/// A lookup that reports a miss for expiry is not followed by a hit.
fn miss_before_hit() {
    let world = World::new(3, 2);
    let other = Arc::clone(&world);
    let part = thread::spawn(move || other.get(1));
    let first = world.get(0);
    let second = world.get(0);
    part.join().unwrap();
    assert!(first || !second, "a dead entry came back");
    world.check();
}

#[test]
fn model_a_touch_and_a_sweep() {
    model::check(3, touch_against_sweep);
}

#[test]
fn model_a_full_log_and_a_sweep() {
    model::check(3, full_log_against_sweep);
}

#[test]
fn model_two_touches_and_a_sweep() {
    model::check(2, two_touches_against_sweep);
}

#[test]
fn model_a_touch_and_two_sweeps() {
    model::check(2, touch_against_two_sweeps);
}

#[test]
fn model_a_miss_is_not_followed_by_a_hit() {
    model::check(3, miss_before_hit);
}

#[test]
fn model_needs_the_touchers_barrier() {
    model::check_fails_without(Step::TouchBarrier, 3, touch_against_sweep);
}

#[test]
fn model_needs_the_second_look_at_the_folds() {
    model::check_fails_without(Step::TouchLooksAgain, 3, touch_against_sweep);
}

#[test]
fn model_needs_the_clock_to_be_read_after_the_folds() {
    model::check_fails_without(Step::ClockAfterFolds, 3, touch_against_sweep);
}

#[test]
fn model_needs_folded_to_be_published_last() {
    model::check_fails_without(Step::FoldedIsLast, 2, touch_against_two_sweeps);
}

#[test]
fn model_needs_expiry_as_of_the_fold() {
    model::check_fails_without(Step::ExpireAsOfFold, 3, || {
        race(
            (2, 2),
            |world| _ = world.get(0),
            |world| {
                world.clock.store(3, Ordering::Release);
                world.get(1);
            },
        );
    });
}
