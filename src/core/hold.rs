//! Leases: entries that are in use, and so not idle.
//!
//! How many leases an entry has is part of its timing, so taking one and giving it back are changes
//! of timing like any other: they take effect at one exchange of the state word, and whoever judged
//! the entry by what held before loses the race for that word.

use super::lookup::Met;
use super::{Allowance, Core};
use crate::expiry::Timing;
use crate::link::Incarnation;
use crate::reclaim::{Patience, Pin, pin};
use crate::slab::State;
use crate::sync::atomic::Ordering;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// Attempts to note the end of a lease when there is no room for it.
const ATTEMPTS: u32 = 8;

/// An entry that is held.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    entry: Incarnation,
    /// Tells incarnations apart when the generation has come round, which takes longer than a tick.
    birth: u64,
}

impl<K, V, S> Core<K, V, S> {
    /// Takes a lease on a live entry. `None`: there is none, or no room to note it.
    pub(crate) fn take_lease<Q>(&self, key: &Q) -> Option<Held>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        let (held, crowd) = {
            let pin = pin();
            loop {
                let met = self.find(key, hash, &pin)?;
                if let Some(noted) = self.change_holds(&met, 1, &pin) {
                    let entry = Incarnation { slot: met.id, generation: met.state.generation() };
                    // Relaxed: constant as long as the entry lives.
                    let birth = met.slot.birth.load(Ordering::Relaxed);
                    self.touch_parent(met.id, &pin);
                    break (Held { entry, birth }, noted?);
                }
            }
        };
        self.relieve(crowd);
        Some(held)
    }

    /// Gives back a lease, and restarts the entry's idleness, unless it is dead.
    pub(crate) fn end_lease(&self, held: Held) {
        for _ in 0..ATTEMPTS {
            if let Some(crowd) = self.try_end_lease(held) {
                return self.relieve(crowd);
            }
            self.reclaim(Patience::Turns, &mut Allowance::unlimited());
        }
    }

    /// `None`: there is no room to note it.
    fn try_end_lease(&self, held: Held) -> Option<u32> {
        let pin = pin();
        loop {
            let Some(state) = self.held_state(held) else { return Some(0) };
            let slot = self.slab.slot(held.entry.slot);
            let met = Met { id: held.entry.slot, slot, state, now: self.now() };
            if let Some(noted) = self.change_holds(&met, -1, &pin) {
                return noted;
            }
        }
    }

    /// Whether the entry of a lease is there, and not past its absolute deadline.
    pub(crate) fn is_held_alive(&self, held: Held) -> bool {
        let pin = pin();
        loop {
            let Some(state) = self.held_state(held) else { return false };
            let time = self.clock.now();
            let is_due = {
                let timing = self.timing(held.entry.slot, state);
                self.schedule.is_due(state.tick(), timing, self.now_at(time))
            };
            let is_alive = !is_due && self.has_parents(held.entry.slot, time, &pin);
            // Otherwise it was judged by what may be another timing.
            if self.held_state(held).is_none_or(|now| now.rev() == state.rev()) {
                return is_alive;
            }
        }
    }

    /// The state of the entry of a lease; `None`: it is dead. The caller is pinned.
    fn held_state(&self, held: Held) -> Option<State> {
        let slot = self.slab.slot(held.entry.slot);
        // Acquire: sees the birth of the entry that this word speaks of.
        let state = State(slot.state.load(Ordering::Acquire));
        // Relaxed: as above.
        let birth = slot.birth.load(Ordering::Relaxed);
        (held.entry.is_live_in(state) && birth == held.birth).then_some(state)
    }

    /// Changes the number of leases of an entry. As [`Core::set_timing`].
    fn change_holds(&self, met: &Met<'_, K, V>, by: i32, pin: &Pin) -> Option<Option<u32>> {
        let timing = self.timing(met.id, met.state);
        let Some(holds) = timing.holds.checked_add_signed(by) else { return Some(None) };
        self.set_timing(met, Timing { holds, ..timing }, pin)
    }
}
