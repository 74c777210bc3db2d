//! Removing an entry if its value satisfies a condition.
//!
//! The condition is asked under a pin, with nothing half done; what it is asked about must still be
//! the entry's value when the entry changes. So a conditional removal *closes* the entry first, by
//! an exchange of the very extension word that named the value: from then on no replacement is
//! installed. Then it claims the entry. A thread that means to replace the value of a closed entry
//! that is still alive claims it on behalf of the closer, and leaves word of that in the state.

use super::iterate::Course;
use super::lookup::Met;
use super::{Behalf, Core};
use crate::reclaim::{Pin, pin};
use crate::slab::{Ext, Flag, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// How a conditional removal of an entry that was met ended.
enum Outcome {
    /// It is removed; so crowded is the limbo.
    Removed(u32),
    /// It stays: the condition says so.
    Kept,
    /// It is dead, or its word or value changed: look again.
    Changed,
}

impl<K, V, S> Core<K, V, S> {
    /// Removes an entry if `condition` holds for its value. `false`: there is none, or it does not.
    pub(crate) fn remove_if<Q>(&self, key: &Q, condition: impl Fn(&V) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        let crowd = {
            let pin = pin();
            loop {
                let Some(met) = self.find(key, hash, &pin) else { return false };
                match self.remove_met_if(&met, |_, value| condition(value), &pin) {
                    Outcome::Removed(crowd) => break crowd,
                    Outcome::Kept => return false,
                    Outcome::Changed => {}
                }
            }
        };
        self.relieve(crowd);
        true
    }

    /// Removes every entry for which `keep` does not hold, one after the other.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut course = self.course();
        while !course.is_over() {
            let crowd = self.retain_slice(&mut course, &mut keep);
            self.relieve(crowd);
        }
    }

    /// The slots that are looked at under one pin, up to the first removal.
    fn retain_slice(&self, course: &mut Course, keep: &mut impl FnMut(&K, &V) -> bool) -> u32 {
        let pin = pin();
        let end = course.slice();
        while let Some(met) = self.next_live(course, end, &pin) {
            match self.remove_met_if(&met, |key, value| !keep(key, value), &pin) {
                Outcome::Removed(crowd) => return crowd,
                Outcome::Kept => {}
                Outcome::Changed => course.back_to(met.id),
            }
        }
        0
    }

    /// Removes an entry that was met alive, if `condition` holds for its key and value.
    fn remove_met_if(
        &self,
        met: &Met<'_, K, V>,
        condition: impl FnOnce(&K, &V) -> bool,
        pin: &Pin,
    ) -> Outcome {
        let word = self.slab.extend(met.id);
        // Those by which it was found, if its state word is still what was met.
        let names = self.names_in(self.ext(met.id, met.state), met.state);
        let Some(met) = self.extended(met) else { return Outcome::Changed };
        // Acquire: sees the value that the word names.
        let ext = Ext(word.load(Ordering::Acquire));
        if ext.is_closed() {
            self.end_removal(&met, pin);
            return Outcome::Changed;
        }
        // Acquire: after `ext`, and after `names` were read: they are those of the word that was
        // met.
        let is_same = met.slot.state.load(Ordering::Acquire) == met.state.0;
        // Once it is closed, it gets no other terms.
        if !is_same || self.terms_of(&met, names) != Some(ext.terms()) {
            return Outcome::Changed;
        }
        // SAFETY: met alive under `pin`, and `ext` was read under it.
        let (key, value) = unsafe { (self.present_key(&met), self.value_at(met.slot, ext)) };
        if !condition(key, value) {
            return Outcome::Kept;
        }
        let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
        // AcqRel: pairs with `install`, which fails from now on.
        if word.compare_exchange(ext.0, ext.0 | Ext::CLOSED, order, lost).is_err() {
            return Outcome::Changed;
        }
        let mut state = met.state;
        loop {
            if let Some(crowd) = self.claim(met.id, state, RemovalCause::Explicit, pin) {
                return Outcome::Removed(crowd);
            }
            // Acquire: sees how it ended.
            let now = State(met.slot.state.load(Ordering::Acquire));
            if !now.is(Flag::Live) {
                // Not recycled yet, for we are pinned.
                return if now.was_helped() { Outcome::Removed(0) } else { Outcome::Changed };
            }
            // A touch came between.
            state = now;
        }
    }

    /// Ends the conditional removal of a closed entry for the thread that began it.
    pub(super) fn end_removal(&self, met: &Met<'_, K, V>, pin: &Pin) {
        let mut state = met.state;
        while state.is(Flag::Live) && state.generation() == met.state.generation() {
            if self.claim_for(met.id, state, RemovalCause::Explicit, Behalf::Closer, pin).is_some()
            {
                return;
            }
            // Acquire: sees what the word speaks of.
            state = State(met.slot.state.load(Ordering::Acquire));
        }
    }
}
