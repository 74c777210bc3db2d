//! Fake slots: the real state words, keys in race-detecting cells, and a grace period by hand.

use crate::index::Entries;
use crate::slab::{FIRST_ID, Flag, FreeList, State};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Step, broken};
use loom::cell::UnsafeCell;

/// One life of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

pub(super) struct Slot {
    state: AtomicU64,
    key: UnsafeCell<u32>,
}

/// What a recycled slot holds until it gets a key again.
const GONE: u32 = 0;

pub(super) struct Slots {
    slots: Box<[Slot]>,
    /// Whether a thread is pinned.
    pins: Box<[AtomicUsize]>,
    /// Free slots, in scenarios where threads share them.
    pub(super) shared: Option<FreeList>,
}

// SAFETY: the cells report every unordered access by themselves.
unsafe impl Sync for Slots {}

impl Slots {
    pub(super) fn new(count: u32, threads: usize, shared: bool) -> Self {
        let slot = |_| Slot {
            state: AtomicU64::new(State::new(0, 0, Flag::Free).0),
            key: UnsafeCell::new(GONE),
        };
        Slots {
            slots: (0..count).map(slot).collect(),
            pins: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            shared: shared.then(|| FreeList::new(FIRST_ID..FIRST_ID + count)),
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        FIRST_ID..FIRST_ID + self.slots.len() as u32
    }

    pub(super) fn load(&self, id: u32) -> State {
        // Acquire: as the core reads it.
        State(self.slot(id).state.load(Ordering::Acquire))
    }

    /// The key of a slot that the index names, or that the caller owns.
    pub(super) fn key(&self, id: u32) -> u32 {
        // SAFETY: a copy; loom reports a race.
        self.slot(id).key.with(|key| unsafe { *key })
    }

    fn set_key(&self, id: u32, to: u32) {
        // SAFETY: the caller owns the slot; loom reports a race if it does not.
        self.slot(id).key.with_mut(|key| unsafe { *key = to });
    }

    /// Turns a free slot, which the caller owns, into a reserved one with a key.
    pub(super) fn reserve(&self, id: u32, key: u32) -> Life {
        let state = &self.slot(id).state;
        // Relaxed: the slot is ours.
        let generation = State(state.load(Ordering::Relaxed)).generation() + 1;
        // Release: as in the core.
        state.store(State::new(0, generation, Flag::Reserved).0, Ordering::Release);
        self.set_key(id, key);
        Life { slot: id, generation }
    }

    /// Turns a live slot dead. `false`: its state word changed meanwhile.
    pub(super) fn kill(&self, id: u32, live: State) -> bool {
        let dead = live.with_flag(Flag::Dead);
        // SeqCst: as in the core.
        let order = Ordering::SeqCst;
        self.slot(id).state.compare_exchange(live.0, dead.0, order, Ordering::Acquire).is_ok()
    }

    /// Turns a reserved slot dead.
    pub(super) fn stop(&self, id: u32) {
        let state = self.load(id);
        if state.is(Flag::Reserved) {
            // SeqCst: as in the core.
            let (word, order) = (&self.slot(id).state, Ordering::SeqCst);
            let _ = word.compare_exchange(state.0, state.stopped().0, order, Ordering::Acquire);
        }
    }

    /// Announces the pin of a thread.
    pub(super) fn pin(&self, thread: usize) {
        self.pins[thread].store(1, Ordering::Relaxed);
        // Pairs with `grace`, as in an epoch: it sees the pin, or the thread sees what it retired.
        fence(Ordering::SeqCst);
    }

    pub(super) fn unpin(&self, thread: usize) {
        // Release: pairs with `grace`; the accesses under the pin come before the reuse.
        self.pins[thread].store(0, Ordering::Release);
    }

    /// Whether all other threads are seen unpinned after now.
    pub(super) fn grace(&self, thread: usize) -> bool {
        if broken(Step::Grace) {
            return true;
        }
        fence(Ordering::SeqCst);
        let others = self.pins.iter().enumerate().filter(|&(other, _)| other != thread);
        // Acquire: pairs with `unpin`.
        others.map(|(_, pin)| pin.load(Ordering::Acquire)).all(|pinned| pinned == 0)
    }

    /// Frees a slot that the caller owns, and that nobody can reach.
    pub(super) fn free(&self, id: u32) {
        self.set_key(id, GONE);
        let state = &self.slot(id).state;
        // Relaxed: the slot is ours.
        let generation = State(state.load(Ordering::Relaxed)).generation();
        state.store(State::new(0, generation, Flag::Free).0, Ordering::Relaxed);
        if let Some(shared) = &self.shared {
            shared.push(&[id], |id| self.state(id));
        }
    }

    /// Takes a free slot from the shared list.
    pub(super) fn pop(&self, shared: &FreeList) -> u32 {
        shared.pop(0, |id| self.state(id)).expect("a scenario has slots enough")
    }
}

impl Entries for Slots {
    type Slot = Slot;

    fn slot(&self, id: u32) -> &Slot {
        &self.slots[(id - FIRST_ID) as usize]
    }

    fn state_of(slot: &Slot) -> &AtomicU64 {
        &slot.state
    }
}
