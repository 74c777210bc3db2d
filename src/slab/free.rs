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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// As many as one group of each stripe has.
    const COUNT: u32 = GROUP * STRIPES as u32;

    /// A list, and the state words of its slots.
    struct World {
        list: FreeList,
        states: Vec<AtomicU64>,
    }

    impl World {
        fn new() -> Self {
            let states = (0..FIRST_ID + COUNT).map(|_| AtomicU64::new(0)).collect();
            World { list: FreeList::new(FIRST_ID..FIRST_ID + COUNT), states }
        }

        fn pop(&self, hint: u32) -> Option<u32> {
            self.list.pop(hint, |id| &self.states[id as usize])
        }

        fn push(&self, ids: &[u32]) {
            self.list.push(ids, |id| &self.states[id as usize]);
        }

        fn listed(&self) -> Vec<u32> {
            self.list.listed(|id| &self.states[id as usize])
        }
    }

    /// The first slot of a group, all of whose ids go to the stack of that number.
    fn in_stripe(stripe: u32) -> u32 {
        assert_eq!(FIRST_ID / GROUP % STRIPES as u32, 0);
        FIRST_ID + stripe * GROUP
    }

    #[test]
    fn ids_are_handed_out_once_and_then_again_when_they_came_back() {
        let world = World::new();
        let ids: Vec<u32> = (0..COUNT).map(|_| world.pop(0).expect("one is free")).collect();
        assert_eq!(ids, (FIRST_ID..FIRST_ID + COUNT).collect::<Vec<_>>());
        assert_eq!((world.pop(0), world.list.taken()), (None, FIRST_ID..FIRST_ID + COUNT));
        for batch in ids.chunks(100) {
            world.push(batch);
        }
        assert_eq!(world.listed().len(), ids.len());
        let mut again: Vec<u32> = (0..COUNT).map(|hint| world.pop(hint).expect("free")).collect();
        again.sort_unstable();
        assert_eq!((again, world.pop(0)), (ids, None));
    }

    #[test]
    fn what_came_back_is_taken_before_what_is_new_and_from_the_own_stack_first() {
        let world = World::new();
        for stripe in [3, 7, 15] {
            world.push(&[in_stripe(stripe), in_stripe(stripe) + GROUP - 1]);
        }
        assert!(world.list.is_consistent());
        let taken = [7, 7 + 16, 7, 15, 0, 0].map(|hint| world.pop(hint));
        // The own one, as long as it has any, then the next.
        let expected = [(7, 0), (7, GROUP - 1), (15, 0), (15, GROUP - 1), (3, 0), (3, GROUP - 1)];
        assert_eq!(taken, expected.map(|(stripe, offset)| Some(in_stripe(stripe) + offset)));
        assert_eq!(world.pop(3), Some(FIRST_ID), "a new one");
        assert!(world.list.is_consistent());
    }

    #[test]
    fn a_stack_without_its_bit_is_noticed_and_used_when_all_else_is_gone() {
        let world = World::new();
        while world.pop(0).is_some() {}
        world.push(&[in_stripe(5)]);
        world.list.filled.store(1 << 4, Ordering::Relaxed);
        assert!(!world.list.is_consistent());
        assert_eq!(world.pop(5), Some(in_stripe(5)));
        let filled = || world.list.filled.load(Ordering::Relaxed);
        assert_eq!(filled(), 0, "an empty stack has no bit");
        world.push(&[in_stripe(5)]);
        world.list.empty(5);
        assert_eq!(filled(), 1 << 5, "by one who found it empty before");
    }

    #[test]
    fn every_change_of_a_stack_has_the_next_number() {
        let world = World::new();
        let head = || world.list.tops[5].load(Ordering::Relaxed);
        let id = in_stripe(5);
        for round in 0..3 {
            world.push(&[id, id + 1]);
            assert_eq!(head(), (3 * round + 1) << 32 | u64::from(id));
            assert_eq!([5, 5].map(|hint| world.pop(hint)), [Some(id), Some(id + 1)]);
            assert_eq!(head(), (3 * round + 3) << 32);
        }
        for version in [0, 7, u64::from(u32::MAX) - 1] {
            assert_eq!(next_version((version << 32) | 99), version + 1);
        }
        assert_eq!(next_version(u64::MAX) << 32, 0, "it comes round");
    }
}
