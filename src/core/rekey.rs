//! Giving an entry another key; see [`names`](super::names).

use super::Core;
use super::lookup::Met;
use super::names::PENDING;
use crate::expiry::{Names, Timing};
use crate::index::{Published, shard_of};
use crate::link::Incarnation;
use crate::reclaim::{Pin, pin};
use crate::slab::{Birth, Ext, Flag, Inline, State};
use crate::sync::atomic::Ordering;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// Why an entry keeps its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unnamed {
    /// There is none.
    Missing,
    /// The new key is taken.
    Exists,
    Full,
}

/// How an attempt to announce an alias ended.
enum Announced {
    /// So crowded is the limbo.
    Done(u32),
    /// The entry changed meanwhile, or got another name.
    Changed,
    Full,
}

/// A new key on its way into the index. Dropped before it is confirmed (the entry died, a
/// panic in the user's `Eq`), it is taken out again.
struct Alias<'a, K, V, S> {
    core: &'a Core<K, V, S>,
    hash: u32,
    /// The key, until it has a slot.
    key: Option<K>,
    /// A slot that is reserved and holds the key.
    reserved: Option<u32>,
    /// The pending alias, and whose it is.
    published: Option<(u64, Incarnation)>,
}

impl<K: Eq, V, S> Core<K, V, S> {
    /// Gives an entry another key. It keeps all else, and its idleness restarts.
    pub(crate) fn rekey<Q>(&self, old: &Q, new: K) -> Result<(), Unnamed>
    where
        K: Borrow<Q> + Hash,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let (hash, new_hash) = (self.hash(old), self.hash(&new));
        // Before the pin: when `Eq` panics, the key is dropped after it has ended.
        let mut alias =
            Alias { core: self, hash: new_hash, key: Some(new), reserved: None, published: None };
        let pin = pin();
        let outcome = self.rename(old, hash, &mut alias, &pin);
        let key = alias.key.take();
        drop(alias);
        drop(pin);
        self.drop_key_in_hand(key);
        self.relieve(outcome?);
        Ok(())
    }

    fn rename<Q>(
        &self,
        old: &Q,
        hash: u32,
        alias: &mut Alias<'_, K, V, S>,
        pin: &Pin,
    ) -> Result<u32, Unnamed>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut met = self.find(old, hash, pin).ok_or(Unnamed::Missing)?;
        let entry = Incarnation { slot: met.id, generation: met.state.generation() };
        let is_entry = |met: &Met<'_, K, V>| {
            met.id == entry.slot && met.state.generation() == entry.generation
        };
        // Somebody else has the new key; unless it is this entry, which nobody finds by `old` then.
        let refused = || match self.find(old, hash, pin).is_some_and(|met| is_entry(&met)) {
            true => Unnamed::Exists,
            false => Unnamed::Missing,
        };
        let name = match alias.publish(entry, pin) {
            Err(Unnamed::Exists) => return Err(refused()),
            outcome => outcome?,
        };
        let crowd = loop {
            match self.announce(old, &met, name, pin) {
                Announced::Done(crowd) => break crowd,
                Announced::Full => return Err(Unnamed::Full),
                Announced::Changed => {}
            }
            // It was announced after all, with another thread's help, and somebody has met it by
            // its new key since, and may have removed it.
            if self.is_confirmed(name, entry) {
                break 0;
            }
            met = self.find(old, hash, pin).ok_or(Unnamed::Missing)?;
            if !is_entry(&met) {
                return Err(Unnamed::Missing);
            }
        };
        self.confirm(name, entry);
        if !self.is_confirmed(name, entry) {
            // The entry has died meanwhile; or somebody who wanted the new key came first, and
            // ended the alias before it was announced.
            return Err(refused());
        }
        alias.published = None;
        self.end_former(entry, name, pin);
        self.touch_parent(met.id, pin);
        Ok(crowd)
    }

    /// Makes a pending alias the latest name of an entry that goes by `old`.
    fn announce<Q>(&self, old: &Q, met: &Met<'_, K, V>, name: u64, pin: &Pin) -> Announced
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let timing = self.timing(met.id, met.state);
        // SAFETY: met alive under `pin`, with these names.
        if unsafe { self.key_by(met, timing.names) }.borrow() != old {
            return Announced::Changed;
        }
        let entry = Incarnation { slot: met.id, generation: met.state.generation() };
        let former = self.effective(entry, timing.names);
        if former == timing.names.latest {
            // A name that was superseded, if its thread has not ended it yet.
            self.end_alias(timing.names.former, entry, Flag::Dead, pin);
        }
        let names = Names { latest: name, former };
        match self.set_timing(met, Timing { names, ..timing }, pin) {
            // If it has died, perhaps before it had these names.
            Some(Some(_)) if self.names_of(entry).is_none() => Announced::Changed,
            Some(Some(crowd)) => Announced::Done(crowd),
            Some(None) => Announced::Full,
            None => Announced::Changed,
        }
    }
}

