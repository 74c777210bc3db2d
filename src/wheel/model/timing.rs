//! Changes of an entry's timeout: a record names the next one, the state word's revision brings it
//! into force.

use super::{A, AtomicU64, BUCKETS, D, Flag, Ordering, Plan, State, World, play, race};
use crate::sync::model::scenarios;

scenarios! {
    crate::wheel::model::explore;
    2 two_changes_and_a_sweeper;
    3 a_change_there_and_one_back;
    2 a_change_into_a_passed_bucket;
    2 a_change_a_touch_and_a_sweeper;
    2 a_change_of_level_a_touch_and_a_sweeper;
    2 two_changes_of_level_and_a_sweeper;
}

/// As a record of `Terms`: from revision `rev` on `now`, until then `before`.
#[derive(Clone, Copy)]
pub(super) struct Record {
    rev: u8,
    now: u64,
    before: u64,
}

impl Record {
    fn pack(self) -> u64 {
        (self.now << 32) | (self.before << 8) | u64::from(self.rev)
    }

    pub(super) fn load(cell: &AtomicU64) -> Self {
        let word = cell.load(Ordering::Acquire);
        Record { rev: word as u8, now: word >> 32, before: (word & 0xffff_ffff) >> 8 }
    }

    pub(super) fn timeout(self, rev: u8) -> Option<u64> {
        if self.rev == rev { Some(self.now) } else { self.is_pending(rev).then_some(self.before) }
    }

    fn is_pending(self, rev: u8) -> bool {
        self.rev == State::next_rev(rev)
    }
}

impl World {
    /// Lets timeouts change.
    fn changing(mut self) -> Self {
        let record = |now| AtomicU64::new(Record { rev: 0, now, before: now }.pack());
        self.records = Some(self.timeouts.map(record));
        self
    }

    /// As `Core::set_timing`, by a thread whose clock says `now`.
    fn set_timeout(&self, slot: u32, wanted: u64, now: u64) {
        let cell = &self.records.as_ref().expect("timeouts change here")[super::at(slot)];
        loop {
            let state = self.load(slot);
            if !state.is(Flag::Live) {
                return;
            }
            let Some(timeout) = self.timeout(slot, state) else { continue };
            if state.tick() + timeout < now {
                self.claim(slot, state);
                continue;
            }
            let seen = Record::load(cell);
            let rev = State::next_rev(state.rev());
            if seen.is_pending(state.rev()) {
                self.change(slot, state, state.with_rev(rev), timeout);
                continue;
            }
            let next = Record { rev, now: wanted, before: timeout }.pack();
            let order = Ordering::AcqRel;
            if cell.compare_exchange(seen.pack(), next, order, Ordering::Acquire).is_ok() {
                return self.enter_rev(slot, state, timeout, now);
            }
        }
    }

    /// As `Core::enter_rev`.
    fn enter_rev(&self, slot: u32, mut state: State, timeout: u64, now: u64) {
        let (generation, rev) = (state.generation(), state.rev());
        while state.is(Flag::Live) && state.generation() == generation && state.rev() == rev {
            let tick = state.tick().max(now);
            let to = state.with_tick(tick).with_rev(State::next_rev(rev));
            if self.change(slot, state, to, timeout) {
                return;
            }
            state = self.load(slot);
        }
    }
}

fn one() -> World {
    World::new(1, 6, [Some(4), None]).changing()
}

fn one_of_two_levels() -> World {
    World::planned(Plan::double(D, BUCKETS), 6, [Some(4), None]).changing()
}

/// Each files by its own timeout; the last one counts.
fn two_changes_and_a_sweeper() {
    race(
        one(),
        [play(|w| w.set_timeout(A, 1, 6)), play(|w| w.set_timeout(A, 3, 5)), play(|w| w.sweep(8))],
    )
    .check();
}

/// From bucket 6 to 7 and back, where the first mover still has to clear its bit.
pub(super) fn a_change_there_and_one_back() {
    race(one(), [play(|w| w.set_timeout(A, 3, 4)), play(|w| w.set_timeout(A, 2, 4))]).check();
}

/// Bucket 5 is swept already.
fn a_change_into_a_passed_bucket() {
    race(one(), [play(|w| w.set_timeout(A, 1, 4)), play(|w| w.sweep(7))]).check();
}

fn a_change_a_touch_and_a_sweeper() {
    race(
        one(),
        [play(|w| w.set_timeout(A, 3, 5)), play(|w| w.touch(A, 1, 6)), play(|w| w.sweep(8))],
    )
    .check();
}

/// From buckets of one tick to buckets of two.
fn a_change_of_level_a_touch_and_a_sweeper() {
    race(
        one_of_two_levels(),
        [play(|w| w.set_timeout(A, 3, 5)), play(|w| w.touch(A, 1, 6)), play(|w| w.sweep(10))],
    )
    .check();
}

fn two_changes_of_level_and_a_sweeper() {
    race(
        one_of_two_levels(),
        [play(|w| w.set_timeout(A, 3, 5)), play(|w| w.set_timeout(A, 2, 6)), play(|w| w.sweep(9))],
    )
    .check();
}
