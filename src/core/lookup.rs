//! Reading: find, judge by the clock, touch.

use super::Core;
use crate::expiry::Remaining;
use crate::index::{Found, shard_of};
use crate::reclaim::{Pin, pin};
use crate::slab::{Ext, Slot, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// A live entry that was met under the present pin.
pub(super) struct Met<'a, K, V> {
    pub(super) id: u32,
    pub(super) slot: &'a Slot<K, V>,
    pub(super) state: State,
    /// The time by which it was judged.
    pub(super) now: u64,
}

/// What to do with an entry that was found.
pub(super) enum Verdict {
    Live,
    /// Expired, or without its parent; and claimed.
    Dead,
    /// The state word changed meanwhile: look again.
    Changed,
}

impl<K, V> Clone for Met<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Met<'_, K, V> {}

impl<K, V, S> Core<K, V, S> {
    /// The live entry of a key.
    #[inline(always)]
    pub(super) fn find<Q>(&self, key: &Q, hash: u32, pin: &Pin) -> Option<Met<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.find_by(hash, pin, move |present| present.borrow() == key)
    }

    /// The live entry whose key has this hash and satisfies `is_key`.
    #[inline(always)]
    pub(super) fn find_by(
        &self,
        hash: u32,
        pin: &Pin,
        is_key: impl Fn(&K) -> bool + Copy,
    ) -> Option<Met<'_, K, V>> {
        loop {
            // SAFETY: we are pinned, and the index names slots whose key is written.
            let is_slot = move |_, slot: &Slot<K, V>| is_key(unsafe { slot.key() });
            let found = self.index.find(self, hash, pin, is_slot)?;
            let time = self.clock.now();
            let now = self.now_at(time);
            match self.examine(&found, (time, now), pin) {
                Verdict::Live => {
                    let Found { id, slot, state } = found;
                    return Some(Met { id, slot, state, now });
                }
                Verdict::Dead => return None,
                Verdict::Changed => {}
            }
        }
    }

    /// Judges an entry by the clock, and by its parents: by `time`, which is `now` in this cache.
    /// One that is dead is claimed before a miss is reported, so that a slower clock elsewhere
    /// cannot bring it back.
    #[inline(always)]
    pub(super) fn examine(
        &self,
        found: &Found<'_, Self>,
        (time, now): (u64, u64),
        pin: &Pin,
    ) -> Verdict {
        let due = self.is_due(found.slot, found.state, now);
        if !due && self.has_parents(found.id, time, pin) {
            return Verdict::Live;
        }
        if self.bury(found.id, found.state, due, pin) { Verdict::Dead } else { Verdict::Changed }
    }

    /// Whether an entry is past its deadline.
    #[inline(always)]
    pub(super) fn is_due(&self, slot: &Slot<K, V>, state: State, now: u64) -> bool {
        match self.default_timing(slot) {
            Some(timing) => self.schedule.is_due(state.tick(), timing, now),
            None => self.is_due_by_terms(slot, state, now),
        }
    }

    #[cold]
    #[inline(never)]
    fn is_due_by_terms(&self, slot: &Slot<K, V>, state: State, now: u64) -> bool {
        self.schedule.is_due(state.tick(), self.timing(slot, state), now)
    }

    /// Claims an entry that was found dead: due, or without its parent.
    #[cold]
    #[inline(never)]
    fn bury(&self, id: u32, state: State, due: bool, pin: &Pin) -> bool {
        let cause = if due {
            self.schedule.cause(state.tick(), self.timing(self.slab.slot(id), state))
        } else {
            RemovalCause::Cascade
        };
        self.claim(id, state, cause, pin).is_some()
    }

    /// Records the activity of an entry. `false`: its state word changed meanwhile.
    #[inline(always)]
    pub(super) fn touch(&self, met: &Met<'_, K, V>) -> bool {
        let tick = self.stamp(met.now);
        // Within one tick nothing is written twice.
        met.state.tick() >= tick || self.touch_slow(*met, tick)
    }

    /// Takes a copy: a reference would keep every hit in memory.
    #[cold]
    #[inline(never)]
    fn touch_slow(&self, met: Met<'_, K, V>, tick: u64) -> bool {
        self.change(&met, met.state.with_tick(tick))
    }

    /// Exchanges the state word of an entry that stays alive, and moves its bit in the wheel.
    /// `false`: the word changed meanwhile, and nothing was done.
    pub(super) fn change(&self, met: &Met<'_, K, V>, to: State) -> bool {
        // AcqRel: Release hands on what this thread saw to whoever judges by the new word; the
        // wheel's `clear` acquires it through the leaf word.
        let order = Ordering::AcqRel;
        // Before the exchange: as long as the word is what was met, this is its timing.
        let timing = self.timing(met.slot, met.state);
        if met.slot.state.compare_exchange(met.state.0, to.0, order, Ordering::Acquire).is_err() {
            return false;
        }
        let from = self.schedule.home(met.state.tick(), timing);
        let to = if to.rev() == met.state.rev() {
            self.schedule.home(to.tick(), timing)
        } else {
            self.home(met.id, to)
        };
        self.wheel.refile(self, met.id, from, to);
        true
    }

    /// Finds a live entry and touches it.
    #[inline(always)]
    pub(super) fn find_and_touch<Q>(&self, key: &Q, hash: u32, pin: &Pin) -> Option<&Slot<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            let met = self.find(key, hash, pin)?;
            if self.touch(&met) && self.touch_parent(met.id, pin) {
                return Some(met.slot);
            }
        }
    }

    /// The present value of an entry.
    ///
    /// # Safety
    /// - The caller met the entry alive under the pin that it still holds; the reference must not
    ///   outlive that pin.
    #[inline(always)]
    pub(super) unsafe fn present_value<'a>(&'a self, slot: &'a Slot<K, V>) -> &'a V {
        // Acquire: sees the value that a replacement published.
        let ext = Ext(slot.ext.load(Ordering::Acquire));
        // SAFETY: the contract is the same.
        unsafe { self.value_at(slot, ext) }
    }

    /// The value that an entry's extension word `ext` speaks of.
    ///
    /// # Safety
    /// - As for `present_value`, and `ext` was read under the pin.
    #[inline(always)]
    pub(super) unsafe fn value_at<'a>(&'a self, slot: &'a Slot<K, V>, ext: Ext) -> &'a V {
        let holder = if ext.value_slot() == 0 { slot } else { self.slab.slot(ext.value_slot()) };
        // SAFETY: met alive under the caller's pin; `holder` has the present value, and is erased
        // only after a grace period that begins after it was replaced or removed.
        unsafe { holder.value() }
    }

    /// A reference to the value of a key, for as long as the pin holds.
    #[inline]
    pub(crate) fn get<'p, Q>(&'p self, key: &Q, touch: bool, pin: &'p Pin) -> Option<&'p V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        let slot = if touch {
            self.find_and_touch(key, hash, pin)
        } else {
            self.find(key, hash, pin).map(|met| met.slot)
        };
        self.ledger.read(shard_of(hash), slot.is_some());
        // SAFETY: met alive under `pin`, which the reference borrows.
        slot.map(|slot| unsafe { self.present_value(slot) })
    }

    /// Whether a key is there, touching it if asked.
    pub(crate) fn contains<Q>(&self, key: &Q, touch: bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        self.get(key, touch, &pin()).is_some()
    }

    pub(crate) fn remaining<Q>(&self, key: &Q) -> Option<Remaining>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let met = self.find(key, self.hash(key), &pin())?;
        let timing = self.timing(met.slot, met.state);
        Some(self.schedule.remaining(met.state.tick(), timing, met.now))
    }
}
