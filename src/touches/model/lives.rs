//! Logs and slots that pass from one user to the next, under real pins.

use super::{EXECUTIONS, LATE, START, World, play, race};
use crate::reclaim::Readers;
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;
use crate::sync::model::scenarios;
use crate::sync::{Step, broken};
use std::sync::atomic::AtomicU64 as Plain;

scenarios! {
    crate::touches::model::explore;
    2 a_log_that_changes_hands;
    2 a_slot_that_is_used_again;
    2 a_slot_that_is_used_again_and_a_fold;
}

/// Of slot 0, only the first life is touched.
const NEXT_LIFE: u32 = 2;

struct Lives {
    world: World,
    readers: Readers,
    /// When the next life began.
    born: Plain,
}

impl Lives {
    fn new() -> Self {
        Lives { world: World::new(), readers: Readers::new(), born: Plain::new(0) }
    }

    /// All that a thread does: it gets a number, touches the first life, and gives the number back.
    fn touch(&self) {
        let reader = self.readers.register();
        reader.enter();
        let state = self.world.load(0);
        if state.is(Flag::Live) && state.generation() < NEXT_LIFE {
            self.world.get(reader.number(), 0);
        }
        reader.leave();
        reader.give_back();
    }

    /// Removes the entry, and puts another one into its slot if nobody is pinned.
    fn renew(&self) {
        let mut state = self.world.load(0);
        while !self.world.exchange(0, state, state.with_flag(Flag::Dead), Ordering::SeqCst) {
            state = self.world.load(0);
        }
        let is_free = || self.readers.pinned().iter().all(|turn| turn.is_over());
        if broken(Step::Grace) || is_free() {
            let now = self.world.now();
            self.born.store(now, Ordering::Relaxed);
            // Release: as in the core.
            let state = State::new(now, NEXT_LIFE, Flag::Live).0;
            self.world.states[0].store(state, Ordering::Release);
        }
    }

    /// At rest: a touch of the first life changes nothing in the next one.
    fn check_lives(&self) {
        self.world.fold();
        let state = self.world.load(0);
        if state.generation() == NEXT_LIFE {
            assert_eq!(state.tick(), self.born.load(Ordering::Relaxed), "touched: {state:?}");
        }
        EXECUTIONS.set(EXECUTIONS.get() + 1);
    }
}

/// A thread ends, and another one takes over its log with what is in there.
fn a_log_that_changes_hands() {
    let toucher = || play(Lives::touch);
    let expirer = |l: &Lives| {
        l.world.advance(LATE);
        l.world.sweep();
    };
    race(Lives::new(), [toucher(), toucher(), play(expirer)]).world.check();
}

fn late_toucher(lives: &Lives) {
    lives.world.advance(START + 1);
    lives.touch();
}

/// The record of a touch outlives the entry.
pub(super) fn a_slot_that_is_used_again() {
    race(Lives::new(), [play(late_toucher), play(Lives::renew)]).check_lives();
}

fn a_slot_that_is_used_again_and_a_fold() {
    let folder = play(|l: &Lives| l.world.fold());
    race(Lives::new(), [play(late_toucher), play(Lives::renew), folder]).check_lives();
}
