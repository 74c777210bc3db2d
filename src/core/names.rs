//! Entries that have got another key: what they go by.
//!
//! An entry stays in its slot, whatever it is called, so its deadlines, leases and links stay.
//! Another key is an *alias*: a slot of its own in the index, which holds the key and names the
//! entry. Its state word decides:
//!
//! - The alias is published *pending* (revision 1). It is nobody's name yet, and lookups miss it.
//! - The entry *announces* it as its latest name, by a change of its timing, and keeps the former.
//! - The alias is *confirmed* (revision 2), by an exchange of its state word. At this instant the
//!   entry begins to go by the new key, and ceases to go by the former.
//!
//! An entry goes by its latest alias if that is confirmed, else by the former. Whoever meets an
//! alias that was announced confirms it before he goes on: so what an entry goes by changes only
//! with its own state word, but for that first look. Who wants the key of one that was not
//! announced ends it. So nobody waits.
//!
//! The word that leads to an entry under its first key stays in the index as long as the entry
//! lives; by it a cascade finds children of the same key.

use super::Core;
use super::lookup::Met;
use crate::expiry::Names;
use crate::index::Found;
use crate::link::Incarnation;
use crate::reclaim::Pin;
use crate::slab::{Birth, Ext, Flag, Inline, Slot, State};
use crate::sync::atomic::Ordering;
use crate::sync::{Step, broken};

/// Revisions of an alias.
pub(super) const PENDING: u8 = 1;
const CONFIRMED: u8 = 2;
/// That of one that was confirmed, and is ended.
const WAS_CONFIRMED: u8 = 8;

/// Whose alias it is that has this extension word.
fn aliased(ext: Ext) -> Incarnation {
    Incarnation { slot: ext.value_slot(), generation: ext.terms() }
}

impl<K, V, S> Core<K, V, S> {
    /// The state of an alias of entry `of`, whatever became of it: the slot may be another one's
    /// since, in a later turn of its generation.
    fn alias_state(&self, name: u64, of: Incarnation) -> Option<State> {
        let alias = Incarnation::of_word(name);
        // 0 is no slot. SeqCst: as all looks at what decides between two entries. Acquire: sees the
        // key.
        let load = || State(self.slab.state(alias.slot).load(Ordering::SeqCst));
        let state = (name != 0).then(load)?;
        let is_alias = state.generation() == alias.generation
            && self.ext(alias.slot, state) == Ext::alias(of.slot, of.generation);
        is_alias.then_some(state)
    }

    fn live_alias(&self, name: u64, of: Incarnation) -> Option<State> {
        self.alias_state(name, of).filter(|state| state.is(Flag::Live))
    }

    /// Whether an alias was confirmed. One that ended since, with its entry or because that got a
    /// later name, was the name of whoever still looks at the entry as it was then, under a pin.
    pub(super) fn is_confirmed(&self, name: u64, of: Incarnation) -> bool {
        self.alias_state(name, of).is_some_and(|state| {
            state.rev() == if state.is(Flag::Live) { CONFIRMED } else { WAS_CONFIRMED }
        })
    }

    /// What an entry with these names goes by; 0: its own key. After this it is that as long as the
    /// entry has these names: so whoever exchanges the state word by which it has them acts on an
    /// entry that goes by this name still.
    pub(super) fn effective(&self, of: Incarnation, names: Names) -> u64 {
        if names.latest == 0 {
            return 0;
        }
        if !broken(Step::ConfirmAnnounced) {
            self.confirm(names.latest, of);
        }
        if self.is_confirmed(names.latest, of) { names.latest } else { names.former }
    }

