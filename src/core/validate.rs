//! The validator: checks every structure against every other, at rest.

use super::Core;
use super::kin::Uplink;
use crate::index::Found;
use crate::link::{Incarnation, Tie};
use crate::slab::{Birth, Flag, State};
use crate::sync::atomic::Ordering;
use std::collections::{HashMap, HashSet};

/// What a cache holds, counted slot by slot.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Slots in use as entries.
    pub live: u64,
    /// Slots in use as other keys of entries.
    pub aliases: u64,
    /// Slots that hold a present value of another slot's entry.
    pub holders: u64,
    /// Slots waiting for their grace period.
    pub waiting: u64,
    /// Slots on the free list.
    pub free: u64,
    /// Slots that were ever used.
    pub slots: u64,
    /// Index buckets.
    pub buckets: u64,
    /// Bits in the wheel that stand for nothing: left by races, until a sweep meets them. Zero
    /// after use by one thread.
    pub stale: u64,
    /// Nodes in the lists of children: at most two for each child, and eight for each parent, once
    /// the dead are erased.
    pub nodes: u64,
}

impl<K, V, S> Core<K, V, S> {
    /// Checks all invariants. Call it at rest: no operation under way on any thread.
    pub(crate) fn validate(&self) -> Result<Census, String> {
        let words = self.words_by_slot()?;
        let mut census = Census {
            free: self.slab.validate_free_list()? as u64,
            slots: self.slab.ids().count() as u64,
            buckets: self.index.buckets() as u64,
            ..Census::default()
        };
        let mut filed = 0;
        for slot in self.slab.ids() {
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            let (waiting, is_filed) = self.validate_slot(slot, state, words.get(&slot).copied())?;
            filed += u64::from(is_filed);
            census.waiting += u64::from(waiting);
            match state.flag() {
                Flag::Live if self.ext(slot, state).is_alias() => census.aliases += 1,
                Flag::Live => census.live += 1,
                Flag::Value => census.holders += 1,
                Flag::Free | Flag::Dead | Flag::Shed => {}
                Flag::Reserved | Flag::Erasing => return Err(format!("slot {slot} is {state:?}")),
            }
        }
        let stats = self.stats();
        let expect = |what: &str, counted: u64, booked: u64| {
            let fault = || format!("{what}: counted {counted}, booked {booked}");
            (counted == booked).then_some(()).ok_or_else(fault)
        };
        expect("live entries", census.live, stats.live)?;
        expect("inserted", stats.live + stats.removed.total(), stats.inserted)?;
        expect("indexed slots", words.len() as u64, census.live + census.aliases)?;
        if let Some(bound) = &self.bound {
            expect("places", census.live, bound.places.used())?;
        }
        expect("slots in limbo", census.waiting, stats.pending_reclamation)?;
        // More than those of live entries are hints: a touch that crossed a removal sets its bit
        // after the remover has cleared it, and the next sweep of that bucket clears it again.
        let bits = self.wheel.count_bits();
        expect("bits in the wheel", bits.min(filed), filed)?;
        census.stale = bits - filed;
        census.nodes = self.validate_ties()?;
        Ok(census)
    }

    /// Checks the ties of a linked cache. Returns the number of nodes in its lists.
    fn validate_ties(&self) -> Result<u64, String> {
        let Some(up) = &self.uplink else { return Ok(0) };
        let pin = crate::reclaim::pin();
        let mut listed = HashSet::new();
        let mut parents: HashMap<u32, u64> = HashMap::new();
        for slot in self.slab.ids() {
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            let tie = up.tie(slot);
            let fault = |what: &str| Err(format!("slot {slot}, {state:?}, {tie:?}: {what}"));
            if state.is(Flag::Free) && tie != Tie::NONE {
                return fault("is free and has a parent");
            }
            if !state.is(Flag::Live) || self.ext(slot, state).is_alias() {
                continue;
            }
            if tie == Tie::NONE {
                return fault("has no parent");
            }
            let parent = up.parents().state_of_slot(tie.parent().slot);
            let waits = parent.is(Flag::Live) || parent.is(Flag::Dead);
            if !waits || parent.generation() != tie.parent().generation {
                return fault("was forgotten by the cascade of its parent");
            }
            if tie.is_listed() {
                listed.insert(slot);
                *parents.entry(tie.parent().slot).or_default() += 1;
            }
        }
        let mut nodes = 0;
        for parent in parents.keys() {
            let mut count = 0;
            for child in up.broods().children(*parent, &pin) {
                count += 1;
                let state = State(self.slab.state(child.slot).load(Ordering::Acquire));
                if child.is_live_in(state) {
                    listed.remove(&child.slot);
                }
            }
            let booked = up.broods().len(*parent);
            if count != booked {
                return Err(format!("list of {parent}: counted {count}, booked {booked}"));
            }
            nodes += u64::from(count);
        }
        self.validate_child_places(up)?;
        if let Some(slot) = listed.iter().next() {
            return Err(format!("slot {slot} is not in its parent's list"));
        }
        let in_use = up.broods().nodes() as u64;
        if nodes > in_use {
            return Err(format!("{nodes} nodes in lists, {in_use} in use"));
        }
        Ok(in_use)
    }

