//! Terms: the timing of entries that do not follow their cache's defaults.
//!
//! A record is written once, before an entry's extension word names it, and says for which
//! revision of the state word it holds and what held before. So a change takes effect at one
//! instant, the exchange of the state word, although it needs two words.

use crate::expiry::{Limits, Names, Timing};
use crate::pool::Pool;
use crate::slab::{MAX_TERMS, State};
use crate::sync::Zeroed;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One record of timing. All fields are written by the owner before it is published.
pub(crate) struct Record {
    /// Timing from this revision on, and the one before it.
    now: Fields,
    before: Fields,
    rev: AtomicU32,
}

struct Fields {
    idle: AtomicU64,
    absolute: AtomicU64,
    created: AtomicU64,
    holds: AtomicU32,
    names: [AtomicU64; 2],
}

// SAFETY: made of integers, for which zero is valid.
unsafe impl Zeroed for Record {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        let fields = || Fields {
            idle: AtomicU64::new(0),
            absolute: AtomicU64::new(0),
            created: AtomicU64::new(0),
            holds: AtomicU32::new(0),
            names: [AtomicU64::new(0), AtomicU64::new(0)],
        };
        Record { now: fields(), before: fields(), rev: AtomicU32::new(0) }
    }
}

impl Fields {
    // Relaxed: published and seen through the extension word that names the record.
    fn store(&self, timing: Timing) {
        self.idle.store(timing.limits.idle, Ordering::Relaxed);
        self.absolute.store(timing.limits.absolute, Ordering::Relaxed);
        self.created.store(timing.created, Ordering::Relaxed);
        self.holds.store(timing.holds, Ordering::Relaxed);
        self.names[0].store(timing.names.latest, Ordering::Relaxed);
        self.names[1].store(timing.names.former, Ordering::Relaxed);
    }

    fn load(&self) -> Timing {
        let idle = self.idle.load(Ordering::Relaxed);
        let absolute = self.absolute.load(Ordering::Relaxed);
        let created = self.created.load(Ordering::Relaxed);
        let holds = self.holds.load(Ordering::Relaxed);
        Timing { limits: Limits { idle, absolute }, created, holds, names: self.names() }
    }

    fn names(&self) -> Names {
        let [latest, former] = self.names.each_ref().map(|name| name.load(Ordering::Relaxed));
        Names { latest, former }
    }
}

/// All records of one cache.
pub(crate) struct Terms {
    records: Pool<Record>,
}

impl Terms {
    pub(crate) fn new() -> Self {
        Terms { records: Pool::new(MAX_TERMS) }
    }

    /// Writes a record that says: from revision `rev` on `now`, until then `before`. `None`: there
    /// is no room for another one.
    pub(crate) fn record_change(&self, rev: u8, now: Timing, before: Timing) -> Option<u32> {
        let id = self.records.take(rev.into())?;
        let record = self.records.get(id);
        record.now.store(now);
        record.before.store(before);
        record.rev.store(rev.into(), Ordering::Relaxed);
        Some(id)
    }

    /// The timing that a record gives to an entry of revision `rev`. A caller whose state word is
    /// out of date gets the newest one: what it decides by it fails at the exchange of the word,
    /// or is a hit on an entry that was alive later than the word was read.
    pub(crate) fn timing(&self, id: u32, rev: u8) -> Timing {
        let record = self.records.get(id);
        if self.is_pending(id, rev) { record.before.load() } else { record.now.load() }
    }

    /// The names alone that a record gives to an entry of revision `rev`; see `timing`.
    pub(crate) fn names_at(&self, id: u32, rev: u8) -> Names {
        let record = self.records.get(id);
        if self.is_pending(id, rev) { record.before.names() } else { record.now.names() }
    }

    /// The names that a record knows, before its change and after it.
    pub(crate) fn names(&self, id: u32) -> [Names; 2] {
        let record = self.records.get(id);
        [record.now.names(), record.before.names()]
    }

    /// Whether the change that a record describes has yet to take effect.
    pub(crate) fn is_pending(&self, id: u32, rev: u8) -> bool {
        self.records.get(id).rev.load(Ordering::Relaxed) as u8 == State::next_rev(rev)
    }

    /// Gives back a record that nobody can be reading.
    pub(crate) fn release(&self, id: u32) {
        self.records.release(id);
    }

    /// Gives up a record that others may be reading. Returns how many wait.
    pub(crate) fn retire(&self, id: u32) -> u32 {
        self.records.retire(id)
    }

    /// The records themselves: those that were given up wait for a grace period.
    pub(crate) fn records(&self) -> &Pool<Record> {
        &self.records
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_answers_for_its_revision_and_the_one_before() {
        let terms = Terms::new();
        let (limits, names) = (Limits { idle: 1, absolute: 2 }, Names { latest: 4, former: 5 });
        let timing = |created| Timing { limits, created, holds: 3, names };
        let id = terms.record_change(1, timing(7), timing(6)).unwrap();
        assert_eq!(terms.timing(id, 1), timing(7));
        assert_eq!(terms.timing(id, 15), timing(6));
        assert!(terms.is_pending(id, 15) && !terms.is_pending(id, 1));
    }
}