    /// The entry that goes by a key, where another one has it for a key that it had before.
    #[cold]
    #[inline(never)]
    pub(super) fn find_named<'s>(
        &'s self,
        hash: u32,
        pin: &Pin,
        is_key: impl Fn(&K) -> bool + Copy,
    ) -> Option<Found<'s, Self>> {
        let is_name = move |id, slot: &Slot<K, V>| {
            // SAFETY: we are pinned, and the index names slots whose key is written.
            is_key(unsafe { slot.key() }) && self.is_a_name(id, slot, pin)
        };
        loop {
            let found = self.index.find(self, hash, pin, is_name)?;
            let named = self.named(found, pin);
            // Otherwise it got another key meanwhile.
            if named.is_some() {
                return named;
            }
        }
    }

    /// Whether an entry goes by the key in a slot that the index names. If the slot is not live, as
    /// if it did.
    fn is_a_name(&self, id: u32, slot: &Slot<K, V>, pin: &Pin) -> bool {
        // Acquire: sees what the word speaks of.
        let state = State(slot.state.load(Ordering::Acquire));
        !state.is(Flag::Live) || self.named(Found { id, slot, state }, pin).is_some()
    }

    /// The entry that goes by the key in a slot that was found. `None`: none does.
    #[cold]
    #[inline(never)]
    pub(super) fn named<'s>(
        &'s self,
        found: Found<'s, Self>,
        _pin: &Pin,
    ) -> Option<Found<'s, Self>> {
        if found.state.has_default_timing() {
            return Some(found);
        }
        let own = Incarnation { slot: found.id, generation: found.state.generation() };
        let ext = self.ext(found.id, found.state);
        if !ext.is_alias() {
            let names = self.names_in(ext, found.state);
            return (self.effective(own, names) == 0).then_some(found);
        }
        let (entry, state) = self.entry_of(ext)?;
        let names = self.names_in(self.ext(entry.slot, state), state);
        let slot = self.slab.slot(entry.slot);
        (self.effective(entry, names) == own.word()).then_some(Found {
            id: entry.slot,
            slot,
            state,
        })
    }

    /// The names of an entry whose extension word is `ext` under `state`.
    pub(super) fn names_in(&self, ext: Ext, state: State) -> Names {
        match ext.terms() {
            0 => Names::default(),
            terms => self.terms.names_at(terms, state.rev()),
        }
    }

    /// The terms of an entry that goes by `names`, and does so as long as it has these terms.
    /// `None`: it has other names, or is about to get them, which is then finished first; look
    /// again.
    ///
    /// A later change of names changes the terms. One that is under way has done that already, so
    /// terms whose change has yet to take effect will do only if it leaves the names as they are.
    pub(super) fn terms_of(&self, met: &Met<'_, K, V>, names: Names) -> Option<u32> {
        // Acquire: sees the record that the word names.
        let terms = Ext(self.slab.extend(met.id).load(Ordering::Acquire)).terms();
        if terms == 0 || self.terms.names(terms)[0] == names {
            return Some(terms);
        }
        // Acquire: sees what the word speaks of.
        let state = State(met.slot.state.load(Ordering::Acquire));
        let is_same = state.is(Flag::Live) && state.generation() == met.state.generation();
        if is_same && self.terms.is_pending(terms, state.rev()) {
            self.change(met.id, state, state.with_rev(State::next_rev(state.rev())));
        }
        None
    }

    /// The entry of an alias, if it lives.
    fn entry_of(&self, alias: Ext) -> Option<(Incarnation, State)> {
        let entry = aliased(alias);
        // Acquire: sees its terms.
        let state = State(self.slab.state(entry.slot).load(Ordering::Acquire));
        entry.is_live_in(state).then_some((entry, state))
    }

    /// Whether the key in a slot, which an insert has met, is that of an entry. A pending alias is
    /// confirmed or ended, so that it cannot become a second entry's name later.
    #[cold]
    #[inline(never)]
    pub(super) fn is_taken(&self, id: u32, pin: &Pin) -> bool {
        let slot = self.slab.slot(id);
        loop {
            // Acquire: sees what the word speaks of.
            let state = State(slot.state.load(Ordering::Acquire));
            if state.has_default_timing() || !state.is(Flag::Live) {
                return state.is(Flag::Live);
            }
            if self.named(Found { id, slot, state }, pin).is_some() {
                return true;
            }
            let ext = self.ext(id, state);
            if !ext.is_alias() || state.rev() != PENDING {
                return false;
            }
            // Not announced yet. If it was meanwhile, and confirmed, this does nothing.
            let own = Incarnation { slot: id, generation: state.generation() };
            self.end_pending(own.word(), aliased(ext), pin);
        }
    }

    /// Turns a pending alias into its entry's name.
    pub(super) fn confirm(&self, name: u64, of: Incarnation) {
        if let Some(state) = self.live_alias(name, of).filter(|state| state.rev() == PENDING) {
            let word = self.slab.state(Incarnation::of_word(name).slot);
            let confirmed = state.with_rev(CONFIRMED).0;
            // SeqCst: as `alias_state`. A failure means that another thread did it, or ended it.
            let _ = word.compare_exchange(state.0, confirmed, Ordering::SeqCst, Ordering::Acquire);
        }
    }

    /// The key that an entry goes by which has these names.
    ///
    /// # Safety
    /// - As for `present_key`; `names` are those of the entry.
    pub(super) unsafe fn key_by<'a>(&'a self, met: &Met<'a, K, V>, names: Names) -> &'a K {
        let own = Incarnation { slot: met.id, generation: met.state.generation() };
        let name = self.effective(own, names);
        let slot =
            if name == 0 { met.slot } else { self.slab.slot(Incarnation::of_word(name).slot) };
        // SAFETY: the entry's key, or that of an alias that was its name under the caller's pin; it
        // is erased only after a grace period that begins later.
        unsafe { slot.key() }
    }

    /// Takes an alias out of the index. One that was confirmed becomes `confirmed_as`: `Value`, if
    /// it belongs to its entry until that is erased; what is `Dead` goes to the limbo.
    pub(super) fn end_alias(&self, name: u64, of: Incarnation, confirmed_as: Flag, pin: &Pin) {
        while let Some(state) = self.live_alias(name, of) {
            let end = match state.rev() {
                CONFIRMED => (confirmed_as, WAS_CONFIRMED),
                _ => (Flag::Dead, 0),
            };
            if self.end_alias_as(name, state, end, pin) {
                return;
            }
        }
    }

    /// The same, if it is pending.
    fn end_pending(&self, name: u64, of: Incarnation, pin: &Pin) {
        if let Some(state) = self.live_alias(name, of).filter(|state| state.rev() == PENDING) {
            self.end_alias_as(name, state, (Flag::Dead, 0), pin);
        }
    }

    /// `false`: its state changed meanwhile.
    fn end_alias_as(&self, name: u64, state: State, end: (Flag, u8), pin: &Pin) -> bool {
        let (slot, (flag, rev)) = (Incarnation::of_word(name).slot, end);
        let ended = State::new(self.stamp(self.now()), state.generation(), flag);
        let (word, ended) = (self.slab.state(slot), ended.with_rev(rev).extended());
        // SeqCst: the remover's half of the pair in `Index::unlink`.
        if word.compare_exchange(state.0, ended.0, Ordering::SeqCst, Ordering::Acquire).is_err() {
            return false;
        }
        // Relaxed: constant since the slot was published.
        let hash = Birth(self.slab.slot(slot).birth.load(Ordering::Relaxed)).hash();
        self.index.unlink(self, hash, slot, pin);
        if flag == Flag::Dead {
            self.limbo.add(slot);
        }
        true
    }

    /// Ends the names of an entry that this thread has claimed.
    #[cold]
    pub(super) fn end_names(&self, of: Incarnation, names: Names, pin: &Pin) {
        self.end_alias(names.latest, of, Flag::Value, pin);
        self.end_alias(names.former, of, Flag::Value, pin);
    }

    /// The key of a live entry.
    ///
    /// # Safety
    /// - The caller met the entry alive under the pin that it still holds; the reference must not
    ///   outlive that pin.
    pub(super) unsafe fn present_key<'a>(&'a self, met: &Met<'a, K, V>) -> &'a K {
        if met.state.has_default_timing() {
            // SAFETY: met alive under the caller's pin.
            return unsafe { met.slot.key() };
        }
        let names = self.timing(met.id, met.state).names;
        // SAFETY: the contract is the same.
        unsafe { self.key_by(met, names) }
    }

    /// Whether an entry was given another key, ever.
    pub(super) fn is_renamed(&self, slot: u32, state: State) -> bool {
        !state.has_default_timing() && self.timing(slot, state).names != Names::default()
    }

    /// The slots with the names that belong to an erasing entry.
    pub(super) fn owned_names(&self, of: Incarnation, ext: Ext) -> impl Iterator<Item = u32> + '_ {
        let names = match ext.terms() {
            0 => [Names::default(); 2],
            terms => self.terms.names(terms),
        };
        let [a, b] = names.map(|names| [names.latest, names.former]);
        let mut all = [a[0], a[1], b[0], b[1]];
        for i in 1..all.len() {
            if all[..i].contains(&all[i]) {
                all[i] = 0;
            }
        }
        let is_owned = move |name: &u64| {
            self.alias_state(*name, of).is_some_and(|state| state.is(Flag::Value))
        };
        all.into_iter().filter(is_owned).map(|name| Incarnation::of_word(name).slot)
    }

    /// Drops the names of an erasing entry, and gives their slots back.
    pub(super) fn drop_names(&self, of: Incarnation, ext: Ext) {
        for alias in self.owned_names(of, ext) {
            // SAFETY: unreachable since the entry's grace period, and its eraser's alone.
            self.run_user_code(|| unsafe { self.slab.drop_key(alias) });
            // Relaxed: the slot is ours; the free list publishes it.
            self.slab.extend(alias).store(0, Ordering::Relaxed);
            self.slab.release(alias);
        }
    }

    /// What an eraser has to know of a slot: an alias holds a key and nothing else.
    pub(super) fn ext_of_content(&self, slot: u32, state: State) -> Ext {
        let ext = self.ext(slot, state);
        if ext.is_alias() { Ext(0).with_inline(Inline::Erased) } else { ext }
    }
}
