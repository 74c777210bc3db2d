//! Records named by small numbers: taken, read by others under a pin, retired, reused after a
//! grace period. Knows neither what they hold nor who reads them.

use crate::segments::{Geometry, SlotArray};
use crate::slab::{Flag, FreeList, State};
use crate::sync::Zeroed;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// All records of one kind in one cache. Their memory is reused, never freed before the pool, so a
/// late look at a stale id is harmless.
pub(crate) struct Pool<R> {
    entries: SlotArray<Entry<R>>,
    free: FreeList,
    /// Top of the stack of retired records; 0 for none.
    retired: AtomicU64,
    retired_count: AtomicU32,
}

/// A record, and the link of whichever stack it is in while nobody uses it.
struct Entry<R> {
    link: AtomicU64,
    record: R,
}

// SAFETY: zero is a valid integer, and a valid `R` by its own promise.
unsafe impl<R: Zeroed> Zeroed for Entry<R> {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Entry { link: AtomicU64::new(0), record: R::zeroed() }
    }
}

impl<R: Zeroed> Pool<R> {
    /// A pool whose ids stay below `limit`.
    pub(crate) fn new(limit: u32) -> Self {
        let geometry = Geometry::for_capacity(1);
        let first = geometry.nth(0);
        Pool {
            entries: SlotArray::new(geometry),
            free: FreeList::new(first..limit.max(first)),
            retired: AtomicU64::new(0),
            retired_count: AtomicU32::new(0),
        }
    }

    fn entry(&self, id: u32) -> &Entry<R> {
        self.entries.find(id).expect("ids come from `take`, which reached them")
    }

    /// The record of an id that `take` returned at some time.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &R {
        &self.entry(id).record
    }

    /// Takes a record, which the caller owns until it lets others see it. `None`: all are in use.
    pub(crate) fn take(&self, hint: u32) -> Option<u32> {
        let id = self.free.pop(hint, |id| &self.entry(id).link)?;
        self.entries.reach(id);
        Some(id)
    }

    /// Whether a record was ever taken.
    pub(crate) fn is_used(&self) -> bool {
        !self.free.taken().is_empty()
    }

    /// Gives back a record that nobody can be reading.
    pub(crate) fn release(&self, id: u32) {
        self.free.push(&[id], |id| &self.entry(id).link);
    }

    /// Gives up a record that others may be reading. Returns how many wait.
    pub(crate) fn retire(&self, id: u32) -> u32 {
        // Relaxed: a number that orders nothing. Before the push, so that it never falls below 0.
        let waiting = self.retired_count.fetch_add(1, Ordering::Relaxed) + 1;
        self.push_retired(id);
        waiting
    }

    fn push_retired(&self, id: u32) {
        let link = &self.entry(id).link;
        // Relaxed: only for the exchange.
        let mut top = self.retired.load(Ordering::Relaxed);
        loop {
            // Relaxed: published by the exchange.
            link.store(State::new(top, 0, Flag::Dead).0, Ordering::Relaxed);
            // Release: pairs with `take_retired`.
            let order = Ordering::Release;
            match self.retired.compare_exchange_weak(top, id.into(), order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Takes all retired records: to be released after a grace period that begins now, or put back.
    pub(crate) fn take_retired(&self) -> Vec<u32> {
        // Acquire: sees the links that `push_retired` wrote.
        let mut id = self.retired.swap(0, Ordering::Acquire) as u32;
        let mut taken = Vec::new();
        while id != 0 {
            taken.push(id);
            // Relaxed: seen through the exchange.
            id = State(self.entry(id).link.load(Ordering::Relaxed)).tick() as u32;
        }
        taken
    }

    /// Releases what `take_retired` returned, a grace period later.
    pub(crate) fn release_retired(&self, ids: Vec<u32>) {
        // Relaxed: as in `retire`.
        self.retired_count.fetch_sub(ids.len() as u32, Ordering::Relaxed);
        ids.into_iter().for_each(|id| self.release(id));
    }

    /// Puts back what `take_retired` returned: some reader is still pinned.
    pub(crate) fn put_back_retired(&self, ids: Vec<u32>) {
        ids.into_iter().for_each(|id| self.push_retired(id));
    }

    /// Records that are neither free nor retired. At rest only.
    pub(crate) fn in_use(&self) -> usize {
        let taken = self.free.taken().len();
        let free = self.free.listed(|id| &self.entry(id).link).len();
        taken - free - self.retired_count.load(Ordering::Relaxed) as usize
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn retired_records_are_handed_out_once() {
        let pool: Pool<AtomicU64> = Pool::new(u32::MAX);
        let ids: Vec<u32> = (0..5).map(|_| pool.take(0).unwrap()).collect();
        for id in &ids {
            pool.retire(*id);
        }
        assert_eq!(pool.in_use(), 0);
        let mut taken = pool.take_retired();
        taken.sort_unstable();
        assert_eq!(taken, ids);
        assert!(pool.take_retired().is_empty());
        pool.put_back_retired(taken);
        assert_eq!(pool.in_use(), 0);
        pool.release_retired(pool.take_retired());
        assert!(ids.contains(&pool.take(0).unwrap()), "released records are reused");
    }
}
