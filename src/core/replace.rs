//! Changing an entry in place: another value, other deadlines. It keeps its identity.

use super::Core;
use super::insert::Refused;
use super::lookup::Met;
use crate::expiry::{Timeouts, Timing};
use crate::index::shard_of;
use crate::reclaim::{Pin, pin};
use crate::slab::{Birth, Ext, Flag, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// What takes the place of a value: another one, and, where a listener will want it, a copy of its
/// key.
pub(super) struct Goods<K, V> {
    pub(super) value: Option<V>,
    pub(super) key_copy: Option<K>,
}

impl<K, V> Goods<K, V> {
    pub(super) fn new(value: V) -> Self {
        Goods { value: Some(value), key_copy: None }
    }
}

impl<K, V> Default for Goods<K, V> {
    fn default() -> Self {
        Goods { value: None, key_copy: None }
    }
}

impl<K: Eq, V, S> Core<K, V, S> {
    /// Replaces the value of a live entry, if `condition`, where there is one, holds for it. Never
    /// creates an entry.
    pub(crate) fn update<Q>(
        &self,
        key: &Q,
        value: V,
        condition: Option<&dyn Fn(&V) -> bool>,
    ) -> Result<(), (Refused, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        let mut goods = Goods::new(value);
        let outcome = {
            let pin = pin();
            loop {
                let Some(met) = self.find(key, hash, &pin) else { break Err(Refused::Missing) };
                let expected = condition.map(|_| self.ext(met.id, met.state));
                if let (Some(holds), Some(ext)) = (condition, expected) {
                    // SAFETY: met alive under `pin`, and `ext` was read under it.
                    if !holds(unsafe { self.value_at(met.slot, ext) }) {
                        break Err(Refused::Condition);
                    }
                }
                if let Some(outcome) = self.replace(&met, expected, None, &mut goods, &pin) {
                    break outcome;
                }
            }
        };
        // Unpinned, because its drop is user code.
        let Goods { value, key_copy } = goods;
        self.drop_key_in_hand(key_copy);
        match outcome {
            Ok(crowd) => {
                self.relieve(crowd);
                Ok(())
            }
            Err(refused) => Err((refused, value.expect("a refused value is still here"))),
        }
    }

    /// Replaces the value of a live entry by what `change` makes of it, which is still its value
    /// when that takes its place. `Ok(false)`: there is none.
    pub(crate) fn modify<Q>(&self, key: &Q, change: impl Fn(&V) -> V) -> Result<bool, (Refused, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        loop {
            let mut goods = Goods::default();
            let outcome = {
                let pin = pin();
                let Some(met) = self.find(key, hash, &pin) else { return Ok(false) };
                let ext = self.ext(met.id, met.state);
                // SAFETY: met alive under `pin`, and `ext` was read under it.
                goods.value = Some(change(unsafe { self.value_at(met.slot, ext) }));
                self.replace(&met, Some(ext), None, &mut goods, &pin)
            };
            // Unpinned, because their drop is user code.
            let Goods { value, key_copy } = goods;
            self.drop_key_in_hand(key_copy);
            match outcome {
                Some(Ok(crowd)) => {
                    self.relieve(crowd);
                    return Ok(true);
                }
                Some(Err(refused)) => {
                    return Err((refused, value.expect("a refused value is still here")));
                }
                None => {}
            }
        }
    }

    /// Gives a live entry the timing that `change` makes of its present one and of the present
    /// tick, and restarts its idleness. `None`: there is none; `Some(false)`: no room for its
    /// terms.
    pub(crate) fn retime<Q>(&self, key: &Q, change: impl Fn(Timing, u64) -> Timing) -> Option<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        let (done, crowd) = {
            let pin = pin();
            loop {
                let met = self.find(key, hash, &pin)?;
                let timing = change(self.timing(met.id, met.state), self.stamp(met.now));
                match self.set_timing(&met, timing, &pin) {
                    Some(Some(crowd)) => break (true, crowd),
                    Some(None) => break (false, 0),
                    None => {}
                }
            }
        };
        self.relieve(crowd);
        Some(done)
    }

    /// Restarts both deadlines.
    pub(crate) fn renew<Q>(&self, key: &Q) -> Option<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        self.retime(key, |timing, tick| Timing { created: tick, ..timing })
    }

    /// Replaces the timeouts; what is not given is the cache's.
    pub(crate) fn set_timeouts<Q>(&self, key: &Q, timeouts: Timeouts) -> Option<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let limits = self.schedule.defaults().overridden(timeouts);
        self.retime(key, |timing, _| Timing { limits, ..timing })
    }
}

