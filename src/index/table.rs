//! One table: buckets of a cache line each, overflow lines, and the packed header.

use super::second;
use crate::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{LineArray, TINY, Zeroed, zeroed_array};

/// Shards are chosen by the top bits of the hash.
pub(crate) const SHARD_BITS: u32 = if TINY { 0 } else { 4 };
/// Number of shards.
pub(crate) const SHARDS: usize = 1 << SHARD_BITS;
/// Bucket bits of the largest table: with the shard bits, the 28 bits that a slot remembers.
pub(super) const MAX_BITS: u32 = 28 - SHARD_BITS;
/// Words in a bucket: with the header, one cache line.
pub(super) const WORDS: usize = if TINY { 2 } else { 7 };
/// Words in the first overflow line; each further one has four times as many.
const LINE_WORDS: usize = if TINY { 1 } else { 7 };

/// A word that nobody wrote yet. Never comes back once a word was anything else.
pub(super) const FRESH: u64 = 0;
/// A word that was cleared, or that a mover found nothing for.
pub(super) const EMPTY: u64 = 1;

/// `tag:32 | slot:32`. Slot ids start at 2, so no word equals FRESH or EMPTY.
#[inline(always)]
pub(super) fn word(hash: u32, slot: u32) -> u64 {
    (u64::from(hash) << 32) | u64::from(slot)
}

/// The slot that a word names.
#[inline(always)]
pub(super) fn slot_of(word: u64) -> u32 {
    word as u32
}

#[inline(always)]
pub(super) fn is_vacant(word: u64) -> bool {
    word <= EMPTY
}

/// The header of a bucket.
///
/// ```text
/// | pending slot : 32 | version : 26 | overflow lines : 4 | moved : 1 | frozen : 1 |
/// ```
/// Every change but `moved` adds 1 to the version. While `pending` names a slot, that slot cannot
/// be recycled under the pin of a thread that saw it, so a header value can only come back with
/// nothing pending and after a multiple of 2^26 changes (2^25 inserts) of this one bucket between
/// a thread's load and its exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Header(pub(super) u64);

const FROZEN: u64 = 1;
const MOVED: u64 = 2;
const LINES_SHIFT: u32 = 2;
const LINES_MASK: u64 = 0b1111 << LINES_SHIFT;
const VERSION_ONE: u64 = 1 << 6;
const VERSION_MASK: u64 = 0xffff_ffff & !(VERSION_ONE - 1);

/// Entries that `buckets` buckets hold before the table doubles: at 4.25 a bucket, six in a hundred
/// buckets need an overflow line.
pub(super) fn max_load(buckets: usize) -> usize {
    buckets * 4 + buckets / 4
}

/// Whether `live` entries should have a table of twice as many buckets as `2^bits`, and may.
pub(super) fn has_outgrown(bits: u32, live: u64) -> bool {
    live > max_load(1 << bits) as u64 && bits < MAX_BITS
}

/// Overflow lines per bucket: together more words than there are slots.
const MAX_LINES: usize = 15;

impl Header {
    pub(super) fn pending(self) -> Option<u32> {
        let slot = (self.0 >> 32) as u32;
        (slot != 0).then_some(slot)
    }

    pub(super) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    #[inline(always)]
    pub(super) fn is_moved(self) -> bool {
        self.0 & MOVED != 0
    }

    #[inline(always)]
    pub(super) fn lines(self) -> usize {
        ((self.0 & LINES_MASK) >> LINES_SHIFT) as usize
    }

    fn bumped(self) -> Self {
        let version = (self.0 + VERSION_ONE) & VERSION_MASK;
        Header((self.0 & !VERSION_MASK) | version)
    }

    /// Set to `{ pending: slot, version + 1 }`.
    pub(super) fn commit(self, slot: u32) -> Self {
        Header((self.bumped().0 & 0xffff_ffff) | (u64::from(slot) << 32))
    }

    /// Set to `{ pending: none, version + 1 }`.
    pub(super) fn settled(self) -> Self {
        self.commit(0)
    }

    /// Set to `{ frozen, version + 1 }`.
    pub(super) fn frozen(self) -> Self {
        Header(self.bumped().0 | FROZEN)
    }

    /// Set to `{ lines + 1, version + 1 }`, if there may be another line.
    pub(super) fn with_line(self) -> Option<Self> {
        let lines = self.lines() + 1;
        (lines <= MAX_LINES)
            .then(|| Header((self.bumped().0 & !LINES_MASK) | ((lines as u64) << LINES_SHIFT)))
    }

