//! Inserting: a draft takes a slot, writes key and value, and asks the index to publish it.

use super::lookup::Met;
use super::replace::Goods;
use super::{Behalf, Core};
use crate::expiry::{Limits, Timeouts, Timing};
use crate::flights::Flight;
use crate::index::{Published, shard_of};
use crate::link::{Incarnation, Tie};
use crate::reclaim::{Pin, pin};
use crate::slab::{Birth, Ext, Flag, Inline, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use crate::wheel::Home;
use std::hash::{BuildHasher, Hash};

/// What an insert does when the key is there already.
#[derive(Clone, Copy)]
pub(crate) enum Mode<'a, V> {
    /// Replace the value in place.
    Replace,
    /// Refuse.
    NewOnly,
    /// Refuse, touch the entry, and show its value.
    Keep(&'a dyn Fn(&V)),
}

/// Finds the parent of a key that has this hash.
pub(crate) type Locate<'a, K> = dyn Fn(&K, u32, &Pin) -> Option<Incarnation> + 'a;

/// Whose child a new entry is to be.
pub(crate) enum Parent<'a, K> {
    /// Nobody's: the cache is not linked.
    None,
    /// Of the entry of the same key.
    OfKey(&'a Locate<'a, K>),
    /// Of an entry that the caller names.
    Named(&'a Locate<'a, K>),
    /// As was found out before.
    Fixed(Tie),
    /// The cache is linked, but the caller names nobody.
    Unnamed,
}

/// What to insert how.
pub(crate) struct Insertion<'a, K, V> {
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) mode: Mode<'a, V>,
    pub(crate) parent: Parent<'a, K>,
    /// The load that the value comes from.
    pub(crate) flight: Option<&'a Flight<'a>>,
}

/// Why nothing was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Exists,
    Missing,
    Full,
    AtCapacity,
    Condition,
    ParentGone,
    NoParent,
    /// The parent has as many as it may.
    TooManyChildren,
    /// The key was removed while its value was loaded.
    Removed,
}

impl<K: Eq, V, S> Core<K, V, S> {
    /// Stores a value. `Ok(true)`: under a new entry; `Ok(false)`: in place of another value.
    pub(crate) fn insert(
        &self,
        key: K,
        value: V,
        how: &Insertion<'_, K, V>,
    ) -> Result<bool, (Refused, V)>
    where
        K: Hash,
        S: BuildHasher,
    {
        let hash = self.hash(&key);
        let limits = how.timeouts.map(|timeouts| self.schedule.defaults().overridden(timeouts));
        // Before the pin: when `Eq` panics, key and value are dropped after it has ended.
        let mut draft = Draft::new(self, hash, key, value, how.flight);
        let pin = pin();
        let outcome = self.settle_draft(&mut draft, limits, how, &pin);
        let (key, goods) = (draft.key.take(), std::mem::take(&mut draft.goods));
        drop(draft);
        drop(pin);
        // Keys that were not needed. Unpinned, because their drop is user code; and caught, because
        // a refused value has yet to get back to the caller.
        let Goods { value, key_copy } = goods;
        self.drop_key_in_hand(key);
        self.drop_key_in_hand(key_copy);
        match outcome {
            Ok((new, crowd)) => {
                self.relieve(crowd);
                Ok(new)
            }
            Err(refused) => Err((refused, value.expect("a refused value is still in hand"))),
        }
    }
}