impl<K, V, S> Core<K, V, S> {
    /// Puts a value in the place of the present one, which must be that of `expected` if it is
    /// given. The entry keeps its identity, and its idleness restarts; `timing` replaces its
    /// timing. `None`: the state word changed meanwhile, or the value did.
    ///
    /// The state word is changed first, so a value never shows in an entry that had expired. When
    /// the entry is removed between that and the new value, the replacement counts as made just
    /// before; unless it was taken: then it was not made at all.
    pub(super) fn replace(
        &self,
        met: &Met<'_, K, V>,
        expected: Option<Ext>,
        timing: Option<Timing>,
        goods: &mut Goods<K, V>,
        pin: &Pin,
    ) -> Option<Result<u32, Refused>> {
        if let (Some(listener), None) = (&self.listener, &goods.key_copy) {
            // User code, so before anything is changed.
            // SAFETY: met alive under `pin`.
            goods.key_copy = Some(listener.clone_key(unsafe { self.present_key(met) }));
        }
        // Those by which it was found: otherwise the exchange of the state word fails.
        let names = self.names_in(self.ext(met.id, met.state), met.state);
        let Some(holder) = self.slab.allocate(met.id) else { return Some(Err(Refused::Full)) };
        let restarted = match timing {
            None => {
                let tick = self.stamp(met.now).max(met.state.tick());
                self.slab.extend(met.id);
                self.change(met.id, met.state, met.state.with_tick(tick).extended())
                    .then_some(Ok(()))
            }
            Some(timing) => {
                self.set_timing(met, timing, pin).map(|set| set.map(|_| ()).ok_or(Refused::Full))
            }
        };
        if restarted != Some(Ok(())) {
            self.slab.release(holder);
            return restarted.map(|set| set.map(|()| 0));
        }
        let Some(terms) = self.terms_of(met, names) else {
            self.slab.release(holder);
            return None;
        };
        self.load(holder, goods);
        let place = self.slab.slot(holder);
        // Relaxed: the holder is ours; its generation goes on so that its words stay unique.
        let generation = State(place.state.load(Ordering::Relaxed)).generation() + 1;
        place.state.store(State::new(0, generation, Flag::Value).0, Ordering::Relaxed);
        match self.install(met, holder, terms, expected) {
            Ok(crowd) => {
                self.touch_parent(met.id, pin);
                Some(Ok(crowd))
            }
            Err(ext) => {
                self.unload(holder, goods);
                self.slab.release(holder);
                if ext.is_closed() {
                    self.end_removal(met, pin);
                }
                None
            }
        }
    }

    /// Puts what replaces a value into a slot that was just allocated.
    fn load(&self, holder: u32, goods: &mut Goods<K, V>) {
        let value = goods.value.take().expect("a value is taken once, when nothing else can fail");
        // SAFETY: just allocated, so it is ours and holds nothing.
        unsafe { self.slab.write_value(holder, value) };
        if let Some(key) = goods.key_copy.take() {
            // SAFETY: as above.
            unsafe { self.slab.write_key(holder, key) };
        }
    }

    /// Takes it back from a holder that was not installed.
    fn unload(&self, holder: u32, goods: &mut Goods<K, V>) {
        // SAFETY: never installed, so nobody else reads it, and the holder is ours.
        goods.value = Some(unsafe { self.slab.take_value(holder) });
        if self.listener.is_some() {
            // SAFETY: as above; `load` has written it.
            goods.key_copy = Some(unsafe { self.slab.take_key(holder) });
        }
    }

    /// Makes `holder` the place of an entry's present value and sends the former one to the limbo.
    /// Returns how crowded that is. An error is the extension word of an entry that was closed,
    /// that has other terms, or whose value is not the `expected` one; while this thread is pinned,
    /// none of these comes back.
    fn install(
        &self,
        met: &Met<'_, K, V>,
        holder: u32,
        terms: u32,
        expected: Option<Ext>,
    ) -> Result<u32, Ext> {
        let (slot, place) = (met.id, met.slot);
        let swap = |ext| {
            let ext = Ext(ext);
            let is_other = expected.is_some_and(|other| other.value_slot() != ext.value_slot());
            let is_open = !ext.is_closed() && ext.terms() == terms;
            (is_open && !is_other).then(|| ext.with_value_slot(holder).0)
        };
        // AcqRel: Release publishes the value; Acquire takes over the former holder, or sees that
        // the entry was closed.
        let ext = self.slab.extend(slot);
        let former = ext.fetch_update(Ordering::AcqRel, Ordering::Acquire, swap).map_err(Ext)?;
        let former = Ext(former).value_slot();
        // Relaxed: constant since the slot was published.
        let stripe = shard_of(Birth(place.birth.load(Ordering::Relaxed)).hash());
        self.ledger.inserted(stripe);
        self.ledger.removed(stripe, RemovalCause::Replaced);
        if former == 0 {
            // The first value lies in the slot itself, which lives on.
            return Ok(self.limbo.add(slot));
        }
        let state = self.slab.state(former);
        // Relaxed: only the thread that took the holder off the entry gets here; the limbo's word
        // publishes it.
        let shed = State(state.load(Ordering::Relaxed)).with_flag(Flag::Shed);
        state.store(shed.with_tick(self.stamp(met.now)).0, Ordering::Relaxed);
        Ok(self.limbo.add(former))
    }