    /// Whether the bucket is still being filled by movers: its version is 0. They agree on its
    /// words through the words themselves, so a line that they add does not change the version.
    pub(super) fn is_filling(self) -> bool {
        self.0 & !LINES_MASK == 0
    }

    /// Set to `{ lines + 1, version 0 }`, for a mover that found no place in a new bucket.
    pub(super) fn with_filling_line(self) -> Self {
        debug_assert!(self.is_filling() && self.lines() < MAX_LINES);
        Header(self.0 + (1 << LINES_SHIFT))
    }

    /// Set to `{ version 1 }`: movers are done with the bucket.
    pub(super) fn filled(self) -> Self {
        debug_assert!(self.is_filling());
        self.bumped()
    }
}

/// A bucket: with 7 words exactly one cache line.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) header: AtomicU64,
    pub(super) words: [AtomicU64; WORDS],
}

const _: () = assert!(TINY || size_of::<Bucket>() == 64);

// SAFETY: made of atomics for which zero is valid: an empty bucket of version 0.
unsafe impl Zeroed for Bucket {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Bucket { header: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(FRESH)) }
    }
}

impl Bucket {
    /// The header, for readers and writers alike.
    #[inline(always)]
    pub(super) fn header(&self) -> Header {
        // SeqCst: the other half of the pair "slot turns dead, load header" against "freeze, load
        // state" in `growth::move_bucket`. Acquire: sees the words that the header speaks of.
        Header(self.header.load(Ordering::SeqCst))
    }

    /// Changes the header, if it still is `from`.
    pub(super) fn exchange(&self, from: Header, to: Header) -> bool {
        // SeqCst: as in `header`. Release: publishes what the new header speaks of (claimed word,
        // linked line) to `header`. Acquire: a failure is followed by a new look at the words.
        let order = Ordering::SeqCst;
        self.header.compare_exchange(from.0, to.0, order, Ordering::Acquire).is_ok()
    }

    /// Marks a frozen bucket as moved.
    pub(super) fn set_moved(&self) {
        // Release: whoever sees the mark sees both new buckets filled.
        self.header.fetch_or(MOVED, Ordering::SeqCst);
    }
}

/// An overflow line: more words for one bucket.
pub(super) struct Line {
    next: AtomicPtr<Line>,
    pub(super) words: Box<[AtomicU64]>,
}

/// A table of `2^bits` buckets.
pub(super) struct Table {
    bits: u32,
    buckets: LineArray<Bucket>,
    /// First overflow line of each bucket, or null. Lines go with their table.
    overflow: Box<[AtomicPtr<Line>]>,
    /// The table that this one moves to, or null.
    pub(super) next: AtomicPtr<Table>,
    /// All buckets below this are moved.
    pub(super) done: AtomicUsize,
    /// Overflow lines linked, and how many may be before the table is rebuilt.
    lines: AtomicUsize,
    lines_allowed: AtomicUsize,
}

impl Table {
    pub(super) fn new(bits: u32) -> Self {
        debug_assert!(bits <= MAX_BITS);
        let table = Table {
            bits,
            buckets: LineArray::new(1 << bits),
            overflow: zeroed_array(1 << bits),
            next: AtomicPtr::new(std::ptr::null_mut()),
            done: AtomicUsize::new(0),
            lines: AtomicUsize::new(0),
            lines_allowed: AtomicUsize::new(0),
        };
        table.allow_more_lines();
        table
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// The table that should follow this one when it holds `live` entries, if any: one of twice
    /// the size when it is full; one of the same size when it has gathered overflow lines. Lines
    /// stay with their table, so those that crowded buckets once needed add up under churn.
    pub(super) fn successor(&self, live: u64) -> Option<Self> {
        if has_outgrown(self.bits, live) {
            return Some(Table::new(self.bits + 1));
        }
        // Relaxed: only numbers.
        let lines = self.lines.load(Ordering::Relaxed);
        (lines > self.lines_allowed.load(Ordering::Relaxed)).then(|| Table::new(self.bits))
    }

    /// Allows for the lines that the present entries need, and some more.
    pub(super) fn allow_more_lines(&self) {
        // Relaxed: only numbers.
        let allowed = self.lines.load(Ordering::Relaxed) + self.len() / 8 + 4;
        self.lines_allowed.store(allowed, Ordering::Relaxed);
    }

    /// The buckets of `next` to which bucket `place` of this table moves.
    pub(super) fn heirs(&self, next: &Table, place: usize) -> std::ops::Range<usize> {
        let wider = next.bits - self.bits;
        place << wider..(place + 1) << wider
    }

    /// The bucket of a hash: the bits below the shard bits, so that the two buckets that follow
    /// bucket `b` are `2b` and `2b + 1`.
    #[inline(always)]
    pub(super) fn place(&self, hash: u32) -> usize {
        ((u64::from(hash << SHARD_BITS) << self.bits) >> 32) as usize
    }

    #[inline(always)]
    pub(super) fn bucket(&self, place: usize) -> &Bucket {
        debug_assert!(place < self.buckets.len());
        // SAFETY: `place` comes from `place()`, which is below 2^bits, or counts below `len()`.
        unsafe { self.buckets.get_unchecked(place) }
    }

    /// The first `count` overflow lines of a bucket.
    pub(super) fn lines(&self, place: usize, count: usize) -> impl Iterator<Item = &Line> {
        let mut link = &self.overflow[place];
        (0..count).map_while(move |_| {
            // Acquire: pairs with `link_line`; sees the line's words.
            // SAFETY: linked lines live as long as the table.
            let line = unsafe { link.load(Ordering::Acquire).as_ref() }?;
            link = &line.next;
            Some(line)
        })
    }

    /// The first word under a header that satisfies `f`: of the bucket's own, then of its lines.
    #[inline(always)]
    pub(super) fn find_word<'t>(
        &'t self,
        place: usize,
        header: Header,
        mut f: impl FnMut(&'t AtomicU64) -> bool,
    ) -> Option<&'t AtomicU64> {
        let own = self.bucket(place).words.iter().find(|word| f(word));
        if own.is_some() || header.lines() == 0 {
            return own;
        }
        self.lines(place, header.lines()).flat_map(|line| line.words.iter()).find(|word| f(word))
    }

