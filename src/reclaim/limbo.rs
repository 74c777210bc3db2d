//! The limbo: which slots hold something that waits for its grace period, as one bit per slot.
//!
//! Any number of threads may collect the same bits at once. A bit is cleared only by the thread
//! that erased what it stands for, so a flusher that was suspended hides nothing from another one.

use crate::segments::{CHUNK_GROUPS, GROUP, Geometry, SEGMENTS, Segments};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Step, broken, zeroed_array};

/// The limbo of one cache.
pub(crate) struct Limbo {
    geometry: Geometry,
    parts: Segments<Part>,
}

struct Part {
    /// One bit per slot.
    bits: Box<[AtomicU64]>,
    /// At least as many as there are bits set in a chunk: raised before, lowered after the bit.
    counts: Box<[AtomicU32]>,
}

/// Where a slot's bit lies.
struct Place<'a> {
    word: &'a AtomicU64,
    count: &'a AtomicU32,
    bit: u64,
}

impl Limbo {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Limbo { geometry, parts: Segments::new() }
    }

    fn place(&self, slot: u32) -> Place<'_> {
        let (segment, offset) = self.geometry.locate(slot);
        let part = self.parts.of(segment).get_or_init(|| {
            let chunks = self.geometry.chunks(segment);
            Box::new(Part {
                bits: zeroed_array(chunks * CHUNK_GROUPS as usize),
                counts: zeroed_array(chunks),
            })
        });
        let group = offset / GROUP as usize;
        Place {
            word: &part.bits[group],
            count: &part.counts[group / CHUNK_GROUPS as usize],
            bit: 1 << (offset % GROUP as usize),
        }
    }

    /// Puts a slot into the limbo, after the exchange that made it dead. Returns about how many
    /// slots of its chunk are there.
    pub(crate) fn add(&self, slot: u32) -> u32 {
        let place = self.place(slot);
        // AcqRel: a collector that meets the bit has met the count before.
        let waiting = place.count.fetch_add(1, Ordering::AcqRel);
        // Release: pairs with `collect` and `clear`, which then see the slot dead.
        if place.word.fetch_or(place.bit, Ordering::AcqRel) & place.bit != 0 {
            // It was there already, for a replaced value.
            place.count.fetch_sub(1, Ordering::AcqRel);
        }
        waiting
    }

    /// Takes a slot out, after its content was erased. `still` tells whether the slot holds
    /// something else that waits: a removal may have set the bit before this cleared it.
    pub(crate) fn clear(&self, slot: u32, still: impl FnOnce() -> bool) {
        let place = self.place(slot);
        // Acquire: if an `add` came before on this word, `still` sees what it was for.
        if place.word.fetch_and(!place.bit, Ordering::AcqRel) & place.bit != 0 {
            place.count.fetch_sub(1, Ordering::AcqRel);
        }
        if !broken(Step::LimboEnsure) && still() {
            self.add(slot);
        }
    }

    /// The same for slots of one group whose content is erased and which nobody else can use, so
    /// nothing else can wait there.
    pub(crate) fn clear_group(&self, slots: &[u32]) {
        let Some(first) = slots.first() else { return };
        let bits = slots.iter().fold(0, |bits, slot| bits | 1 << (slot % GROUP));
        let place = self.place(*first);
        // AcqRel: as in `clear`.
        let cleared = place.word.fetch_and(!bits, Ordering::AcqRel) & bits;
        place.count.fetch_sub(cleared.count_ones(), Ordering::AcqRel);
    }

    /// Appends to `found` the slots of the limbo from group `*from` on, until there are at least
    /// `limit` of them; leaves in `*from` where to continue. `false`: there are no more.
    pub(crate) fn collect(&self, from: &mut u64, limit: usize, found: &mut Vec<u32>) -> bool {
        for segment in 0..SEGMENTS {
            let Some(part) = self.parts.of(segment).get() else { continue };
            let first = self.geometry.start(segment) / u64::from(GROUP);
            for (chunk, count) in part.counts.iter().enumerate() {
                let start = first + (chunk as u64) * u64::from(CHUNK_GROUPS);
                let end = start + u64::from(CHUNK_GROUPS);
                // Acquire: pairs with `add`.
                if end <= *from || count.load(Ordering::Acquire) == 0 {
                    continue;
                }
                for group in start.max(*from)..end {
                    if found.len() >= limit {
                        *from = group;
                        return true;
                    }
                    // Acquire: sees the slot dead.
                    let mut bits = part.bits[(group - first) as usize].load(Ordering::Acquire);
                    while bits != 0 {
                        found.push((group * u64::from(GROUP)) as u32 + bits.trailing_zeros());
                        bits &= bits - 1;
                    }
                }
            }
        }
        false
    }

    /// How many slots wait, counted exactly at rest.
    pub(crate) fn waiting(&self) -> u64 {
        // Relaxed: a statistic.
        let count = |c: &AtomicU32| u64::from(c.load(Ordering::Relaxed));
        self.parts.iter().map(|part| part.counts.iter().map(count).sum::<u64>()).sum()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_collected_until_it_is_cleared() {
        let limbo = Limbo::new(Geometry::for_capacity(1));
        let slots = [4096, 4097, 4159, 4160, 8191, 8192, 70_000];
        for slot in slots {
            limbo.add(slot);
            limbo.add(slot);
        }
        assert_eq!(limbo.waiting(), slots.len() as u64);
        for limit in [1, 2, 100] {
            let (mut from, mut found) = (0, Vec::new());
            loop {
                let mut part = Vec::new();
                let more = limbo.collect(&mut from, limit, &mut part);
                found.extend(part);
                if !more {
                    break;
                }
            }
            assert_eq!(found, slots);
        }
        limbo.clear_group(&[4159, 4097]);
        for slot in slots {
            limbo.clear(slot, || slot == 4160);
        }
        let mut found = Vec::new();
        assert!(!limbo.collect(&mut 0, 100, &mut found));
        assert_eq!((found, limbo.waiting()), (vec![4160], 1));
    }
}
