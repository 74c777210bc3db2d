//! Free slots: striped stacks linked through the slots' own state words, over a bump counter.

use super::state::{Flag, State};
use crate::retries::{Retry, retried};
use crate::segments::{CHUNK, GROUP};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Step, TINY, broken, model_fence};
use crossbeam_utils::CachePadded;
use std::ops::Range;

/// Stacks, so that threads that insert different keys meet seldom.
const STRIPES: usize = if TINY { 1 } else { 16 };

const _: () = assert!(STRIPES <= 32, "a bit for each");

/// End of a list. Also the id that no slot ever has: index words 0 and 1 mean "no slot".
const NONE: u32 = 0;
/// No id is below this: see [`Geometry::ids`](crate::segments::Geometry::ids).
pub(crate) const FIRST_ID: u32 = CHUNK;

/// The number of the change that follows `head`.
fn next_version(head: u64) -> u64 {
    if broken(Step::StackVersion) { head >> 32 } else { (head >> 32).wrapping_add(1) }
}

/// The free list of a slab: hands out the ids of a range, and takes them back.
///
/// Invariant: an id is in at most one stack, and only while its state is `Free`.
pub(crate) struct FreeList {
    /// One bit for each stack that may hold something. At rest it is clear only if the stack is
    /// empty.
    filled: CachePadded<AtomicU32>,
    /// Set to `{ version: 32, top: 32 }`. The version makes a late pop of a reused top fail.
    tops: [CachePadded<AtomicU64>; STRIPES],
    /// The next id that was never used.
    fresh: CachePadded<AtomicU32>,
    /// The ids that may be handed out.
    ids: Range<u32>,
}

impl FreeList {
    pub(crate) fn new(ids: Range<u32>) -> Self {
        debug_assert!(FIRST_ID <= ids.start && ids.start <= ids.end);
        FreeList {
            filled: CachePadded::new(AtomicU32::new(0)),
            tops: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(u64::from(NONE)))),
            fresh: CachePadded::new(AtomicU32::new(ids.start)),
            ids,
        }
    }

    /// Ids below this may have been handed out.
    pub(crate) fn high_water(&self) -> u32 {
        // Acquire: pairs with `pop_fresh`, so that the ids below are known to be taken.
        self.fresh.load(Ordering::Acquire)
    }

    /// Ids from the first one on that may have been handed out.
    pub(crate) fn taken(&self) -> Range<u32> {
        self.ids.start..self.high_water()
    }

    /// Takes a free id, for a caller that owns it from now on. `None`: all ids are in use.
    pub(crate) fn pop<'a>(&self, hint: u32, state: impl Fn(u32) -> &'a AtomicU64) -> Option<u32> {
        let home = hint % STRIPES as u32;
        loop {
            // SeqCst: see `empty`.
            let filled = self.filled.load(Ordering::SeqCst);
            if filled == 0 {
                // Looking at every stack is for the end: a bit may be clear for a moment.
                let any = || (0..STRIPES).find_map(|stripe| self.pop_stripe(stripe, &state));
                return self.pop_fresh().or_else(any);
            }
            // The thread's own stack, or the next one.
            let stripe = (home + filled.rotate_right(home).trailing_zeros()) % 32;
            if let Some(id) = self.pop_stripe(stripe as usize, &state) {
                return Some(id);
            }
            self.empty(stripe as usize);
        }
    }

    /// Clears the bit of a stack that was found empty.
    #[cold]
    fn empty(&self, stripe: usize) {
        // SeqCst: a store-load pair with `push`: "clear the bit, load the top" against "change the
        // top, load the bit".
        self.filled.fetch_and(!(1 << stripe), Ordering::SeqCst);
        model_fence();
        let is_empty = self.tops[stripe].load(Ordering::SeqCst) as u32 == NONE;
        if !is_empty && !broken(Step::StackLooksAgain) {
            self.filled.fetch_or(1 << stripe, Ordering::SeqCst);
        }
    }

    fn pop_stripe<'a>(&self, stripe: usize, state: &impl Fn(u32) -> &'a AtomicU64) -> Option<u32> {
        let top = &self.tops[stripe];
        // Acquire: sees the link that `push` wrote.
        let mut head = top.load(Ordering::Acquire);
        loop {
            let id = head as u32;
            if id == NONE {
                return None;
            }
            // Relaxed: ordered by the load of `head`. If somebody popped `id` meanwhile, this is
            // not a link, but then the version moved on and the exchange below fails.
            let next = State(state(id).load(Ordering::Relaxed)).tick() as u32;
            let popped = (next_version(head) << 32) | u64::from(next);
            // AcqRel: Release keeps the chain of pushes visible to the next popper, Acquire takes
            // over the slot from the thread that pushed it.
            match top.compare_exchange_weak(head, popped, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(id),
                Err(now) => head = now,
            }
            retried(Retry::FreeList);
        }
    }

    fn pop_fresh(&self) -> Option<u32> {
        // Release: pairs with `high_water`. An exchange, not an add, so it never passes the limit.
        let step = |id: u32| (id < self.ids.end).then(|| id + 1);
        self.fresh.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step).ok()
    }

    /// Gives ids back, which are not empty. The caller owns them; they are unreachable.
    pub(crate) fn push<'a>(&self, ids: &[u32], state: impl Fn(u32) -> &'a AtomicU64) {
        // Relaxed: the slot is the caller's, and published by the exchange below.
        let link = |id: u32, next: u32| {
            let word = state(id);
            let generation = State(word.load(Ordering::Relaxed)).generation();
            let free = State::new(u64::from(next), generation, Flag::Free);
            word.store(free.0, Ordering::Relaxed);
        };
        let (first, last) = (ids[0], ids[ids.len() - 1]);
        for pair in ids.windows(2) {
            link(pair[0], pair[1]);
        }
        let stripe = (first / GROUP) as usize % STRIPES;
        let top = &self.tops[stripe];
        // Relaxed: only a hint for the first exchange.
        let mut head = top.load(Ordering::Relaxed);
        loop {
            link(last, head as u32);
            let pushed = (next_version(head) << 32) | u64::from(first);
            // Release: hands the slots and their links to `pop_stripe`. SeqCst: see `empty`.
            match top.compare_exchange_weak(head, pushed, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
            retried(Retry::FreeList);
        }
        model_fence();
        // SeqCst: see `empty`.
        if self.filled.load(Ordering::SeqCst) & (1 << stripe) == 0 {
            self.filled.fetch_or(1 << stripe, Ordering::SeqCst);
        }
    }

    /// Whether every stack that holds something has its bit. At rest only.
    pub(crate) fn is_consistent(&self) -> bool {
        let filled = self.filled.load(Ordering::Acquire);
        let mut tops = self.tops.iter().enumerate();
        tops.all(|(at, top)| filled & (1 << at) != 0 || top.load(Ordering::Acquire) as u32 == NONE)
    }

    /// Ids on the stacks, for validation at rest.
    pub(crate) fn listed<'a>(&self, state: impl Fn(u32) -> &'a AtomicU64) -> Vec<u32> {
        let mut ids = Vec::new();
        for top in &self.tops {
            let mut id = top.load(Ordering::Acquire) as u32;
            while id != NONE {
                ids.push(id);
                id = State(state(id).load(Ordering::Acquire)).tick() as u32;
            }
        }
        ids
    }
}