    /// The same in the order in which a hit probes them. May look at some words twice.
    #[inline(always)]
    pub(super) fn find_word_from<'t>(
        &'t self,
        start: usize,
        place: usize,
        header: Header,
        mut f: impl FnMut(&'t AtomicU64) -> bool,
    ) -> Option<&'t AtomicU64> {
        let words = &self.bucket(place).words;
        for word in [&words[start], &words[second(start)]] {
            if f(word) {
                return Some(word);
            }
        }
        self.find_word(place, header, f)
    }

    /// Calls `f` with all words under a header.
    pub(super) fn for_each_word(
        &self,
        place: usize,
        header: Header,
        mut f: impl FnMut(&AtomicU64),
    ) {
        self.find_word(place, header, |word| {
            f(word);
            false
        });
    }

    /// Makes sure that overflow line number `order` (counted from 0) of a bucket is linked. The
    /// lines before it are.
    pub(super) fn link_line(&self, place: usize, order: usize) {
        let mut link = &self.overflow[place];
        if order > 0 {
            let Some(last) = self.lines(place, order).last() else { return };
            link = &last.next;
        }
        // Acquire: as in `lines`.
        if !link.load(Ordering::Acquire).is_null() {
            return;
        }
        let words = zeroed_array(LINE_WORDS << (2 * order));
        let next = AtomicPtr::new(std::ptr::null_mut());
        let line = Box::into_raw(Box::new(Line { next, words }));
        // Release: publishes the line's words to `lines`.
        let null = std::ptr::null_mut();
        if link.compare_exchange(null, line, Ordering::Release, Ordering::Relaxed).is_ok() {
            self.lines.fetch_add(1, Ordering::Relaxed);
        } else {
            // SAFETY: never published, so this thread still owns it.
            drop(unsafe { Box::from_raw(line) });
        }
    }

    /// Words that readers look at, here and in the tables that follow. At rest only.
    pub(super) fn collect_words(&self, found: &mut Vec<(u32, u32)>) {
        for place in 0..self.len() {
            let header = self.bucket(place).header();
            if header.is_moved() {
                continue;
            }
            self.for_each_word(place, header, |word| {
                let word = word.load(Ordering::Acquire);
                if !is_vacant(word) {
                    found.push(((word >> 32) as u32, slot_of(word)));
                }
            });
        }
        // SAFETY: a linked table lives as long as the one that links it.
        if let Some(next) = unsafe { self.next.load(Ordering::Acquire).as_ref() } {
            next.collect_words(found);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for link in &self.overflow {
            // Relaxed: `&mut self` orders this after every other access.
            let mut line = link.load(Ordering::Relaxed);
            while !line.is_null() {
                // SAFETY: lines come from Box::into_raw and are linked in one place only.
                let boxed = unsafe { Box::from_raw(line) };
                line = boxed.next.load(Ordering::Relaxed);
            }
        }
    }
}
