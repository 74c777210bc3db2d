//! A load as removers see it: without locks.
//!
//! A value that was loaded for a key must not appear after that key was removed. The loader and a
//! remover settle it by two words:
//!
//! - The loader, before each attempt to publish, *announces* the slot in which the value lies,
//!   which is reserved; then it looks whether the load was cancelled.
//! - The remover cancels the load, then looks for an announced slot and turns it dead if it is
//!   still reserved; only then does it look for the key, as for any removal.
//!
//! So if the loader did not see the cancellation, the remover sees the slot. Either it kills it,
//! and the insert does not happen, or the slot is live already, and the remover finds it in the
//! index.

use crate::link::Incarnation;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Step, broken, model_fence};

/// One load.
pub(crate) struct Cell {
    /// ```text
    /// | hash : 32 | number of the load in this cell : 30 | cancelled | busy |
    /// ```
    word: AtomicU64,
    /// The announced slot as [`Incarnation::word`], or 0.
    announced: AtomicU64,
    /// The thread that loads, if it may come back for the same key; or 0.
    owner: AtomicU64,
    /// Written before the cell is listed.
    next: AtomicPtr<Cell>,
}

const BUSY: u64 = 1;
const CANCELLED: u64 = 2;
const ONE: u64 = 4;
const NUMBER: u64 = (!(BUSY | CANCELLED) as u32) as u64;

impl Cell {
    /// A cell that is not in use, before `next`.
    pub(super) fn new(next: *mut Cell) -> Self {
        Cell {
            word: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            owner: AtomicU64::new(0),
            next: AtomicPtr::new(next),
        }
    }

    pub(super) fn next(&self) -> *mut Cell {
        // Relaxed: published with the cell.
        self.next.load(Ordering::Relaxed)
    }

    /// Whether a load of a key with this hash is under way.
    pub(super) fn is_of(&self, hash: u32) -> bool {
        self.is_busy() && (self.word.load(Ordering::Relaxed) >> 32) as u32 == hash
    }

    pub(super) fn is_busy(&self) -> bool {
        // Relaxed, as above: asked under the lock under which loads begin and end.
        self.word.load(Ordering::Relaxed) & BUSY != 0
    }

    pub(super) fn owner(&self) -> u64 {
        // Relaxed: as above.
        self.owner.load(Ordering::Relaxed)
    }

    /// Begins a load in a cell that is not in use.
    pub(super) fn open(&self, hash: u32, owner: u64) {
        // Relaxed, here and below: as above.
        self.owner.store(owner, Ordering::Relaxed);
        let before = self.word.load(Ordering::Relaxed) & NUMBER;
        let number = before.wrapping_add(ONE) & NUMBER;
        // SeqCst: a remover that comes later sees the load. An exchange, here and in `close`, so
        // that one that cancels cannot succeed on what was there before.
        self.word.swap((u64::from(hash) << 32) | number | BUSY, Ordering::SeqCst);
        model_fence();
    }

    /// Ends it.
    pub(super) fn close(&self) {
        // Release: a remover that sees the slot no more sees what became of it.
        self.announced.store(0, Ordering::Release);
        // Release: after the slot was withdrawn.
        self.word.fetch_and(NUMBER, Ordering::AcqRel);
    }

    /// Announces the slot in which the value is about to be published. `false`: the load was
    /// cancelled. The announcement stands until the next one, or the end of the load; once the slot
    /// is no longer reserved it means nothing.
    pub(crate) fn announce(&self, entry: Incarnation) -> bool {
        // SeqCst: the loader's half of the store-load pair with `cancel`.
        self.announced.store(entry.word(), Ordering::SeqCst);
        model_fence();
        self.word.load(Ordering::SeqCst) & CANCELLED == 0 || broken(Step::LoaderLooksForCancel)
    }

    /// Whether the load was cancelled already; a hint.
    pub(crate) fn was_cancelled(&self) -> bool {
        // Relaxed: nothing follows from it but that the loader gives up.
        self.word.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Cancels the load that is under way, if `is_meant` holds for its hash, and hands the slot
    /// that it has announced to `kill`.
    pub(super) fn cancel(&self, is_meant: impl Fn(u32) -> bool, kill: impl Fn(Incarnation)) {
        // Acquire: of a load that has ended, sees its entry in the index.
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            if word & BUSY == 0 || !is_meant((word >> 32) as u32) {
                return;
            }
            // SeqCst: the remover's half of the pair.
            let order = Ordering::SeqCst;
            match self.word.compare_exchange(word, word | CANCELLED, order, order) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        model_fence();
        let announced = self.announced.load(Ordering::SeqCst);
        // If the load has ended since, the slot may be another one's.
        let now = self.word.load(Ordering::SeqCst);
        let is_same = now == word | CANCELLED || broken(Step::RemoverKnowsLoad);
        if announced != 0 && is_same && !broken(Step::RemoverKillsAnnounced) {
            kill(Incarnation::of_word(announced));
        }
    }
}
