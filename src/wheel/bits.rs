//! The bitmaps of one level over one segment of slots.

use crate::segments::{CHUNK_GROUPS, GROUP, Lazy};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, TINY, broken, model_fence, zeroed_array};

/// Leaf words that are allocated together: so few that no insert waits long for their zeros.
const BLOCK: usize = if TINY { 4 } else { 512 };

type Block = [AtomicU64; BLOCK];

/// Leaf words, group-major, so that a slot's move from bucket to bucket touches one row; and one
/// summary bit per group, bucket-major, so that a sweep of a bucket reads them in a row.
pub(super) struct Bits {
    /// The first slot of the segment.
    start: u32,
    chunks: usize,
    buckets: usize,
    leaf: Box<[Lazy<Block>]>,
    summary: Box<[AtomicU64]>,
}

/// A slot's place in one bucket. All writes are read-modify-writes: no plain store ever.
pub(super) struct Spot<'a> {
    leaf: &'a AtomicU64,
    summary: &'a AtomicU64,
    bit: u64,
    group_bit: u64,
    /// The first slot of the group.
    first: u32,
}

impl Bits {
    pub(super) fn new(start: u64, chunks: usize, buckets: usize) -> Self {
        let words = chunks * CHUNK_GROUPS as usize * buckets;
        Bits {
            start: start as u32,
            chunks,
            buckets,
            leaf: (0..words.div_ceil(BLOCK)).map(|_| Lazy::new()).collect(),
            summary: zeroed_array(chunks * buckets),
        }
    }

    #[inline(always)]
    pub(super) fn spot(&self, offset: usize, place: usize) -> Spot<'_> {
        let group = offset / GROUP as usize;
        let chunk = group / CHUNK_GROUPS as usize;
        Spot {
            leaf: self.leaf(group, place),
            summary: &self.summary[place * self.chunks + chunk],
            bit: 1 << (offset % GROUP as usize),
            group_bit: 1 << (group % CHUNK_GROUPS as usize),
            first: self.start + group as u32 * GROUP,
        }
    }

    #[inline(always)]
    fn leaf(&self, group: usize, place: usize) -> &AtomicU64 {
        let at = group * self.buckets + place;
        let build = || zeroed_array(BLOCK).try_into().expect("it has so many words");
        &self.leaf[at / BLOCK].get_or_init(build)[at % BLOCK]
    }

    /// The slot of a bit in a group.
    pub(super) fn slot(&self, group: usize, bit: u32) -> u32 {
        self.start + group as u32 * GROUP + bit
    }

    /// Number of chunks.
    pub(super) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Which groups of a chunk may have bits in a bucket.
    #[inline]
    pub(super) fn groups(&self, place: usize, chunk: usize) -> u64 {
        // SeqCst: the sweep's half of the pair at `Wheel::is_covered`.
        self.summary[place * self.chunks + chunk].load(Ordering::SeqCst)
    }

    /// The bits of a group in a bucket.
    #[inline]
    pub(super) fn word(&self, place: usize, group: usize) -> u64 {
        let at = group * self.buckets + place;
        // SeqCst: as in `groups`. What is not there yet has no bits.
        self.leaf[at / BLOCK].get().map_or(0, |block| block[at % BLOCK].load(Ordering::SeqCst))
    }

    /// Bits set, at rest.
    pub(super) fn count(&self) -> u64 {
        let words = self.leaf.iter().filter_map(Lazy::get).flatten();
        words.map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }
}