impl<K: Eq, V, S> Core<K, V, S> {
    /// Publishes a draft, or puts its value in the place of another. Returns whether the entry is
    /// new, and how crowded the limbo is.
    fn settle_draft(
        &self,
        draft: &mut Draft<'_, K, V, S>,
        limits: Option<Limits>,
        how: &Insertion<'_, K, V>,
        pin: &Pin,
    ) -> Result<(bool, u32), Refused> {
        // The parent is looked for once, and the pin held from then on until the child is settled.
        draft.find_named_parent(&how.parent, pin)?;
        loop {
            let Some(met) = self.find(draft.key(), draft.hash, pin) else {
                draft.find_parent_of_key(&how.parent, pin)?;
                let Some(slot) = draft.publish(limits, pin)? else { continue };
                self.touch_parent(slot, pin);
                return Ok((true, self.crowd_after_insert(slot).max(draft.crowd)));
            };
            match how.mode {
                Mode::Replace => {}
                Mode::NewOnly => return Err(Refused::Exists),
                Mode::Keep(show) => {
                    if !self.touch(&met) || !self.touch_parent(met.id, pin) {
                        continue;
                    }
                    // SAFETY: met alive under `pin`.
                    let Some(value) = (unsafe { self.value_by_key(&met) }) else { continue };
                    show(value);
                    return Err(Refused::Exists);
                }
            }
            if draft.tie.is_listed() && !self.is_tied(met.id, draft.tie.parent()) {
                // A tie never changes: under another parent it is another entry.
                draft.supersede(&met, limits, pin)?;
                continue;
            }
            let timing = limits.map(|limits| Timing { limits, ..self.timing(met.id, met.state) });
            if let Some(replaced) = self.replace(&met, None, timing, &mut draft.goods, pin) {
                return replaced.map(|crowd| (false, crowd));
            }
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
    goods: Goods<K, V>,
    /// The load that the value comes from.
    flight: Option<&'a Flight<'a>>,
    /// Whose child it is to be.
    tie: Tie,
    supplies: Option<Supplies>,
    reserved: Option<Reserved>,
    /// Whether it has a place in a bounded cache, and how crowded the limbo was when others had to
    /// make room.
    has_place: bool,
    has_child_place: bool,
    crowd: u32,
    /// Whether the value lies in the reserved slot: while the index compares keys.
    is_placed: bool,
}

/// What an entry needs beside places, of which nobody else knows yet.
struct Supplies {
    slot: u32,
    /// For its parent's list, if it is to be there.
    node: Option<u32>,
    /// The record of its terms; 0: it has its cache's.
    terms: u32,
    timing: Timing,
}

/// A slot in state `Reserved`, and where it is filed.
#[derive(Clone, Copy)]
struct Reserved {
    slot: u32,
    state: State,
    home: Option<Home>,
}

impl Reserved {
    fn incarnation(self) -> Incarnation {
        Incarnation { slot: self.slot, generation: self.state.generation() }
    }
}

impl<'a, K: Eq, V, S> Draft<'a, K, V, S> {
    fn new(
        core: &'a Core<K, V, S>,
        hash: u32,
        key: K,
        value: V,
        flight: Option<&'a Flight<'a>>,
    ) -> Self {
        let (key, goods, tie) = (Some(key), Goods::new(value), Tie::NONE);
        let (has_place, has_child_place, is_placed) = (false, false, false);
        let (supplies, reserved, crowd) = (None, None, 0);
        Draft {
            core,
            hash,
            key,
            goods,
            flight,
            tie,
            supplies,
            reserved,
            has_place,
            has_child_place,
            crowd,
            is_placed,
        }
    }

    fn key(&self) -> &K {
        match (&self.key, self.reserved) {
            (Some(key), _) => key,
            // SAFETY: the slot is ours and holds the key.
            (None, Some(reserved)) => unsafe { self.core.slab.slot(reserved.slot).key() },
            (None, None) => unreachable!("a draft holds its key until it is published"),
        }
    }

    /// Finds the parent that the caller names, whatever there is under the key.
    fn find_named_parent(&mut self, parent: &Parent<'_, K>, pin: &Pin) -> Result<(), Refused> {
        match *parent {
            Parent::Named(locate) => {
                let parent = locate(self.key(), self.hash, pin).ok_or(Refused::ParentGone)?;
                self.tie = Tie::new(parent, true);
            }
            Parent::Fixed(tie) => {
                if tie != Tie::NONE && !self.core.is_alive_above(tie, pin) {
                    return Err(Refused::ParentGone);
                }
                self.tie = tie;
            }
            Parent::None | Parent::OfKey(_) | Parent::Unnamed => {}
        }
        Ok(())
    }

    /// Finds the parent that only a new entry needs.
    fn find_parent_of_key(&mut self, parent: &Parent<'_, K>, pin: &Pin) -> Result<(), Refused> {
        match (parent, self.tie) {
            (Parent::Unnamed, _) => return Err(Refused::NoParent),
            (Parent::OfKey(locate), Tie::NONE) => {
                let parent = locate(self.key(), self.hash, pin).ok_or(Refused::ParentGone)?;
                self.tie = self.core.tie_by_key(parent);
            }
            _ => {}
        }
        Ok(())
    }

    /// Tries to remove the entry of another parent that has the key. All that the draft may be
    /// refused for comes before that; and it takes over the place in a bounded cache, so nobody
    /// else has to go.
    fn supersede(
        &mut self,
        met: &Met<'_, K, V>,
        limits: Option<Limits>,
        pin: &Pin,
    ) -> Result<(), Refused> {
        let core = self.core;
        if !core.is_alive_above(self.tie, pin) {
            return Err(Refused::ParentGone);
        }
        self.take_supplies(limits)?;
        self.take_child_place(pin)?;
        let behalf = if self.has_place { Behalf::Own } else { Behalf::Successor };
        let claimed = core.claim_for(met.id, met.state, RemovalCause::Replaced, behalf, pin);
        if let Some(crowd) = claimed {
            (self.has_place, self.crowd) = (true, self.crowd.max(crowd));
        }
        Ok(())
    }

    /// Tries to insert; returns the slot. `None`: the key turned up meanwhile, or its bucket moved;
    /// look again.
    fn publish(&mut self, limits: Option<Limits>, pin: &Pin) -> Result<Option<u32>, Refused> {
        let core = self.core;
        if self.flight.is_some_and(Flight::was_cancelled) {
            return Err(Refused::Removed);
        }
        // Others make room last, when nothing else can be refused.
        self.take_supplies(limits)?;
        self.take_child_place(pin)?;
        self.take_place(pin)?;
        let reserved = self.reserve(pin);
        let slot = reserved.slot;
        if self.flight.is_some_and(|flight| !flight.announce(reserved.incarnation())) {
            return Err(Refused::Removed);
        }
        let value = self.goods.value.take().expect("the value is in hand between attempts");
        // SAFETY: the slot is ours, and its value is in hand, not there.
        unsafe { core.slab.write_value(slot, value) };
        self.is_placed = true;
        let is_key = |other| {
            // SAFETY: the slot is ours and holds the key; others that the index names hold theirs,
            // and we are pinned.
            let is_equal = unsafe { core.slab.slot(other).key() == core.slab.slot(slot).key() };
            is_equal && core.is_taken(other, pin)
        };
        match core.index.publish(core, self.hash, slot, pin, is_key) {
            Published::Inserted if self.was_stopped(slot) => {
                core.index.unlink(core, self.hash, slot, pin);
                // SAFETY: never live, so nobody else reads the value, and the slot is ours.
                self.goods.value = Some(unsafe { core.slab.take_value(slot) });
                self.is_placed = false;
                return Err(Refused::Removed);
            }
            Published::Inserted => {
                // The places are the entry's now.
                (self.reserved, self.has_place, self.has_child_place) = (None, false, false);
                core.inserted(reserved, self.hash, self.tie, pin);
                return Ok(Some(slot));
            }
            Published::Exists | Published::Moved => {}
        }
        // SAFETY: never live, so nobody else reads the value, and the slot is ours.
        self.goods.value = Some(unsafe { core.slab.take_value(slot) });
        self.is_placed = false;
        // Relaxed: the slot is ours.
        let seen = State(core.slab.state(slot).load(Ordering::Relaxed)).is(Flag::Dead);
        if seen && self.change_slot(reserved, pin).is_none() {
            return Err(Refused::Full);
        }
        Ok(None)
    }

    /// Takes a place in a bounded cache; another entry may have to go.
    fn take_place(&mut self, pin: &Pin) -> Result<(), Refused> {
        if !self.has_place {
            let crowd = self.core.take_place(pin).ok_or(Refused::AtCapacity)?;
            (self.has_place, self.crowd) = (true, self.crowd.max(crowd));
        }
        Ok(())
    }

    /// Takes a place under the parent; another child may have to go.
    fn take_child_place(&mut self, pin: &Pin) -> Result<(), Refused> {
        if self.tie.is_listed() && !self.has_child_place {
            let crowd = self.core.take_child_place(self.tie.parent(), pin);
            self.crowd = self.crowd.max(crowd.ok_or(Refused::TooManyChildren)?);
            self.has_child_place = true;
        }
        Ok(())
    }

    /// Whether a remover has stopped the insert of a loaded value after all.
    fn was_stopped(&self, slot: u32) -> bool {
        // SeqCst: whoever sees it unlinks the slot, as a remover: dead, then load header.
        self.flight.is_some()
            && State(self.core.slab.state(slot).load(Ordering::SeqCst)).was_stopped()
    }

    /// Takes what the entry needs beside places, once.
    fn take_supplies(&mut self, limits: Option<Limits>) -> Result<(), Refused> {
        let core = self.core;
        if self.supplies.is_some() || self.reserved.is_some() {
            return Ok(());
        }
        let (slot, node) = self.allocate().ok_or(Refused::Full)?;
        let created = core.stamp(core.now());
        let timing = Timing::new(limits.unwrap_or(core.schedule.defaults()), created);
        // From here on the drop of the draft gives them back.
        let supplies = self.supplies.insert(Supplies { slot, node, terms: 0, timing });
        if limits.is_some() {
            let id = core.terms.record_change(State::next_rev(0), timing, timing);
            supplies.terms = id.ok_or(Refused::Full)?;
        }
        Ok(())
    }

    /// Moves the key to the slot that was taken, once.
    fn reserve(&mut self, pin: &Pin) -> Reserved {
        let core = self.core;
        if let Some(reserved) = self.reserved {
            return reserved;
        }
        let supplies = self.supplies.take().expect("taken before places are");
        let Supplies { slot, node, terms, timing } = supplies;
        let reserved = self.prepare(slot, terms, timing);
        core.list(node, self.tie, reserved.incarnation(), pin);
        let key = self.key.take().expect("the key is in hand until a slot is reserved");
        // SAFETY: just allocated: it is ours and holds no key.
        unsafe { core.slab.write_key(slot, key) };
        self.reserved = Some(reserved);
        reserved
    }

    /// Takes a slot, and a node for its parent's list if it is to be there.
    fn allocate(&self) -> Option<(u32, Option<u32>)> {
        let slot = self.core.slab.allocate(shard_of(self.hash) as u32)?;
        if !self.tie.is_listed() {
            return Some((slot, None));
        }
        let node = self.core.take_node(self.hash);
        if node.is_none() {
            self.core.slab.release(slot);
        }
        node.map(|node| (slot, Some(node)))
    }

    /// Turns an owned slot from free to reserved, and files it.
    fn prepare(&self, slot: u32, terms: u32, timing: Timing) -> Reserved {
        let core = self.core;
        let place = core.slab.slot(slot);
        // Relaxed: published by the state word.
        place.birth.store(Birth::new(timing.created, self.hash).0, Ordering::Relaxed);
        core.tie(slot, self.tie);
        let generation = State(place.state.load(Ordering::Relaxed)).generation() + 1;
        let mut state = State::new(timing.created, generation, Flag::Reserved);
        if terms != 0 {
            // Relaxed: as above.
            core.slab.extend(slot).store(Ext(0).with_terms(terms).0, Ordering::Relaxed);
            state = state.with_rev(State::next_rev(0)).extended();
        }
        // Release: a clearer of a stale bit that meets the slot from now on sees its home.
        place.state.store(state.0, Ordering::Release);
        let home = core.schedule.home(state.tick(), timing);
        if let Some(home) = home {
            core.wheel.reserve(home, slot);
        }
        Reserved { slot, state, home }
    }

    /// Moves on to another slot, because readers have seen this one. `None`: there is none.
    fn change_slot(&mut self, old: Reserved, pin: &Pin) -> Option<()> {
        let core = self.core;
        let (slot, node) = self.allocate()?;
        // The old slot is ours; its birth, terms and key go to the new one.
        let terms = core.ext(old.slot, old.state).terms();
        let timing = core.timing(old.slot, old.state);
        if terms != 0 {
            // Relaxed: published with the state word of the discarded slot.
            core.slab.extend(old.slot).store(0, Ordering::Relaxed);
        }
        let new = self.prepare(slot, terms, timing);
        core.list(node, self.tie, new.incarnation(), pin);
        self.reserved = Some(new);
        // SAFETY: both slots are ours, and the old one is erased as `Shed`, without its key. The
        // new key is dropped only after a grace period that ends all pins that saw the old one.
        unsafe { core.slab.transfer_key(old.slot, slot) };
        core.discard(old, Flag::Shed, Inline::Erased);
        Some(())
    }
}

impl<K, V, S> Core<K, V, S> {
    /// After a draft went live.
    fn inserted(&self, reserved: Reserved, hash: u32, tie: Tie, pin: &Pin) {
        let stripe = shard_of(hash);
        self.ledger.inserted(stripe);
        if let Some(home) = reserved.home {
            self.wheel.went_live(self, home, reserved.slot, reserved.state.generation());
        }
        if tie != Tie::NONE {
            self.settle(reserved.incarnation(), tie, pin);
        }
        self.index.grow(self, hash, self.ledger.live(stripe), pin);
    }

    /// Sends the slot of an insert that did not happen to the limbo. It was never live, so it is
    /// not counted. `inline` tells whether its value is still there.
    fn discard(&self, reserved: Reserved, flag: Flag, inline: Inline) {
        let mut dead = reserved.state.given_up(flag);
        if inline != Inline::Intact {
            let ext = self.ext(reserved.slot, reserved.state).with_inline(inline);
            // Relaxed: published by the state word.
            self.slab.extend(reserved.slot).store(ext.0, Ordering::Relaxed);
            dead = dead.extended();
        }
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
            let inline = if self.is_placed { Inline::Intact } else { Inline::Erased };
            self.core.discard(reserved, Flag::Dead, inline);
        }
        if let Some(Supplies { slot, node, terms, .. }) = self.supplies.take() {
            self.core.slab.release(slot);
            node.inspect(|node| self.core.give_back_node(*node));
            if terms != 0 {
                self.core.terms.release(terms);
            }
        }
        if self.has_place {
            self.core.give_back_place();
        }
        if self.has_child_place {
            self.core.give_back_place_under(self.tie);
        }
    }
}