impl<K, V, S> Core<K, V, S> {
    /// The names of an entry that lives.
    fn names_of(&self, entry: Incarnation) -> Option<Names> {
        // Acquire: sees its terms.
        let state = State(self.slab.state(entry.slot).load(Ordering::Acquire));
        entry.is_live_in(state).then(|| self.timing(entry.slot, state).names)
    }

    /// Ends the name that a confirmed one has superseded.
    fn end_former(&self, entry: Incarnation, name: u64, pin: &Pin) {
        if let Some(names) = self.names_of(entry).filter(|names| names.latest == name) {
            self.end_alias(names.former, entry, Flag::Dead, pin);
        }
    }
}

impl<K: Eq, V, S> Alias<'_, K, V, S> {
    /// Publishes the key as a pending alias of an entry.
    fn publish(&mut self, entry: Incarnation, pin: &Pin) -> Result<u64, Unnamed> {
        let core = self.core;
        loop {
            let slot = self.reserve(entry).ok_or(Unnamed::Full)?;
            // SAFETY: the slot is ours and holds the key; others that the index names hold theirs,
            // and we are pinned.
            let is_equal =
                |other| unsafe { core.slab.slot(other).key() == core.slab.slot(slot).key() };
            let is_key = |other| is_equal(other) && core.is_taken(other, pin);
            // Relaxed: the slot is ours.
            let generation = State(core.slab.state(slot).load(Ordering::Relaxed)).generation();
            match core.index.publish(core, self.hash, slot, pin, is_key) {
                Published::Inserted => {
                    let name = Incarnation { slot, generation }.word();
                    (self.reserved, self.published) = (None, Some((name, entry)));
                    core.index.grow(core, self.hash, core.ledger.live(shard_of(self.hash)), pin);
                    return Ok(name);
                }
                Published::Exists => {
                    // One that is past its deadline is buried, and makes way.
                    // SAFETY: the slot is ours and holds the key.
                    let key = unsafe { core.slab.slot(slot).key() };
                    if core.find(key, self.hash, pin).is_some() {
                        return Err(Unnamed::Exists);
                    }
                }
                Published::Moved => {}
            }
        }
    }

    /// A slot for the key, reserved as an alias of `entry`.
    fn reserve(&mut self, entry: Incarnation) -> Option<u32> {
        let core = self.core;
        let slot = core.slab.allocate(shard_of(self.hash) as u32)?;
        let place = core.slab.slot(slot);
        // Relaxed, here and below: published by the state word.
        place.birth.store(Birth::new(0, self.hash).0, Ordering::Relaxed);
        let ext = Ext::alias(entry.slot, entry.generation);
        core.slab.extend(slot).store(ext.0, Ordering::Relaxed);
        let generation = State(place.state.load(Ordering::Relaxed)).generation() + 1;
        let tick = core.stamp(core.now());
        let state = State::new(tick, generation, Flag::Reserved).with_rev(PENDING).extended();
        match (self.key.take(), self.reserved) {
            // SAFETY: just allocated: it is ours and holds no key.
            (Some(key), _) => unsafe { core.slab.write_key(slot, key) },
            (None, Some(old)) => {
                // SAFETY: both slots are ours, and the old one is erased as `Shed`, without its
                // key. The new key is dropped only after a grace period that ends all pins that saw
                // the old one.
                unsafe { core.slab.transfer_key(old, slot) };
                self.discard(old, Flag::Shed);
            }
            (None, None) => unreachable!("the key is in hand, or in the slot before"),
        }
        // Release: whoever meets the slot sees what it is.
        place.state.store(state.0, Ordering::Release);
        self.reserved = Some(slot);
        Some(slot)
    }
}

impl<K, V, S> Alias<'_, K, V, S> {
    /// Sends a slot that was not published to the limbo.
    fn discard(&self, slot: u32, flag: Flag) {
        let word = self.core.slab.state(slot);
        // Relaxed: the slot is ours; published by the state word.
        let ext = Ext(0).with_inline(Inline::Erased);
        self.core.slab.extend(slot).store(ext.0, Ordering::Relaxed);
        let state = State(word.load(Ordering::Relaxed));
        word.store(state.given_up(flag).0, Ordering::Release);
        self.core.limbo.add(slot);
    }
}

impl<K, V, S> Drop for Alias<'_, K, V, S> {
    fn drop(&mut self) {
        if let Some(slot) = self.reserved.take() {
            self.discard(slot, Flag::Dead);
        }
        if let Some((name, of)) = self.published.take() {
            self.core.end_alias(name, of, Flag::Dead, &pin());
        }
    }
}