    /// Gives a live entry another timing, and restarts its idleness, at one instant: the exchange
    /// of its state word. `Some(Some(crowd))`: done, and so many records wait; `Some(None)`: no
    /// room; `None`: the entry changed meanwhile, or is being removed.
    pub(super) fn set_timing(
        &self,
        met: &Met<'_, K, V>,
        timing: Timing,
        pin: &Pin,
    ) -> Option<Option<u32>> {
        let word = self.slab.extend(met.id);
        let met = &self.extended(met)?;
        let seen = Ext(word.load(Ordering::Acquire));
        if seen.is_closed() {
            self.end_removal(met, pin);
            return None;
        }
        let rev = met.state.rev();
        // Acquire: after `seen`. Of an entry that moved on, `seen` may be any later terms, and a
        // record that follows `met` would be for none of its revisions.
        if met.slot.state.load(Ordering::Acquire) != met.state.0 {
            return None;
        }
        let tick = self.stamp(met.now).max(met.state.tick());
        if seen.terms() != 0 && self.terms.is_pending(seen.terms(), rev) {
            // Another change is under way: finish it, then look again. Its idleness restarts now,
            // as it would by its own hand.
            let next = met.state.with_tick(tick).with_rev(State::next_rev(rev));
            self.change(met.id, met.state, next);
            return None;
        }
        let next = State::next_rev(rev);
        let before = self.timing_in(met.id, seen, met.state);
        let Some(id) = self.terms.record_change(next, timing, before) else {
            return Some(None);
        };
        let mut ext = seen;
        loop {
            // AcqRel: Release publishes the record.
            let order = Ordering::AcqRel;
            let wanted = ext.with_terms(id).0;
            match word.compare_exchange(ext.0, wanted, order, Ordering::Acquire) {
                Ok(_) => break,
                // Only the value changed: the record still follows the one that was seen.
                Err(now) if Ext(now).terms() == seen.terms() && !Ext(now).is_closed() => {
                    ext = Ext(now);
                }
                Err(_) => {
                    self.terms.release(id);
                    return None;
                }
            }
        }
        let done = self.enter_rev(met, next);
        // The former record served revisions that are over, or an entry that is dead; either way
        // others may still be reading it.
        let crowd = if seen.terms() == 0 { 0 } else { self.terms.retire(seen.terms()) };
        done.then_some(Some(crowd))
    }

    /// Makes an entry extended, whose extension word is there. `None`: the state word changed.
    ///
    /// Comes before any change of the extension word, so that an eraser never overlooks one.
    pub(super) fn extended<'a>(&self, met: &Met<'a, K, V>) -> Option<Met<'a, K, V>> {
        let state = met.state.extended();
        let (word, order) = (&met.slot.state, Ordering::AcqRel);
        // AcqRel: Release publishes the memory of the extension word.
        let extends = || word.compare_exchange(met.state.0, state.0, order, Ordering::Acquire);
        let done = met.state.is_extended() || extends().is_ok();
        done.then_some(Met { state, ..*met })
    }

    /// Brings the entry to the revision whose terms its extension names already. Touches that come
    /// between are carried along; another thread may do it instead. `false`: the entry died. If it
    /// was removed by hand, perhaps in this revision, the change counts as made just before.
    fn enter_rev(&self, met: &Met<'_, K, V>, rev: u8) -> bool {
        let from = met.state.rev();
        let mut met = Met { ..*met };
        loop {
            let tick = self.stamp(met.now).max(met.state.tick());
            let rev = if met.state.rev() == from { rev } else { met.state.rev() };
            if self.change(met.id, met.state, met.state.with_tick(tick).with_rev(rev)) {
                return true;
            }
            let state = State(met.slot.state.load(Ordering::Acquire));
            if !state.is(Flag::Live) {
                // Not recycled, for the caller is pinned.
                return state.cause() == RemovalCause::Explicit.code();
            }
            if state.rev() != met.state.rev() && state.tick() >= tick {
                // Somebody did it for us.
                return true;
            }
            // Otherwise somebody touched it, or did it for us by an older clock.
            met.state = state;
        }
    }
}
