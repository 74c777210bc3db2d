//! Threads that stop for ever between two steps: a sweep finds what they left half done.

use super::{A, Home, SLOTS, Timers, Visits, World, play, race};
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;
use crate::sync::model::scenarios;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

scenarios! {
    crate::wheel::model::explore;
    3 a_mover_after_its_exchange;
    3 a_mover_between_leaf_and_summary;
    3 a_mover_lost_in_its_clear;
    3 a_mover_whose_net_is_cleared;
    3 a_sweeper_in_its_first_look;
    3 a_sweeper_in_its_second_look;
    3 a_sweeper_in_its_third_look;
}

/// Unwinds through a thread that is lost.
struct Lost;

/// A thread that is lost at its last look at a slot.
struct Mortal<'a> {
    world: &'a World,
    looks: Cell<u32>,
}

impl Timers for Mortal<'_> {
    fn timer(&self, slot: u32) -> (State, Option<Home>) {
        self.looks.set(self.looks.get() - 1);
        if self.looks.get() == 0 {
            resume_unwind(Box::new(Lost));
        }
        self.world.timer(slot)
    }

    fn expire(&self, slot: u32, state: State) -> bool {
        self.world.expire(slot, state)
    }
}

impl World {
    /// Runs a part that is lost at look number `looks`, if it looks so often.
    fn until_lost(&self, looks: u32, part: impl FnOnce(&Mortal<'_>)) {
        let mortal = Mortal { world: self, looks: Cell::new(looks) };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| part(&mortal))) {
            assert!(payload.is::<Lost>(), "the part panicked");
        }
    }

    /// The first step of a touch. `None`: the slot is dead.
    fn exchange_only(&self, slot: u32, now: u64) -> Option<(Home, Home)> {
        let state = self.load(slot);
        let to = state.with_tick(now);
        if !state.is(Flag::Live) || !self.exchange(slot, state, to, Ordering::AcqRel) {
            return None;
        }
        Some((self.home(slot, state)?, self.home(slot, to)?))
    }

    /// A sweep at `now` leaves nothing alive.
    fn check_swept(&self, now: u64) {
        self.sweep(now);
        for slot in A..A + SLOTS {
            let state = self.load(slot);
            assert!(!state.is(Flag::Live), "passed: slot {slot}, {state:?}");
        }
        self.check();
    }
}

fn one() -> World {
    World::new(1, 6, [Some(4), None])
}

fn a_mover_after_its_exchange() {
    let mover = play(|w| {
        w.exchange_only(A, 6);
    });
    race(one(), [mover, play(|w| w.sweep(7))]).check_swept(9);
}

/// A sweeper that meets the old bit finds the new one, but no summary bit above it.
pub(super) fn a_mover_between_leaf_and_summary() {
    let mover = play(|w| {
        if let Some((_, to)) = w.exchange_only(A, 6) {
            w.wheel.bits(to, A).0.set_leaf();
        }
    });
    race(one(), [mover, play(|w| w.sweep(7))]).check_swept(9);
}

/// The old bit is cleared, and nobody has ensured the new one.
pub(super) fn a_mover_lost_in_its_clear() {
    let mover = play(|w| {
        if let Some((from, to)) = w.exchange_only(A, 6) {
            w.until_lost(1, |mortal| w.wheel.refile(mortal, A, Some(from), Some(to)));
        }
    });
    race(one(), [mover, play(|w| w.sweep(7))]).check_swept(9);
}

fn a_mover_and_a_sweeper_lost(looks: u32) {
    let mover = play(|w| {
        w.exchange_only(A, 6);
    });
    let sweeper = play(move |w| {
        w.until_lost(looks, |mortal| {
            w.latest.fetch_max(7, Ordering::Relaxed);
            w.wheel.sweep(mortal, 7, &mut Visits(u64::MAX));
        });
    });
    race(one(), [mover, sweeper]).check_swept(9);
}

/// The mover has set nothing when the sweeper meets its old bit.
fn a_sweeper_in_its_first_look() {
    a_mover_and_a_sweeper_lost(1);
}

/// Filing the slot forward.
pub(super) fn a_sweeper_in_its_second_look() {
    a_mover_and_a_sweeper_lost(2);
}

/// After the clear.
fn a_sweeper_in_its_third_look() {
    a_mover_and_a_sweeper_lost(3);
}

/// From bucket 4 over 6 and 8 to 10: the first mover clears place 0 late, where the last one,
/// lost after its exchange, has its only bit.
fn a_mover_whose_net_is_cleared() {
    let last = play(|w| {
        w.touch(A, 1, 6);
        w.exchange_only(A, 8);
    });
    race(World::new(1, 4, [Some(2), None]), [play(|w| w.touch(A, 1, 4)), last]).check_swept(11);
}
