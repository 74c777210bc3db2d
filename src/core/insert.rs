//! Inserting: a draft takes a slot, writes key and value, and asks the index to publish it.

use super::Core;
use crate::expiry::{Limits, Timeouts, Timing};
use crate::index::{Published, shard_of};
use crate::reclaim::{Pin, pin};
use crate::slab::{Birth, Ext, Flag, Inline, State};
use crate::wheel::Home;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::Ordering;

/// What an insert does when the key is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Replace the value in place.
    Replace,
    /// Refuse.
    NewOnly,
}

/// Why nothing was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Exists,
    Missing,
    Full,
}

/// How crowded a part of the limbo may be before a writer empties it.
const CROWD: u32 = 1024;
/// A crowded part is looked at again after so many more removals.
const CROWD_STEP: u32 = 256;

impl<K: Eq, V, S> Core<K, V, S> {
    /// Stores a value. `Ok(true)`: under a new entry; `Ok(false)`: in place of another value.
    pub(crate) fn insert(
        &self,
        key: K,
        value: V,
        timeouts: Option<Timeouts>,
        mode: Mode,
    ) -> Result<bool, (Refused, V)>
    where
        K: Hash,
        S: BuildHasher,
    {
        let hash = self.hash(&key);
        let limits = timeouts.map(|timeouts| self.schedule.defaults().overridden(timeouts));
        // Before the pin: when `Eq` panics, key and value are dropped after it has ended.
        let mut draft = Draft::new(self, hash, key, value);
        let pin = pin();
        let outcome = loop {
            let Some(met) = self.find(draft.key(), hash, &pin) else {
                match draft.publish(limits, &pin) {
                    Some(Ok(slot)) => break Ok((true, self.crowd_after_insert(slot))),
                    Some(Err(refused)) => break Err(refused),
                    None => continue,
                }
            };
            if mode == Mode::NewOnly {
                break Err(Refused::Exists);
            }
            let timing = limits.map(|limits| Timing { limits, ..met.timing });
            match self.replace(&met, timing, &mut draft.value) {
                Some(Ok(crowd)) => break Ok((false, crowd)),
                Some(Err(refused)) => break Err(refused),
                None => {}
            }
        };
        let (key, value) = (draft.key.take(), draft.value.take());
        drop(draft);
        drop(pin);
        // A key that was not needed. Unpinned, because its drop is user code; and caught, because
        // a refused value has yet to get back to the caller.
        self.run_user_drop(|| drop(key));
        match outcome {
            Ok((new, crowd)) => {
                self.relieve(crowd);
                Ok(new)
            }
            Err(refused) => Err((refused, value.expect("a refused value is still in hand"))),
        }
    }
}

impl<K, V, S> Core<K, V, S> {
    /// How crowded the limbo is, looked at by one insert in about [`CROWD`]: readers that find
    /// entries expired send them there, but leave the work to writers.
    fn crowd_after_insert(&self, slot: u32) -> u32 {
        let crowded = slot.is_multiple_of(CROWD)
            && self.limbo.waiting() > u64::from(CROWD).max(self.len() / 4);
        if crowded { CROWD } else { 0 }
    }

    /// Erases what waits in a crowded limbo, so that memory stays bounded without a sweeper. Runs
    /// in writers only, after their own work, and unpinned.
    pub(super) fn relieve(&self, crowd: u32) {
        if crowd >= CROWD && crowd.is_multiple_of(CROWD_STEP) {
            self.reclaim(0, &mut || true);
        }
    }
}

/// A key and a value on their way into the cache.
///
/// The key is in hand, or in the slot that was reserved for it. The value is in hand, except while
/// `publish` runs. Dropped half-way (a panic in the user's `Eq`), the slot goes to the limbo with
/// what it holds.
struct Draft<'a, K, V, S> {
    core: &'a Core<K, V, S>,
    hash: u32,
    key: Option<K>,
    value: Option<V>,
    reserved: Option<Reserved>,
}

/// A slot in state `Reserved`, and where it is filed.
#[derive(Clone, Copy)]
struct Reserved {
    slot: u32,
    state: State,
    home: Option<Home>,
}

impl<'a, K: Eq, V, S> Draft<'a, K, V, S> {
    fn new(core: &'a Core<K, V, S>, hash: u32, key: K, value: V) -> Self {
        Draft { core, hash, key: Some(key), value: Some(value), reserved: None }
    }

    fn key(&self) -> &K {
        match (&self.key, self.reserved) {
            (Some(key), _) => key,
            // SAFETY: the slot is ours and holds the key.
            (None, Some(reserved)) => unsafe { self.core.slab.slot(reserved.slot).key() },
            (None, None) => unreachable!("a draft holds its key until it is published"),
        }
    }

