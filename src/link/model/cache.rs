//! One cache of the rig: slots, an index, and the lists of its entries' parents.

use super::slots::Slots;
use super::{SAME, hash};
use crate::index::{Found, Index, Published};
use crate::link::Broods;
use crate::reclaim::Pin;
use crate::slab::{Birth, Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use std::mem::ManuallyDrop;

pub(super) struct Cache {
    pub(super) slots: Slots,
    names: Names,
    // By hand: a failed execution must not touch loom's atomics once more.
    pub(super) broods: ManuallyDrop<Broods>,
}

/// Where keys are looked up.
enum Names {
    /// Only one key, in a word: so that the threads of a model meet in the protocol, not here.
    One(AtomicU64),
    // By hand: as above.
    Many(ManuallyDrop<Index>),
}

const NOBODY: u64 = 0;

impl Cache {
    /// A cache of parents, with one key.
    pub(super) fn top(slots: u32) -> Self {
        Cache::named(slots, Names::One(AtomicU64::new(NOBODY)))
    }

    /// A cache of children.
    pub(super) fn linked(slots: u32) -> Self {
        Cache::named(slots, Names::Many(ManuallyDrop::new(Index::for_capacity(0))))
    }

    fn named(slots: u32, names: Names) -> Self {
        Cache { slots: Slots::new(slots), names, broods: ManuallyDrop::new(Broods::new()) }
    }

    /// The live slot of a key.
    pub(super) fn find(&self, key: u32) -> Option<(u32, State)> {
        let found = match &self.names {
            Names::One(word) => {
                // Acquire: as in the index.
                let slot = word.load(Ordering::Acquire);
                (slot != NOBODY).then(|| (slot as u32, self.slots.load(slot as u32)))
            }
            Names::Many(index) => {
                let is_key = |slot, _: &_| self.slots.key(slot) == key;
                let found = index.find(&self.slots, hash(key), &Pin, is_key);
                found.map(|Found { id, state, .. }| (id, state))
            }
        };
        let found = found.filter(|(_, state)| state.is(Flag::Live))?;
        assert_eq!(self.slots.key(found.0), key, "a slot was reused under a pin");
        Some(found)
    }

    /// Makes a reserved slot live, unless its key is there.
    pub(super) fn publish(&self, key: u32, slot: u32) -> Published {
        match &self.names {
            Names::One(word) => self.publish_in(word, slot),
            Names::Many(index) => {
                let is_key = |other| self.slots.key(other) == key;
                index.publish(&self.slots, hash(key), slot, &Pin, is_key)
            }
        }
    }

    fn publish_in(&self, word: &AtomicU64, slot: u32) -> Published {
        let change = |from, to| {
            // AcqRel: as in the index.
            word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        loop {
            let seen = word.load(Ordering::Acquire);
            if seen != NOBODY {
                if !self.slots.load(seen as u32).is(Flag::Dead) {
                    return Published::Exists;
                }
                change(seen, NOBODY);
            } else if change(NOBODY, slot.into()) {
                let reserved = self.slots.load(slot);
                assert!(self.slots.exchange(slot, reserved, reserved.with_flag(Flag::Live)));
                return Published::Inserted;
            }
        }
    }

    /// Takes the name of a dead slot out.
    pub(super) fn unlink(&self, key: u32, slot: u32) {
        match &self.names {
            Names::One(word) => {
                // AcqRel: as in the index.
                let order = Ordering::AcqRel;
                let _ = word.compare_exchange(slot.into(), NOBODY, order, Ordering::Relaxed);
            }
            Names::Many(index) => index.unlink(&self.slots, remembered(key), slot, &Pin),
        }
    }

    /// Calls `visit` with the slots that may have the key that children share with their parents.
    pub(super) fn visit_same_key(&self, mut visit: impl FnMut(u32)) {
        let Names::Many(index) = &self.names else { unreachable!("the top has no parents") };
        index.visit_hash(remembered(SAME), &Pin, |slot| {
            visit(slot);
            true
        });
    }

    /// The slots that have a name. At rest only.
    pub(super) fn named_slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = match &self.names {
            Names::One(word) => {
                let slot = word.load(Ordering::Acquire);
                (slot != NOBODY).then_some(slot as u32).into_iter().collect()
            }
            Names::Many(index) => index.words().into_iter().map(|(_, slot)| slot).collect(),
        };
        slots.sort_unstable();
        slots
    }

    /// Frees memory that a failed execution leaks.
    ///
    /// # Safety
    /// - Nobody uses the cache any more.
    pub(super) unsafe fn free(&self) {
        // SAFETY: by the contract this happens once.
        unsafe {
            drop(std::ptr::read(&raw const *self.broods));
            if let Names::Many(index) = &self.names {
                drop(std::ptr::read(&raw const **index));
            }
        }
    }
}

/// What a slot remembers of its key's hash.
fn remembered(key: u32) -> u32 {
    hash(key) & Birth::HASH_MASK
}
