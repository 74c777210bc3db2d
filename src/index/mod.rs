//! The sharded, lock-free hash index: key hash to slot id. Knows hashes and slot ids, not time.
//!
//! # Ground rules
//!
//! A bucket is one cache line: a header and words `tag:32 | slot:32`; more words hang on it in
//! overflow lines. Truth about a key is its slot's state; the index says where to look, and which
//! reserved slot may go live.
//!
//! * An insert *claims* an empty word for its reserved slot, then *commits* with one
//!   compare-and-swap of the header it scanned: the header then names the slot as `pending`, and
//!   any thread may turn it live. A changed header means a new scan, so of two inserts of one key
//!   the second always sees the first.
//! * Before a header names another pending slot, the previous one is live (or dead already). So a
//!   reserved slot that is not `pending` is not committed.
//! * The inserter takes its slot off `pending` once it is live, under the same pin: so no header
//!   names a slot that was recycled.
//! * A remover turns the slot dead and clears the word, which is free for the next insert at once.
//!   Words are unique while a thread that saw them is pinned.
//! * Growth freezes an old bucket's header, copies the words of live slots to the two buckets that
//!   follow it, and marks it moved. Nobody uses the new buckets before that; everybody can do it.
//! * Every access needs a pin. A removed slot is recycled only after a grace period.

mod growth;
mod lookup;
mod publish;
mod table;

#[cfg(all(test, not(any(loom, shuttle))))]
mod layout_tests;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(any(loom, shuttle))))]
mod moment_tests;

pub(crate) use publish::Published;
pub(crate) use table::SHARDS;

use crate::slab::State;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use table::{MAX_BITS, SHARD_BITS, Table, WORDS};

/// What the index asks of the slots it names.
pub(crate) trait Entries {
    /// What a slot id stands for.
    type Slot;

    /// The slot of an id.
    fn slot(&self, id: u32) -> &Self::Slot;

    /// The state word of a slot.
    fn state_of(slot: &Self::Slot) -> &AtomicU64;

    /// The state word of the slot of an id.
    #[inline(always)]
    fn state(&self, id: u32) -> &AtomicU64 {
        Self::state_of(self.slot(id))
    }
}

/// A live slot as a lookup met it.
pub(crate) struct Found<'a, E: Entries> {
    pub(crate) id: u32,
    pub(crate) slot: &'a E::Slot,
    /// The state word that was seen.
    pub(crate) state: State,
}

/// The index of one cache.
pub(crate) struct Index {
    shards: [CachePadded<Shard>; SHARDS],
}

struct Shard {
    /// The oldest table that is not wholly moved.
    root: AtomicPtr<Table>,
}

impl Index {
    /// An index that holds `capacity` entries without growing.
    pub(crate) fn for_capacity(capacity: usize) -> Self {
        let per_shard = capacity.div_ceil(SHARDS);
        // Shards fill unevenly: leave four standard deviations of room.
        let uneven = per_shard + 4 * (per_shard as f64).sqrt() as usize;
        let buckets = uneven.div_ceil(table::max_load(1)).max(1);
        let bits = buckets.checked_next_power_of_two().map_or(MAX_BITS, |n| n.ilog2());
        let table = || Box::into_raw(Box::new(Table::new(bits.min(MAX_BITS))));
        let shard = || CachePadded::new(Shard { root: AtomicPtr::new(table()) });
        Index { shards: std::array::from_fn(|_| shard()) }
    }

    fn shard(&self, hash: u32) -> &Shard {
        &self.shards[shard_of(hash)]
    }

    /// All `(tag, slot)` words that readers would look at, for validation at rest.
    pub(crate) fn words(&self) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            // Acquire: sees the table.
            // SAFETY: at rest no table is retired.
            let table = unsafe { &*shard.root.load(Ordering::Acquire) };
            table.collect_words(&mut found);
        }
        found
    }

    /// Buckets of all current tables, for the memory estimate in the docs and for tests.
    pub(crate) fn buckets(&self) -> usize {
        // SAFETY: at rest no table is retired.
        let table = |s: &Shard| unsafe { &*s.root.load(Ordering::Acquire) };
        self.shards.iter().map(|s| table(s).len()).sum()
    }
}

/// The shard of a hash, which is also the stripe of its counters.
#[inline(always)]
pub(crate) fn shard_of(hash: u32) -> usize {
    (u64::from(hash) >> (32 - SHARD_BITS)) as usize
}

/// Reduces a 64-bit hash to the 32 bits that the index uses. The multiplication spreads hashes
/// whose entropy sits in a few bits (identity hashers), wherever they are; the lowest bit is set so
/// that a tag is never zero, which free words have.
#[inline(always)]
pub(crate) fn reduce(hash: u64) -> u32 {
    (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32 | 1
}

/// The word at which probing starts: most hits need no second one.
#[inline(always)]
fn home(hash: u32) -> usize {
    (((hash >> 1) & 0xff) as usize * WORDS) >> 8
}

/// The word that is probed second: the mirror image of the first one.
#[inline(always)]
fn second(first: usize) -> usize {
    WORDS - 1 - first
}

impl Drop for Index {
    fn drop(&mut self) {
        for shard in &self.shards {
            // Relaxed: `&mut self` orders this after every other access.
            let mut table = shard.root.load(Ordering::Relaxed);
            while !table.is_null() {
                // SAFETY: tables come from Box::into_raw; the root and its successors are not
                // retired, so this is their only free.
                let boxed = unsafe { Box::from_raw(table) };
                table = boxed.next.load(Ordering::Relaxed);
            }
        }
    }
}
