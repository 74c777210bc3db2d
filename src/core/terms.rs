//! Terms: the timing of entries that do not follow their cache's defaults.
//!
//! A record is written once, before an entry's extension word names it, and says for which
//! revision of the state word it holds and what held before. So a change takes effect at one
//! instant, the exchange of the state word, although it needs two words.

use crate::expiry::{Limits, Timing};
use crate::segments::{Geometry, SlotArray};
use crate::slab::{Flag, FreeList, MAX_TERMS, State};
use crate::sync::Zeroed;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One record. All fields but `link` are written by the owner before it is published.
struct Record {
    /// Links free records, and retired ones.
    link: AtomicU64,
    /// Timing from this revision on, and the one before it.
    now: Fields,
    before: Fields,
    rev: AtomicU32,
}

struct Fields {
    idle: AtomicU64,
    absolute: AtomicU64,
    created: AtomicU64,
}

// SAFETY: made of integers, for which zero is valid.
unsafe impl Zeroed for Record {
    #[cfg(loom)]
    fn zeroed() -> Self {
        unreachable!("no model uses terms")
    }
}

impl Fields {
    // Relaxed: published and seen through the extension word that names the record.
    fn store(&self, timing: Timing) {
        self.idle.store(timing.limits.idle, Ordering::Relaxed);
        self.absolute.store(timing.limits.absolute, Ordering::Relaxed);
        self.created.store(timing.created, Ordering::Relaxed);
    }

    fn load(&self) -> Timing {
        let idle = self.idle.load(Ordering::Relaxed);
        let absolute = self.absolute.load(Ordering::Relaxed);
        let created = self.created.load(Ordering::Relaxed);
        Timing { limits: Limits { idle, absolute }, created }
    }
}

/// All records of one cache. Their memory is reused after a grace period, never freed before the
/// cache, so a late look at a stale id is harmless.
pub(crate) struct Terms {
    records: SlotArray<Record>,
    free: FreeList,
    /// Top of the stack of retired records; 0 for none.
    retired: AtomicU64,
    retired_count: AtomicU32,
}

impl Terms {
    pub(crate) fn new() -> Self {
        Terms {
            records: SlotArray::new(Geometry::for_capacity(1)),
            free: FreeList::new(MAX_TERMS),
            retired: AtomicU64::new(0),
            retired_count: AtomicU32::new(0),
        }
    }

    fn record(&self, id: u32) -> &Record {
        // SAFETY: ids come from `record_change`, which reached them.
        unsafe { self.records.get(id) }
    }

    /// Writes a record that says: from revision `rev` on `now`, until then `before`. `None`: there
    /// is no room for another one.
    pub(crate) fn record_change(&self, rev: u8, now: Timing, before: Timing) -> Option<u32> {
        let id = self.free.pop(rev.into(), |id| &self.record(id).link)?;
        self.records.reach(id);
        let record = self.record(id);
        record.now.store(now);
        record.before.store(before);
        record.rev.store(rev.into(), Ordering::Relaxed);
        Some(id)
    }

    /// The timing that a record gives to an entry of revision `rev`. A caller whose state word is
    /// out of date gets the newest one: what it decides by it fails at the exchange of the word,
    /// or is a hit on an entry that was alive later than the word was read.
    pub(crate) fn timing(&self, id: u32, rev: u8) -> Timing {
        let record = self.record(id);
        if self.is_pending(id, rev) { record.before.load() } else { record.now.load() }
    }

    /// Whether the change that a record describes has yet to take effect.
    pub(crate) fn is_pending(&self, id: u32, rev: u8) -> bool {
        self.record(id).rev.load(Ordering::Relaxed) as u8 == State::next_rev(rev)
    }

    /// Gives back a record that nobody can be reading.
    pub(crate) fn release(&self, id: u32) {
        self.free.push(id, 0, &self.record(id).link);
    }

    /// Gives up a record that others may be reading. Returns how many wait.
    pub(crate) fn retire(&self, id: u32) -> u32 {
        let link = &self.record(id).link;
        // Before the push, so that the count never falls below zero.
        let waiting = self.retired_count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut top = self.retired.load(Ordering::Relaxed);
        loop {
            // Relaxed: published by the exchange.
            link.store(State::new(top, 0, Flag::Dead).0, Ordering::Relaxed);
            // Release: pairs with `take_retired`.
            let order = Ordering::Release;
            match self.retired.compare_exchange_weak(top, id.into(), order, Ordering::Relaxed) {
                Ok(_) => return waiting,
                Err(now) => top = now,
            }
        }
    }

    /// Takes all retired records, to be released after a grace period.
    pub(crate) fn take_retired(&self) -> Vec<u32> {
        // Acquire: sees the links.
        let mut id = self.retired.swap(0, Ordering::Acquire) as u32;
        let mut taken = Vec::new();
        while id != 0 {
            taken.push(id);
            id = State(self.record(id).link.load(Ordering::Relaxed)).tick() as u32;
        }
        self.retired_count.fetch_sub(taken.len() as u32, Ordering::Relaxed);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_answers_for_its_revision_and_the_one_before() {
        let terms = Terms::new();
        let timing = |created| Timing { limits: Limits { idle: 1, absolute: 2 }, created };
        let id = terms.record_change(0, timing(7), timing(6)).unwrap();
        assert_eq!(terms.timing(id, 0), timing(7));
        assert_eq!(terms.timing(id, 15), timing(6));
        assert!(terms.is_pending(id, 15) && !terms.is_pending(id, 0));
    }

    #[test]
    fn retired_records_are_handed_out_once() {
        let terms = Terms::new();
        let timing = Timing { limits: Limits { idle: 1, absolute: 2 }, created: 0 };
        let ids: Vec<u32> =
            (0..5).map(|_| terms.record_change(0, timing, timing).unwrap()).collect();
        for id in &ids {
            terms.retire(*id);
        }
        let mut taken = terms.take_retired();
        taken.sort_unstable();
        assert_eq!(taken, ids);
        assert!(terms.take_retired().is_empty());
    }
}
