//! The hierarchical timing wheel. Knows slot ids, buckets and nanoseconds, not keys.
//!
//! A bucket is not a list but a bitmap over all slots, so filing an entry allocates nothing, holds
//! no pointer, and may be repeated by anybody. The state word of a slot says which bucket is its
//! *home*; a bit elsewhere is a stale hint and is cleared when a sweep meets it.
//!
//! Levels differ in bucket width; an entry's level follows from its shortest timeout and never
//! changes while that does not, so nothing ever cascades from level to level (as in the Linux
//! timer wheel since 4.8). Sources: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels"
//! (SOSP 1987), sections 5 and 6; the clear, re-check, re-set of summary bits is mimalloc's.
//!
//! # Invariants
//! - **Filed**: at rest a live or reserved slot has its leaf bit and its summary bit in its home.
//! - **Net**: while a thread moves a slot, its previous bit still stands in a bucket that is not
//!   passed yet, and a sweep that meets it files the slot forward before it clears the bit.
//! - **Passed**: when a sweep has passed a bucket, no live slot has its home there, except one
//!   whose thread is about to look at `swept` and to claim it.

mod bits;
mod level;
mod soonest;
mod walk;

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(any(loom, shuttle))))]
mod moment_tests;

pub(crate) use level::{Home, Plan};
pub(crate) use walk::{Budget, Walk};

use crate::segments::Geometry;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken, model_fence};
use bits::{Bits, Spot};
use level::Level;

/// What the wheel asks of the slots it files.
pub(crate) trait Timers {
    /// The state word of a slot with the home that it names; `None`: it never expires.
    fn timer(&self, slot: u32) -> (State, Option<Home>);

    /// Turns the slot from exactly `state` to dead because its deadline has passed, and takes it
    /// out of the cache. `false`: the word had changed.
    fn expire(&self, slot: u32, state: State) -> bool;
}

/// The wheel of one cache.
pub(crate) struct Wheel {
    geometry: Geometry,
    levels: Box<[Level]>,
    /// Time of the latest sweep that *started*, in nanoseconds. One word for all levels.
    swept: AtomicU64,
    /// The chunk in which `soonest` was last successful: a hint.
    last_offer: AtomicU64,
}

impl Wheel {
    pub(crate) fn new(geometry: Geometry, plan: &Plan) -> Self {
        let (swept, last_offer) = (AtomicU64::new(0), AtomicU64::new(0));
        Wheel { geometry, levels: plan.levels(), swept, last_offer }
    }

    fn bits(&self, home: Home, slot: u32) -> (Spot<'_>, &Level) {
        let level = &self.levels[usize::from(home.level)];
        let (segment, offset) = self.geometry.locate(slot);
        let bits = level.parts.of(segment).get_or_init(|| {
            let (start, chunks) = (self.geometry.start(segment), self.geometry.chunks(segment));
            Box::new(Bits::new(start, chunks, level.buckets))
        });
        (bits.spot(offset, level.place(home.bucket)), level)
    }

    /// Whether a sweep that has started passes this bucket.
    fn is_covered(&self, home: Home) -> bool {
        // SeqCst: pairs with the start of `sweep`: "bit set or slot live, then load swept" against
        // "publish swept, then load bits and states".
        let swept = self.swept.load(Ordering::SeqCst);
        self.levels[usize::from(home.level)].is_past(home.bucket, swept)
    }

    /// Sets the bit of a reserved slot, whose insert calls [`Wheel::went_live`] later.
    pub(crate) fn reserve(&self, home: Home, slot: u32) {
        let (spot, level) = self.bits(home, slot);
        spot.set();
        level.occupy(level.place(home.bucket));
    }

    /// After a slot went live: if its bucket is being swept already, nobody else will look at it.
    pub(crate) fn went_live<T: Timers>(&self, timers: &T, home: Home, slot: u32, generation: u32) {
        // The slot went live by a SeqCst exchange; the pair is described at `is_covered`.
        model_fence();
        if !broken(Step::InsertLooksAtSwept) && self.is_covered(home) {
            self.claim_due(timers, slot, generation);
        }
    }

