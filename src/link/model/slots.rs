//! Fake slots: real state words, ties, and keys in race-detecting cells.

use crate::index::Entries;
use crate::link::{Incarnation, Tie};
use crate::slab::{FIRST_ID, Flag, State};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Step, broken};
use loom::cell::UnsafeCell;

pub(super) struct Slot {
    state: AtomicU64,
    tie: AtomicU64,
    key: UnsafeCell<u32>,
}

/// What a recycled slot holds until it gets a key again.
const GONE: u32 = 0;

/// The slots of one cache.
pub(super) struct Slots(Box<[Slot]>);

// SAFETY: the cells report every unordered access by themselves.
unsafe impl Sync for Slots {}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let slot = |_| Slot {
            state: AtomicU64::new(State::new(0, 0, Flag::Free).0),
            tie: AtomicU64::new(Tie::NONE.0),
            key: UnsafeCell::new(GONE),
        };
        Slots((0..count).map(slot).collect())
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        FIRST_ID..FIRST_ID + self.0.len() as u32
    }

    pub(super) fn load(&self, id: u32) -> State {
        // Acquire: as the core reads it.
        State(self.state(id).load(Ordering::Acquire))
    }

    /// Exchanges a state word. `false`: it had changed.
    pub(super) fn exchange(&self, id: u32, from: State, to: State) -> bool {
        // SeqCst: as in the core, for claims.
        let order = Ordering::SeqCst;
        self.state(id).compare_exchange(from.0, to.0, order, Ordering::Acquire).is_ok()
    }

    pub(super) fn tie(&self, id: u32) -> Tie {
        // Relaxed: as the core reads it.
        Tie(self.slot(id).tie.load(Ordering::Relaxed))
    }

    /// Takes a free slot, of which the caller is the owner then. `None`: all are in use.
    pub(super) fn take(&self) -> Option<u32> {
        // Any owner's mark will do.
        let own = |state: State| state.with_flag(Flag::Erasing);
        self.ids().find(|&id| {
            let state = self.load(id);
            state.is(Flag::Free) && self.exchange(id, state, own(state))
        })
    }

    /// Turns a slot, which the caller owns, into a reserved one.
    pub(super) fn reserve(&self, id: u32, tie: Tie) -> Incarnation {
        // Relaxed, here and below: as in the core.
        self.slot(id).tie.store(tie.0, Ordering::Relaxed);
        let generation = State(self.state(id).load(Ordering::Relaxed)).generation() + 1;
        self.store(id, State::new(0, generation, Flag::Reserved));
        Incarnation { slot: id, generation }
    }

    /// Changes a state word that the caller owns.
    pub(super) fn store(&self, id: u32, state: State) {
        // Release: as in the core, and the free list's.
        self.state(id).store(state.0, Ordering::Release);
    }

    /// The key of a slot that the index names, or that the caller owns.
    pub(super) fn key(&self, id: u32) -> u32 {
        // SAFETY: a copy; loom reports a race.
        let key = self.slot(id).key.with(|key| unsafe { *key });
        assert_ne!(key, GONE, "a key was read that is gone");
        key
    }

    pub(super) fn set_key(&self, id: u32, to: u32) {
        // SAFETY: the caller owns the slot; loom reports a race if it does not.
        self.slot(id).key.with_mut(|key| unsafe { *key = to });
    }

    /// Drops what a slot holds that the caller is erasing. Returns whose child it was.
    pub(super) fn empty(&self, id: u32) -> Tie {
        self.set_key(id, GONE);
        let tie = self.tie(id);
        // Relaxed: as in the core.
        self.slot(id).tie.store(Tie::NONE.0, Ordering::Relaxed);
        tie
    }
}

impl Entries for Slots {
    type Slot = Slot;

    fn slot(&self, id: u32) -> &Slot {
        &self.0[(id - FIRST_ID) as usize]
    }

    fn state_of(slot: &Slot) -> &AtomicU64 {
        &slot.state
    }
}

/// Whether each thread is pinned: one epoch for all caches.
pub(super) struct Pins(Box<[AtomicUsize]>);

impl Pins {
    pub(super) fn new(threads: usize) -> Self {
        Pins((0..threads).map(|_| AtomicUsize::new(0)).collect())
    }

    pub(super) fn pin(&self, thread: usize) {
        self.0[thread].store(1, Ordering::Relaxed);
        // Pairs with `grace`, as in an epoch: it sees the pin, or the thread sees what it retired.
        fence(Ordering::SeqCst);
    }

    pub(super) fn unpin(&self, thread: usize) {
        // Release: pairs with `grace`; the accesses under the pin come before the reuse.
        self.0[thread].store(0, Ordering::Release);
    }

    /// Whether all other threads are seen unpinned after now.
    pub(super) fn grace(&self, thread: usize) -> bool {
        if broken(Step::Grace) {
            return true;
        }
        fence(Ordering::SeqCst);
        let others = self.0.iter().enumerate().filter(|&(other, _)| other != thread);
        // Acquire: pairs with `unpin`.
        others.map(|(_, pin)| pin.load(Ordering::Acquire)).all(|pinned| pinned == 0)
    }
}