impl Spot<'_> {
    /// Sets the bit, and the summary bit above it.
    pub(super) fn set(&self) {
        self.set_leaf();
        model_fence();
        self.raise_summary();
    }

    /// Sets the bit only.
    pub(super) fn set_leaf(&self) {
        // SeqCst: Release publishes the state word to whoever clears this bit later (`clear`);
        // SeqCst pairs with `drop_summary`: "set leaf, load summary" against "clear summary, load
        // leaf". The result is dropped, so this is one locked instruction.
        self.leaf.fetch_or(self.bit, Ordering::SeqCst);
    }

    /// Sets the summary bit unless it is set: a read, nearly always.
    pub(super) fn raise_summary(&self) {
        // SeqCst: see `set`.
        if self.summary.load(Ordering::SeqCst) & self.group_bit == 0 {
            self.summary.fetch_or(self.group_bit, Ordering::SeqCst);
        }
    }

    /// Clears the bit only; the caller ensures the slot's present home.
    pub(super) fn clear(&self) {
        // SeqCst: Acquire sees the state of every slot whose bit was set before on this word.
        self.leaf.fetch_and(!self.bit, Ordering::SeqCst);
    }

    pub(super) fn is_set(&self) -> bool {
        self.leaf.load(Ordering::SeqCst) & self.bit != 0
    }

    pub(super) fn has_summary(&self) -> bool {
        self.summary.load(Ordering::SeqCst) & self.group_bit != 0
    }

    pub(super) fn is_empty_word(&self) -> bool {
        self.leaf.load(Ordering::SeqCst) == 0
    }

    /// Clears the summary bit of an empty word. `true`: the word was not empty after all, and the
    /// bit is set again.
    pub(super) fn drop_summary(&self) -> bool {
        // SeqCst: see `set`.
        self.summary.fetch_and(!self.group_bit, Ordering::SeqCst);
        model_fence();
        if broken(Step::SummaryRecheck) || self.is_empty_word() {
            return false;
        }
        self.summary.fetch_or(self.group_bit, Ordering::SeqCst);
        true
    }

    /// The slots whose bits are set in this word.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.first;
        set_bits(self.leaf.load(Ordering::SeqCst)).map(move |bit| first + bit)
    }
}

/// The positions of the bits that are set.
pub(super) fn set_bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::segments::CHUNK;

    const CHUNKS: usize = 3;
    const START: u64 = CHUNK as u64;

    #[test]
    fn a_bit_is_found_by_its_summary_its_word_and_its_slot() {
        let group_slots = GROUP as usize;
        for (offset, place) in [(0, 0), (1, 7), (63, 1), (64, 2), (8191, 3), (8192, 0), (12_287, 7)]
        {
            let bits = Bits::new(START, CHUNKS, 8);
            let spot = bits.spot(offset, place);
            assert!(!spot.is_set() && !spot.has_summary() && spot.is_empty_word());
            spot.set();
            assert!(spot.is_set() && spot.has_summary() && !spot.is_empty_word());
            let (group, chunk) = (offset / group_slots, offset / CHUNK as usize);
            for other in (0..8).filter(|other| *other != place) {
                assert_eq!((bits.groups(other, chunk), bits.word(other, group)), (0, 0));
            }
            let in_chunk: Vec<u32> = set_bits(bits.groups(place, chunk)).collect();
            assert_eq!(in_chunk, [(group % CHUNK_GROUPS as usize) as u32]);
            let in_group: Vec<u32> = set_bits(bits.word(place, group)).collect();
            let slots = in_group.iter().map(|bit| bits.slot(group, *bit)).collect::<Vec<_>>();
            assert_eq!(slots, [START as u32 + offset as u32]);
            assert_eq!(spot.slots().collect::<Vec<_>>(), slots);
            assert_eq!((bits.count(), bits.chunks()), (1, CHUNKS));
        }
    }

    #[test]
    fn bits_of_one_word_come_and_go_one_by_one() {
        let bits = Bits::new(START, CHUNKS, 8);
        let spots = [64, 70, 127].map(|offset| bits.spot(offset, 5));
        spots.iter().for_each(Spot::set);
        assert_eq!(bits.count(), 3);
        spots[1].clear();
        assert_eq!(spots.each_ref().map(|spot| spot.is_set()), [true, false, true]);
        assert!(spots[0].drop_summary(), "the word is not empty");
        assert!(spots[1].has_summary());
        spots[0].clear();
        spots[2].clear();
        assert!(!spots[0].drop_summary() && !spots[0].has_summary());
        // Of another word in the chunk.
        bits.spot(0, 5).set();
        assert!(!spots[0].has_summary());
        spots[0].raise_summary();
        assert!(spots[0].has_summary() && !spots[0].is_set());
        assert!(!spots[0].drop_summary() && bits.spot(0, 5).has_summary());
    }
}