    /// Tries to insert; returns the slot. `None`: the key turned up meanwhile, or its bucket moved; look again.
    fn publish(&mut self, limits: Option<Limits>, pin: &Pin) -> Option<Result<u32, Refused>> {
        let core = self.core;
        let reserved = match self.reserved {
            Some(reserved) => reserved,
            None => match self.reserve(limits) {
                Some(reserved) => reserved,
                None => return Some(Err(Refused::Full)),
            },
        };
        let slot = reserved.slot;
        let value = self.value.take().expect("the value is in hand between attempts");
        // SAFETY: the slot is ours, and its value is in hand, not there.
        unsafe { core.slab.write_value(slot, value) };
        self.mark_inline(slot, Inline::Intact);
        // SAFETY: the slot is ours and holds the key; others that the index names hold theirs,
        // and we are pinned.
        let is_key = |other| unsafe { core.slab.slot(other).key() == core.slab.slot(slot).key() };
        match core.index.publish(core, self.hash, slot, pin, is_key) {
            Published::Inserted => {
                self.reserved = None;
                core.inserted(reserved, self.hash, pin);
                return Some(Ok(slot));
            }
            Published::Exists | Published::Moved => {}
        }
        // SAFETY: never live, so nobody else reads the value, and the slot is ours.
        self.value = Some(unsafe { core.slab.take_value(slot) });
        self.mark_inline(slot, Inline::Erased);
        // Relaxed: the slot is ours.
        let seen = State(core.slab.state(slot).load(Ordering::Relaxed)).is(Flag::Dead);
        if seen && self.change_slot(reserved).is_none() {
            return Some(Err(Refused::Full));
        }
        None
    }

    /// Takes a slot and moves the key there.
    fn reserve(&mut self, limits: Option<Limits>) -> Option<Reserved> {
        let core = self.core;
        let slot = core.slab.allocate(shard_of(self.hash) as u32)?;
        let created = core.stamp(core.now());
        let timing = Timing { limits: limits.unwrap_or(core.schedule.defaults()), created };
        let mut ext = Ext(0).with_inline(Inline::Erased);
        if limits.is_some() {
            let Some(terms) = core.terms.record_change(0, timing, timing) else {
                core.slab.release(slot);
                return None;
            };
            ext = ext.with_terms(terms);
        }
        let reserved = self.prepare(slot, ext, timing);
        let key = self.key.take().expect("the key is in hand until a slot is reserved");
        // SAFETY: just allocated: it is ours and holds no key.
        unsafe { core.slab.write_key(slot, key) };
        self.reserved = Some(reserved);
        Some(reserved)
    }

    /// Turns an owned slot from free to reserved, and files it.
    fn prepare(&self, slot: u32, ext: Ext, timing: Timing) -> Reserved {
        let core = self.core;
        let place = core.slab.slot(slot);
        // Relaxed: published by the state word.
        place.birth.store(Birth::new(timing.created, self.hash).0, Ordering::Relaxed);
        place.ext.store(ext.0, Ordering::Relaxed);
        let generation = State(place.state.load(Ordering::Relaxed)).generation() + 1;
        let state = State::new(timing.created, generation, Flag::Reserved);
        // Release: a clearer of a stale bit that meets the slot from now on sees its home.
        place.state.store(state.0, Ordering::Release);
        let home = core.schedule.home(state.tick(), timing);
        if let Some(home) = home {
            core.wheel.reserve(home, slot);
        }
        Reserved { slot, state, home }
    }

    /// Moves on to another slot, because readers have seen this one. `None`: there is none.
    fn change_slot(&mut self, old: Reserved) -> Option<()> {
        let core = self.core;
        let slot = core.slab.allocate(shard_of(self.hash) as u32)?;
        let place = core.slab.slot(old.slot);
        // Relaxed: the old slot is ours; its birth, terms and key go to the new one.
        let birth = Birth(place.birth.load(Ordering::Relaxed));
        let ext = Ext(place.ext.load(Ordering::Relaxed));
        let timing = match ext.terms() {
            0 => Timing { limits: core.schedule.defaults(), created: birth.created() },
            terms => core.terms.timing(terms, 0),
        };
        place.ext.store(ext.with_terms(0).0, Ordering::Relaxed);
        self.reserved = Some(self.prepare(slot, ext, timing));
        // SAFETY: both slots are ours, and the old one is erased as `Shed`, without its key. The
        // new key is dropped only after a grace period that ends all pins that saw the old one.
        unsafe { core.slab.transfer_key(old.slot, slot) };
        core.discard(old, Flag::Shed);
        Some(())
    }

    fn mark_inline(&self, slot: u32, inline: Inline) {
        let ext = &self.core.slab.slot(slot).ext;
        // Relaxed: the slot is ours; published by the exchange that makes it live or dead.
        ext.store(Ext(ext.load(Ordering::Relaxed)).with_inline(inline).0, Ordering::Relaxed);
    }
}

impl<K, V, S> Core<K, V, S> {
    /// After a draft went live.
    fn inserted(&self, reserved: Reserved, hash: u32, pin: &Pin) {
        let stripe = shard_of(hash);
        self.ledger.inserted(stripe);
        if let Some(home) = reserved.home {
            self.wheel.went_live(self, home, reserved.slot, reserved.state.generation());
        }
        self.index.grow(self, hash, self.ledger.live(stripe), pin);
    }

    /// Sends the slot of an insert that did not happen to the limbo. It was never live, so it is
    /// not counted.
    fn discard(&self, reserved: Reserved, flag: Flag) {
        let dead = reserved.state.with_flag(flag);
        // Release: a clearer of a stale bit sees that the slot has no home any more.
        self.slab.state(reserved.slot).store(dead.0, Ordering::Release);
        if let Some(home) = reserved.home {
            self.wheel.unset(self, home, reserved.slot);
        }
        self.limbo.add(reserved.slot);
    }
}

impl<K, V, S> Drop for Draft<'_, K, V, S> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.core.discard(reserved, Flag::Dead);
        }
    }
}
