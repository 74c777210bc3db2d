//! Reading: find, judge by the clock, touch.

use super::Core;
use crate::expiry::Remaining;
use crate::index::{Found, shard_of};
use crate::reclaim::{Pin, pin};
use crate::retries::{Retry, retried};
use crate::slab::{Ext, Flag, Slot, State};
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

/// A reading of the clock, and what follows from it.
struct Moment {
    time: u64,
    now: u64,
    /// Entries with the default timing are idle for too long if they were touched before this tick.
    oldest: u64,
    /// The tick that stands for activity now.
    tick: u64,
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
            let mut found = self.index.find(self, hash, pin, is_slot)?;
            if !found.state.has_default_timing() {
                // It may go by another key.
                found = self.named(found, pin).or_else(|| self.find_named(hash, pin, is_key))?;
            }
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
        let due = self.is_due(found, now);
        if !due && self.has_parents(found.id, time, pin) {
            return Verdict::Live;
        }
        if self.bury(found.id, found.state, due, pin) { Verdict::Dead } else { Verdict::Changed }
    }

    /// Whether an entry is past its deadline.
    #[inline(always)]
    fn is_due(&self, found: &Found<'_, Self>, now: u64) -> bool {
        if found.state.has_default_timing() {
            self.schedule.is_idle(found.state.tick(), now) || self.schedule.is_old(found.slot, now)
        } else {
            self.is_due_by_terms(found.id, found.state, now)
        }
    }

    #[cold]
    #[inline(never)]
    fn is_due_by_terms(&self, slot: u32, state: State, now: u64) -> bool {
        self.schedule.is_due(state.tick(), self.timing(slot, state), now)
    }

    /// Claims an entry that was found dead: due, or without its parent. `false`: look again.
    #[cold]
    #[inline(never)]
    fn bury(&self, id: u32, state: State, due: bool, pin: &Pin) -> bool {
        if !due {
            return self.claim(id, state, RemovalCause::Cascade, pin).is_some();
        }
        // A touch since would have changed the word, and then the claim fails.
        let cause = self.schedule.cause(state.tick(), self.timing(id, state));
        let claimed = self.claim(id, state, cause, pin).is_some();
        if claimed {
            self.ledger.expired_on_read();
        }
        claimed
    }

    /// Records the activity of an entry. `false`: its state word changed meanwhile.
    #[inline(always)]
    pub(super) fn touch(&self, met: &Met<'_, K, V>) -> bool {
        let tick = self.stamp(met.now);
        // Within one tick nothing is written twice.
        met.state.tick() >= tick || self.change(met.id, met.state, met.state.with_tick(tick))
    }

    /// Exchanges the state word of an entry that stays alive, and moves its bit in the wheel.
    /// `false`: the word changed meanwhile, and nothing was done. The caller is pinned.
    #[cold]
    #[inline(never)]
    pub(super) fn change(&self, id: u32, from: State, to: State) -> bool {
        // AcqRel: Release hands on what this thread saw to whoever judges by the new word; the
        // wheel's `clear` acquires it through the leaf word.
        let order = Ordering::AcqRel;
        // Before the exchange: as long as the word is what was met, this is its timing.
        let timing = self.timing(id, from);
        let word = self.slab.state(id);
        if word.compare_exchange(from.0, to.0, order, Ordering::Acquire).is_err() {
            retried(Retry::Touch);
            return false;
        }
        let old = self.schedule.home(from.tick(), timing);
        let new = if to.rev() == from.rev() {
            self.schedule.home(to.tick(), timing)
        } else {
            self.home(id, to)
        };
        self.wheel.refile(self, id, old, new);
        true
    }

    /// Finds a live entry and touches it.
    #[inline(always)]
    pub(super) fn find_and_touch<Q>(&self, key: &Q, hash: u32, pin: &Pin) -> Option<Met<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            let met = self.find(key, hash, pin)?;
            if self.touch(&met) && self.touch_parent(met.id, pin) {
                return Some(met);
            }
        }
    }

    /// The present value of an entry.
    ///
    /// # Safety
    /// - The caller met the entry alive under the pin that it still holds; the reference must not
    ///   outlive that pin.
    #[inline(always)]
    pub(super) unsafe fn present_value<'a>(&'a self, met: &Met<'a, K, V>) -> &'a V {
        // SAFETY: the contract is the same.
        unsafe { self.value_at(met.slot, self.ext(met.id, met.state)) }
    }

    /// The same, if the entry goes by the key for which it was met when its value is read. `None`:
    /// it may have got another one, and then a value that is not for whoever knows the former key;
    /// look again.
    ///
    /// # Safety
    /// - As for `present_value`.
    #[inline(always)]
    pub(super) unsafe fn value_by_key<'a>(&'a self, met: &Met<'a, K, V>) -> Option<&'a V> {
        let ext = self.ext(met.id, met.state);
        if ext.terms() != 0 && !self.is_in_rev(met) {
            return None;
        }
        // SAFETY: the contract is the same.
        Some(unsafe { self.value_at(met.slot, ext) })
    }

    /// Whether an entry lives in the revision in which it was met. Another key is another one.
    #[cold]
    fn is_in_rev(&self, met: &Met<'_, K, V>) -> bool {
        // Acquire: whoever has seen a value in the extension word sees the revision before it.
        let state = State(met.slot.state.load(Ordering::Acquire));
        let is_same = state.generation() == met.state.generation();
        state.is(Flag::Live) && is_same && state.rev() == met.state.rev()
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
        if let Some(met) = self.glance(key, hash, touch, pin) {
            // SAFETY: met alive under `pin`, which the reference borrows.
            let value = unsafe { self.value_by_key(&met?) };
            if value.is_some() {
                return value;
            }
        }
        self.search(key, hash, touch, pin)
    }

    /// References to the values of several keys, for as long as the pin holds. The lookups wait
    /// for memory together, and one reading of the clock serves all.
    #[inline]
    pub(crate) fn get_many<'p, Q, const N: usize>(
        &'p self,
        keys: [&Q; N],
        pin: &'p Pin,
    ) -> [Option<&'p V>; N]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let mut hashes = [0; N];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = self.hash(key);
        }
        let begun = self.index.begin_all(self, &hashes, pin);
        let moment = self.moment();
        let mut values = [None; N];
        for (n, value) in values.iter_mut().enumerate() {
            let (key, hash) = (keys[n], hashes[n]);
            // SAFETY: we are pinned, and the index names slots whose key is written.
            let is_key = move |_, slot: &Slot<K, V>| unsafe { slot.key() }.borrow() == key;
            if let Some(found) = self.index.find_begun(self, hash, begun[n], pin, is_key) {
                if let Some(met) = self.settle_plainly(found, &moment, true) {
                    // SAFETY: met alive under `pin`, which the reference borrows.
                    *value = unsafe { self.value_by_key(&met) };
                    if value.is_some() {
                        continue;
                    }
                }
            } else if !self.ledger.records_reads() {
                continue;
            }
            *value = self.search(key, hash, true, pin);
        }
        values
    }

    /// What to judge by, and to touch with.
    #[inline(always)]
    fn moment(&self) -> Moment {
        let time = self.clock.now();
        let now = self.schedule.plainly_since(self.origin, time);
        // A time that is not plain lets nothing be plain.
        let oldest = now.map_or(u64::MAX, |now| self.schedule.oldest(now));
        let now = now.unwrap_or(0);
        Moment { time, now, oldest, tick: self.stamp(now) }
    }

    /// What lookups mostly come to: a miss, or a live entry with its cache's timeouts. `None`:
    /// something else, for `search`. Without loops, and without calls but the clock's and, for the
    /// first touch in a tick, that of `change`: so it stays in registers.
    #[inline(always)]
    fn glance<Q>(&self, key: &Q, hash: u32, touch: bool, pin: &Pin) -> Option<Option<Met<'_, K, V>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // SAFETY: we are pinned, and the index names slots whose key is written.
        let is_key = move |_, slot: &Slot<K, V>| unsafe { slot.key() }.borrow() == key;
        let Some(found) = self.index.find(self, hash, pin, is_key) else {
            return (!self.ledger.records_reads()).then_some(None);
        };
        // After the loads, which may have to wait for memory.
        self.settle_plainly(found, &self.moment(), touch).map(Some)
    }

    /// Judges an entry that was found, and touches it, if that is plain to do.
    #[inline(always)]
    fn settle_plainly<'s>(
        &self,
        found: Found<'s, Self>,
        moment: &Moment,
        touch: bool,
    ) -> Option<Met<'s, K, V>> {
        let Found { id, slot, state } = found;
        if state.tick() < moment.oldest || !state.has_default_timing() {
            return None;
        }
        let met = Met { id, slot, state, now: moment.now };
        if self.is_special && !self.is_plain(&met, moment.time, touch) {
            return None;
        }
        // Within one tick nothing is written twice.
        let is_touched = !touch || state.tick() >= moment.tick;
        let is_done = is_touched || self.change(id, state, state.with_tick(moment.tick));
        is_done.then_some(met)
    }

    /// Whether a hit is one in a cache that looks at more than state words and clock. `false` says
    /// nothing.
    #[inline(always)]
    fn is_plain(&self, met: &Met<'_, K, V>, time: u64, touch: bool) -> bool {
        !self.ledger.records_reads()
            && !self.schedule.is_old(met.slot, met.now)
            && self.is_plainly_linked(met.id, time, touch)
    }

    /// A lookup, whatever it takes.
    #[cold]
    #[inline(never)]
    fn search<'p, Q>(&'p self, key: &Q, hash: u32, touch: bool, pin: &'p Pin) -> Option<&'p V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let find = || match touch {
            true => self.find_and_touch(key, hash, pin),
            false => self.find(key, hash, pin),
        };
        let value = loop {
            let Some(met) = find() else { break None };
            // SAFETY: met alive under `pin`, which the reference borrows.
            let value = unsafe { self.value_by_key(&met) };
            if value.is_some() {
                break value;
            }
        };
        self.ledger.read(shard_of(hash), value.is_some());
        value
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
        let hash = self.hash(key);
        let pin = pin();
        loop {
            let met = self.find(key, hash, &pin)?;
            let timing = self.timing(met.id, met.state);
            // Acquire: sees what the word speaks of.
            let state = State(met.slot.state.load(Ordering::Acquire));
            // Of an entry that died since, what held when it was met.
            let state = if state.is(Flag::Live) { state } else { met.state };
            // Otherwise the timing may be another one: somebody made progress.
            if state.rev() == met.state.rev() {
                return Some(self.schedule.remaining(state.tick(), timing, met.now));
            }
        }
    }
}
