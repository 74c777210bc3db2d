//! Who is pinned: one record per thread, which only that thread writes.
//!
//! A pin raises the depth of the record's turn; the end of the last one on the stack begins another
//! turn. A grace period notes the turns that are pinned and waits until each is over; there are no
//! epochs to advance. This is the
//! reader side of user-space RCU: Desnoyers, McKenney, Stern, Dagenais and Walpole, "User-Level
//! Implementations of Read-Copy Update" (IEEE TPDS 23(2), 2012).
//!
//! # Why it works
//! A pin is "store depth, barrier, then read the structure"; a grace period is "take out of the
//! structure, barrier, then read the turns". So either the grace period sees the pinned turn and
//! waits, or the reader does not see what was taken out. The reader's barrier is a compiler fence
//! where the operating system lets the other side make all threads pass one ([`super::barrier`]).

use super::barrier;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Step, broken};
use crossbeam_utils::CachePadded;
use std::cell::Cell;

/// The records of all threads that ever pinned. They are reused, never freed before this is.
pub(crate) struct Readers {
    first: AtomicPtr<CachePadded<Reader>>,
}

/// One thread's record.
pub(crate) struct Reader {
    /// Written by the thread alone: two instructions a pin.
    ///
    /// ```text
    /// | turn : 32 | pins on the thread's stack : 32 |
    /// ```
    turn: AtomicU64,
    /// To be given back when the last pin ends. The thread's alone.
    temporary: Cell<bool>,
    /// Whether a thread has it.
    taken: AtomicBool,
    /// Constant once it is in the list.
    next: *mut CachePadded<Reader>,
    /// How many records come after it in the list. Constant likewise.
    number: u32,
}

// SAFETY: other threads use the atomics only. The cells belong to the thread that has taken the
// record, which hands them on with `taken`.
unsafe impl Sync for Reader {}

/// A turn that was pinned when a grace period began.
pub(crate) struct Turn<'a>(&'a Reader, u64);

impl Readers {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new() -> Self {
        Readers { first: AtomicPtr::new(std::ptr::null_mut()) }
    }

    #[cfg(any(loom, shuttle))]
    pub(crate) fn new() -> Self {
        Readers { first: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// A record for the calling thread, which has to give it back.
    pub(crate) fn register(&self) -> &Reader {
        // Relaxed on failure: it is somebody's.
        let (order, lost) = (Ordering::Acquire, Ordering::Relaxed);
        // Acquire: takes over the cells from the thread that gave it back.
        let take = |reader: &Reader| {
            !reader.taken.load(Ordering::Relaxed)
                && reader.taken.compare_exchange(false, true, order, lost).is_ok()
        };
        if let Some(reader) = self.all().find(|reader| take(reader)) {
            return reader;
        }
        let mut fresh = Box::new(CachePadded::new(Reader {
            turn: AtomicU64::new(0),
            temporary: Cell::new(false),
            taken: AtomicBool::new(true),
            // Acquire: as in `all`.
            next: self.first.load(Ordering::Acquire),
            number: 0,
        }));
        loop {
            // SAFETY: null, or a record, which lives as long as `self`.
            let after = unsafe { fresh.next.as_ref() };
            fresh.number = after.map_or(0, |reader| reader.number + 1);
            let (next, reader) = (fresh.next, Box::into_raw(fresh));
            // Release: publishes the record to `all`.
            match self.first.compare_exchange(next, reader, Ordering::Release, Ordering::Acquire) {
                // SAFETY: records live as long as `self`.
                Ok(_) => return unsafe { &*reader },
                Err(now) => {
                    // SAFETY: not published, so it is still ours.
                    fresh = unsafe { Box::from_raw(reader) };
                    fresh.next = now;
                }
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Reader> {
        // Acquire: sees the records, those behind the first one through the exchanges of this word.
        let mut next = self.first.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: null, or a record, which lives as long as `self`.
            let reader: &Reader = unsafe { next.as_ref() }?;
            next = reader.next;
            Some(reader)
        })
    }

    /// The turns that are pinned now. What was taken out before the call is visible to every pin
    /// that is not among them.
    pub(crate) fn pinned(&self) -> Vec<Turn<'_>> {
        // The grace period's half of the pair in the module's documentation.
        barrier::heavy();
        // Acquire: what a reader did before its last unpin happened before what we erase.
        let turns = self.all().map(|reader| Turn(reader, reader.turn.load(Ordering::Acquire)));
        turns.filter(|turn| depth(turn.1) > 0).collect()
    }
}

impl Turn<'_> {
    /// Whether the pin has ended. Turns come back after 2^32 pins, which only makes it wait more.
    pub(crate) fn is_over(&self) -> bool {
        // Acquire: as in `pinned`.
        self.0.turn.load(Ordering::Acquire) / NEXT_TURN != self.1 / NEXT_TURN
    }

    /// Whether it is a turn of this record.
    pub(crate) fn is_of(&self, reader: &Reader) -> bool {
        std::ptr::eq(self.0, reader)
    }
}

const NEXT_TURN: u64 = 1 << 32;

/// The pins that a turn has at the time.
#[inline(always)]
fn depth(turn: u64) -> u32 {
    turn as u32
}

impl Reader {
    /// Pins the thread that has taken the record, at most 2^32 times at once.
    #[inline(always)]
    pub(crate) fn enter(&self) {
        // Relaxed: nobody else writes it.
        let turn = self.turn.load(Ordering::Relaxed);
        // Release: who finds a noted turn over by this one has to see the end of the pin before.
        // The barrier orders it before what is read next.
        self.turn.store(turn + 1, Ordering::Release);
        if !broken(Step::PinBarrier) {
            barrier::light();
        }
    }

    /// Ends a pin.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Relaxed: nobody else writes it.
        let turn = self.turn.load(Ordering::Relaxed) - 1;
        if depth(turn) > 0 {
            self.turn.store(turn, Ordering::Release);
        } else {
            // Release: what was read under the pin happened before; pairs with `pinned`, `is_over`.
            self.turn.store(turn.wrapping_add(NEXT_TURN), Ordering::Release);
            if self.temporary.get() {
                self.temporary.set(false);
                self.give_back();
            }
        }
    }

    /// Gives the record back. A thread that ends under a pin which it has leaked keeps it for ever.
    #[cold]
    pub(crate) fn give_back(&self) {
        // Relaxed: nobody else writes it.
        if depth(self.turn.load(Ordering::Relaxed)) == 0 {
            // Release: hands the cells to `register`.
            self.taken.store(false, Ordering::Release);
        }
    }

    /// Makes the end of the last pin give the record back.
    pub(crate) fn set_temporary(&self) {
        self.temporary.set(true);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // Relaxed: `&mut self` orders this after every other access.
        let mut next = self.first.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: records come from Box::into_raw and are in one list only.
            let reader = unsafe { Box::from_raw(next) };
            next = reader.next;
        }
    }
}