    /// Files a slot whose state word was just changed to name `to`, and clears its bit in `from`.
    /// The order is fixed: change the word, set the new bit, clear the old one.
    pub(crate) fn refile<T: Timers>(
        &self,
        timers: &T,
        slot: u32,
        from: Option<Home>,
        to: Option<Home>,
    ) {
        if from == to {
            return;
        }
        let file = || {
            if let Some(to) = to {
                self.file(timers, to, slot);
            }
        };
        if !broken(Step::SetBeforeClear) {
            file();
        }
        if let Some(from) = from {
            self.unset(timers, from, slot);
        }
        if broken(Step::SetBeforeClear) {
            file();
        }
    }

    /// Sets a slot's bit, and claims the slot if its bucket is being swept already.
    fn file<T: Timers>(&self, timers: &T, home: Home, slot: u32) {
        let (spot, level) = self.bits(home, slot);
        spot.set();
        level.occupy(level.place(home.bucket));
        // The bit was set by a SeqCst exchange; the pair is described at `is_covered`.
        model_fence();
        if !broken(Step::FileLooksAtSwept) && self.is_covered(home) {
            let (state, _) = timers.timer(slot);
            self.claim_due(timers, slot, state.generation());
        }
    }

    /// Clears a slot's bit. Whoever clears makes sure that the slot's present home has one: the
    /// clearer may be late by a whole turn of the wheel, or the slot reused.
    pub(crate) fn unset<T: Timers>(&self, timers: &T, home: Home, slot: u32) {
        let (spot, level) = self.bits(home, slot);
        spot.clear();
        if !broken(Step::EnsureAfterClear) {
            self.ensure(timers, slot);
        }
        if spot.is_empty_word() && spot.drop_summary() {
            level.occupy(level.place(home.bucket));
            if !broken(Step::ReopenClaims) {
                self.reopen(timers, &spot, level);
            }
        }
    }

    /// Makes sure that a live or reserved slot has its bits at home.
    fn ensure<T: Timers>(&self, timers: &T, slot: u32) {
        let (state, home) = timers.timer(slot);
        let Some(home) = home else { return };
        if !has_home(state) {
            return;
        }
        let (spot, level) = self.bits(home, slot);
        if !spot.is_set() {
            self.file(timers, home, slot);
        } else if !broken(Step::EnsureSeesSummary) {
            spot.raise_summary();
            level.occupy(level.place(home.bucket));
        }
    }

    /// A summary bit was cleared and set again because its word was not empty: a sweep may have
    /// passed over the word in between, so claim here what it did not see.
    #[cold]
    fn reopen<T: Timers>(&self, timers: &T, spot: &Spot<'_>, level: &Level) {
        model_fence();
        for slot in spot.slots() {
            let (state, home) = timers.timer(slot);
            if let Some(home) = home.filter(|home| std::ptr::eq(self.level_of(*home), level)) {
                if state.is(Flag::Live) && self.is_covered(home) {
                    self.claim_due(timers, slot, state.generation());
                }
            }
        }
    }

    fn level_of(&self, home: Home) -> &Level {
        &self.levels[usize::from(home.level)]
    }

    /// Expires a slot if it is due by the start of the latest sweep. Repeated when a touch comes
    /// between: one attempt with a stale word would leave the slot to nobody. Ends, because a
    /// touch that moves the deadline out of the swept buckets ends it.
    fn claim_due<T: Timers>(&self, timers: &T, slot: u32, generation: u32) {
        loop {
            let (state, home) = timers.timer(slot);
            let Some(home) = home else { return };
            if !state.is(Flag::Live) || state.generation() != generation || !self.is_covered(home) {
                return;
            }
            if timers.expire(slot, state) || broken(Step::ClaimRepeats) {
                return;
            }
        }
    }

    /// Whether a slot's bits are where they belong. At rest only.
    pub(crate) fn is_filed(&self, home: Home, slot: u32) -> bool {
        let (spot, level) = self.bits(home, slot);
        spot.is_set() && spot.has_summary() && level.is_occupied(level.place(home.bucket))
    }

    /// Bits that are set, in all levels. At rest only.
    pub(crate) fn count_bits(&self) -> u64 {
        self.levels.iter().map(Level::count_bits).sum()
    }
}

/// Whether a slot in this state must be found by a sweep. A reserved one must: a sweeper that read
/// the slot when it was free clears its bit later.
fn has_home(state: State) -> bool {
    state.is(Flag::Live) || (state.is(Flag::Reserved) && !broken(Step::ReservedHasHome))
}
