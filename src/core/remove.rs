//! Explicit removal: one key, or all of them.

use super::Core;
use super::lookup::Met;
use crate::reclaim::{Pin, pin};
use crate::slab::{Ext, Flag, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// Slots that a bulk operation looks at under one pin.
const BATCH: usize = 1024;

impl<K, V, S> Core<K, V, S> {
    /// Removes an entry. `false`: there was none, or it had expired.
    pub(crate) fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let claimed = {
            let pin = pin();
            self.claim_key(key, &pin)
        };
        claimed.inspect(|&(_, crowd)| self.relieve(crowd)).is_some()
    }

    /// Removes an entry and returns a clone of its value.
    pub(crate) fn take<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
        V: Clone,
    {
        let (value, crowd) = {
            let pin = pin();
            let (met, crowd) = self.claim_key(key, &pin)?;
            let ext = self.close(&met);
            // SAFETY: met alive under `pin`. The entry is wholly removed, so a panic in `clone`
            // leaves nothing half done.
            (unsafe { self.value_at(met.slot, ext) }.clone(), crowd)
        };
        self.relieve(crowd);
        Some(value)
    }

    /// Ends the replacements of an entry that this thread has removed, and returns what its
    /// extension word says from now on.
    pub(super) fn close(&self, met: &Met<'_, K, V>) -> Ext {
        // AcqRel: Acquire sees the value that was installed last; Release pairs with `install`,
        // which fails from now on. So no replacement gets lost behind our back. An entry that was
        // not extended has no other value, and gets none.
        let close = |word: &AtomicU64| Ext(word.fetch_or(Ext::CLOSED, Ordering::AcqRel));
        if met.state.is_extended() { close(self.slab.extend(met.id)) } else { Ext(0) }
    }

    fn claim_key<Q>(&self, key: &Q, pin: &Pin) -> Option<(Met<'_, K, V>, u32)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hash(key);
        self.cancel_loads(Some(hash), pin);
        loop {
            let met = self.find(key, hash, pin)?;
            if let Some(crowd) = self.claim(met.id, met.state, RemovalCause::Explicit, pin) {
                return Some((met, crowd));
            }
        }
    }

    /// Removes every entry that is there when the call begins and still there when its turn comes.
    pub(crate) fn clear(&self, cause: RemovalCause) {
        self.cancel_loads(None, &pin());
        let mut ids = self.slab.ids();
        loop {
            let pin = pin();
            let mut looked = 0;
            for slot in ids.by_ref().take(BATCH) {
                looked += 1;
                self.claim_slot(slot, cause, &pin);
            }
            if looked < BATCH {
                return;
            }
        }
    }

    /// Removes whatever entry lives in a slot.
    fn claim_slot(&self, slot: u32, cause: RemovalCause, pin: &Pin) {
        loop {
            // Acquire: sees the entry that this word speaks of.
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            // A lost claim means that a touch came between.
            let is_entry = state.is(Flag::Live) && !self.ext(slot, state).is_alias();
            if !is_entry || self.claim(slot, state, cause, pin).is_some() {
                return;
            }
        }
    }
}
