//! Passing over all entries, slot by slot.
//!
//! An entry stays in its slot as long as it lives, so one that is there all the time is met exactly
//! once. Only slots that were in use at the start are looked at, so every iteration ends.

use super::Core;
use super::lookup::{Met, Verdict};
use crate::index::Found;
use crate::reclaim::{Pin, pin};
use crate::slab::{Flag, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;

/// Slots that are looked at under one pin.
const SLICE: u32 = 1024;

/// Where an iteration stands: these slots are still to be looked at.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    next: u32,
    end: u32,
}

impl Course {
    /// All that is left of an iteration.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Looks at this slot again, the latest one.
    pub(super) fn back_to(&mut self, slot: u32) {
        self.next = slot;
    }

    pub(super) fn is_over(&self) -> bool {
        self.next >= self.end
    }

    /// Where the slots end that are looked at under the next pin.
    pub(super) fn slice(&self) -> u32 {
        self.end.min(self.next.saturating_add(SLICE))
    }
}

impl<K, V, S> Core<K, V, S> {
    /// An iteration over what is there now.
    pub(crate) fn course(&self) -> Course {
        let taken = self.slab.taken();
        Course { next: taken.start, end: taken.end }
    }

    /// What `clone` makes of the next live entry, under a pin of its own.
    pub(crate) fn next_clone<R>(
        &self,
        course: &mut Course,
        clone: impl Fn(&K, &V) -> R,
    ) -> Option<R> {
        while !course.is_over() {
            let pin = pin();
            let end = course.slice();
            if let Some((key, value)) = self.next_pair(course, end, &pin) {
                return Some(clone(key, value));
            }
        }
        None
    }

    /// The next live entry before slot `end`.
    pub(super) fn next_live<'p>(
        &'p self,
        course: &mut Course,
        end: u32,
        pin: &'p Pin,
    ) -> Option<Met<'p, K, V>> {
        while course.next < end {
            let id = course.next;
            let Some(found) = self.live_in(id) else {
                course.next += 1;
                continue;
            };
            let time = self.clock.now();
            let now = self.now_at(time);
            let Found { id, slot, state } = found;
            match self.examine(&found, (time, now), pin) {
                Verdict::Live => {
                    course.next += 1;
                    return Some(Met { id, slot, state, now });
                }
                Verdict::Dead => course.next += 1,
                // Look again.
                Verdict::Changed => {}
            }
        }
        None
    }

    /// Key and value of the next live entry before slot `end`, as long as the pin holds.
    pub(crate) fn next_pair<'p>(
        &'p self,
        course: &mut Course,
        end: u32,
        pin: &'p Pin,
    ) -> Option<(&'p K, &'p V)> {
        let met = self.next_live(course, end, pin)?;
        // SAFETY: met alive under `pin`, which the references borrow.
        Some(unsafe { (self.present_key(&met), self.present_value(&met)) })
    }

    /// Removes the next entry, also one that has expired but was not swept, and returns what
    /// `clone` makes of it.
    pub(crate) fn drain_next<R>(
        &self,
        course: &mut Course,
        clone: impl Fn(&K, &V) -> R,
    ) -> Option<R> {
        while !course.is_over() {
            let drained = {
                let pin = pin();
                self.drain_slice(course, course.slice(), &clone, &pin)
            };
            if let Some((drained, crowd)) = drained {
                self.relieve(crowd);
                return Some(drained);
            }
        }
        None
    }

    fn drain_slice<R>(
        &self,
        course: &mut Course,
        end: u32,
        clone: &impl Fn(&K, &V) -> R,
        pin: &Pin,
    ) -> Option<(R, u32)> {
        while course.next < end {
            let Some(Found { id, slot, state }) = self.live_in(course.next) else {
                course.next += 1;
                continue;
            };
            let time = self.clock.now();
            // What lost its parent must not be read any more.
            let is_orphan = !self.has_parents(id, time, pin);
            let cause = if is_orphan { RemovalCause::Cascade } else { RemovalCause::Explicit };
            let met = Met { id, slot, state, now: self.now_at(time) };
            // SAFETY: seen alive under `pin`. Before the claim, which ends the entry's names.
            let key = unsafe { self.present_key(&met) };
            // A lost claim means that a touch came between: look again.
            let Some(crowd) = self.claim(id, state, cause, pin) else { continue };
            course.next += 1;
            if !is_orphan {
                let ext = self.close(&met);
                // SAFETY: as above. The entry is wholly removed, so a panic in `clone` leaves
                // nothing half done.
                let value = unsafe { self.value_at(slot, ext) };
                return Some((clone(key, value), crowd));
            }
        }
        None
    }

    /// What lives in a slot.
    fn live_in(&self, id: u32) -> Option<Found<'_, Self>> {
        if !self.slab.is_there(id) {
            return None;
        }
        let slot = self.slab.slot(id);
        // Acquire: sees the entry that this word speaks of.
        let state = State(slot.state.load(Ordering::Acquire));
        let is_entry = state.is(Flag::Live) && !self.ext(id, state).is_alias();
        is_entry.then_some(Found { id, slot, state })
    }
}