    /// Checks that as many places are taken under each parent as it has children.
    fn validate_child_places(&self, up: &Uplink) -> Result<(), String> {
        let Some(places) = up.places() else { return Ok(()) };
        let mut children: HashMap<u64, (Incarnation, u32)> = HashMap::new();
        for slot in self.slab.ids() {
            let tie = up.tie(slot);
            let is_live = State(self.slab.state(slot).load(Ordering::Acquire)).is(Flag::Live);
            if is_live && tie.is_listed() {
                children.entry(tie.0).or_insert((tie.parent(), 0)).1 += 1;
            }
        }
        let (all, taken) =
            (children.values().map(|(_, count)| u64::from(*count)).sum::<u64>(), places.all_used());
        if all != taken {
            return Err(format!("{all} children have {taken} places"));
        }
        for (parent, counted) in children.into_values() {
            let taken = places.used(parent);
            if taken != counted {
                return Err(format!("{counted} children of {parent:?} have {taken} places"));
            }
        }
        Ok(())
    }

    fn words_by_slot(&self) -> Result<HashMap<u32, u32>, String> {
        let mut by_slot = HashMap::new();
        for (tag, slot) in self.index.words() {
            if by_slot.insert(slot, tag).is_some() {
                return Err(format!("the index names slot {slot} twice"));
            }
        }
        Ok(by_slot)
    }

    /// Checks one slot. Returns whether it waits in the limbo, and whether it is in the wheel.
    fn validate_slot(
        &self,
        slot: u32,
        state: State,
        tag: Option<u32>,
    ) -> Result<(bool, bool), String> {
        let fault = |what: &str| Err(format!("slot {slot}, {state:?}: {what}"));
        let place = self.slab.slot(slot);
        let ext = self.ext(slot, state);
        if !state.is_extended() && !self.slab.has_no_ext(slot) {
            return fault("has an extension word that nobody looks at");
        }
        if !state.is(Flag::Live) {
            if tag.is_some() {
                return fault("is in the index");
            }
            return Ok((matches!(state.flag(), Flag::Dead | Flag::Shed), false));
        }
        let hash = Birth(place.birth.load(Ordering::Acquire)).hash();
        match tag {
            None => return fault("is not in the index"),
            Some(tag) if tag & hash != hash => return fault("is in the index under another hash"),
            Some(_) => {}
        }
        if ext.is_alias() {
            return match self.named(Found { id: slot, slot: place, state }, &crate::reclaim::pin())
            {
                Some(_) => Ok((false, false)),
                None => fault("is another key of an entry that does not go by it"),
            };
        }
        if ext.value_slot() != 0 {
            let holder = State(self.slab.state(ext.value_slot()).load(Ordering::Acquire));
            if !holder.is(Flag::Value) {
                return fault("has its value in a slot that holds none");
            }
        }
        if ext.is_closed() {
            return fault("was to be removed and is not");
        }
        if ext.terms() != 0 && self.terms.is_pending(ext.terms(), state.rev()) {
            return fault("has terms that never took effect");
        }
        let timing = self.timing(slot, state);
        let home = self.schedule.home(state.tick(), timing);
        if home.is_some_and(|home| !self.wheel.is_filed(home, slot)) {
            return fault("is not filed in its bucket");
        }
        Ok((ext.has_stale_inline(), home.is_some()))
    }
}
