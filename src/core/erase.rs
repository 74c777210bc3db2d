//! Erasing: dropping removed values and recycling their slots, after a grace period.
//!
//! Order: collect what waits, let a grace period of our own pass, then drop. Each step is an
//! exchange, so any number of threads may erase at once, and one that is suspended in a user's
//! `Drop` holds back nothing but that one value.

use super::Core;
use crate::reclaim::{grace_period, pin};
use crate::slab::{Ext, Flag, Inline, State};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// Slots that are erased after one grace period.
const BATCH: usize = 4096;

/// What an erasing run did.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reclaimed {
    /// Values dropped.
    pub(crate) count: u64,
    /// Something still waits: readers are pinned, or the run was told to stop.
    pub(crate) more: bool,
}

/// A slot as it was collected: nothing is erased unless it still is like that.
#[derive(Clone, Copy)]
struct Note {
    slot: u32,
    state: State,
}

/// What became of a note.
enum Erased {
    /// This thread erased the slot.
    Here,
    /// Another thread did or does, or its entry died since and waits anew.
    Elsewhere,
    /// Another thread is dropping a part of it: the rest waits.
    Later,
}

impl<K, V, S> Core<K, V, S> {
    /// Drops what waits in the limbo, as long as `proceed` says so. The caller is not pinned.
    pub(crate) fn reclaim(&self, proceed: &mut dyn FnMut() -> bool) -> Reclaimed {
        let mut done = Reclaimed::default();
        let (mut from, mut found) = (0, Vec::new());
        loop {
            found.clear();
            let retired = self.terms.take_retired();
            let further = self.limbo.collect(&mut from, BATCH, &mut found);
            let notes = self.note(&found);
            if (!notes.is_empty() || !retired.is_empty()) && !grace_period() {
                // Nothing is lost: the bits still stand.
                for id in retired {
                    self.terms.retire(id);
                }
                done.more = true;
                return done;
            }
            for id in retired {
                self.terms.release(id);
            }
            for note in notes {
                if !proceed() {
                    done.more = true;
                    return done;
                }
                match self.erase(note) {
                    Erased::Here => done.count += 1,
                    Erased::Elsewhere => {}
                    Erased::Later => done.more = true,
                }
            }
            if !further {
                return done;
            }
        }
    }

    /// Reads what the slots hold. A bit without cause is cleared.
    fn note(&self, found: &[u32]) -> Vec<Note> {
        let _pin = pin();
        let noted = |&slot: &u32| {
            // Acquire: sees what the word speaks of.
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            if self.is_waiting(slot, state) {
                return Some(Note { slot, state });
            }
            if !state.is(Flag::Erasing) {
                self.limbo.clear(slot, || self.still_waits(slot));
            }
            None
        };
        found.iter().filter_map(noted).collect()
    }

    fn is_waiting(&self, slot: u32, state: State) -> bool {
        match state.flag() {
            Flag::Dead | Flag::Shed => true,
            Flag::Live => Ext(self.slab.slot(slot).ext.load(Ordering::Acquire)).has_stale_inline(),
            Flag::Free | Flag::Reserved | Flag::Value | Flag::Erasing => false,
        }
    }

    fn still_waits(&self, slot: u32) -> bool {
        self.is_waiting(slot, State(self.slab.state(slot).load(Ordering::Acquire)))
    }

    /// Erases what a note speaks of, a grace period later.
    fn erase(&self, note: Note) -> Erased {
        match note.state.flag() {
            Flag::Live => self.erase_replaced(note),
            _ => self.erase_removed(note),
        }
    }

    /// Drops the first value of an entry that lives on with another one.
    fn erase_replaced(&self, note: Note) -> Erased {
        let place = self.slab.slot(note.slot);
        {
            // Pinned: an entry seen live now cannot be recycled before we mark it.
            let _pin = pin();
            let state = State(place.state.load(Ordering::Acquire));
            if !state.is(Flag::Live) || state.generation() != note.state.generation() {
                // Removed since: it is erased as a whole later.
                return Erased::Elsewhere;
            }
            let mark =
                |ext| Ext(ext).has_stale_inline().then(|| Ext(ext).with_inline(Inline::Erasing).0);
            // AcqRel: the winner alone drops the value; who recycles the slot sees the mark.
            if place.ext.fetch_update(Ordering::AcqRel, Ordering::Acquire, mark).is_err() {
                return Erased::Elsewhere;
            }
        }
        // SAFETY: replaced before the grace period began, so nobody can reach it, and the mark
        // keeps the slot from being recycled; this thread won the mark.
        self.run_user_drop(|| unsafe { self.slab.drop_value(note.slot) });
        let erased = |ext| Some(Ext(ext).with_inline(Inline::Erased).0);
        // Release: the value is gone before the slot may be recycled.
        let _ = place.ext.fetch_update(Ordering::AcqRel, Ordering::Relaxed, erased);
        self.limbo.clear(note.slot, || self.still_waits(note.slot));
        Erased::Here
    }

    /// Drops what a removed slot holds and recycles it.
    fn erase_removed(&self, note: Note) -> Erased {
        let place = self.slab.slot(note.slot);
        let erasing = note.state.with_flag(Flag::Erasing).0;
        // AcqRel: the winner alone erases; it sees all that was done to the slot.
        let order = Ordering::AcqRel;
        if place.state.compare_exchange(note.state.0, erasing, order, Ordering::Relaxed).is_err() {
            return Erased::Elsewhere;
        }
        let ext = Ext(place.ext.load(Ordering::Acquire));
        if ext.inline() == Inline::Erasing {
            // A thread is still dropping the replaced value: put the slot back for a later run.
            // That thread may have cleared the bit while the slot did not look dead.
            place.state.store(note.state.0, Ordering::Release);
            self.limbo.add(note.slot);
            return Erased::Later;
        }
        self.drop_content(note, ext);
        // Relaxed: the slot is ours; the free list publishes it.
        place.ext.store(0, Ordering::Relaxed);
        self.limbo.clear(note.slot, || false);
        self.slab.release(note.slot);
        Erased::Here
    }

    /// Drops values and key of an erasing slot.
    fn drop_content(&self, note: Note, ext: Ext) {
        if ext.inline() == Inline::Intact {
            // SAFETY: unreachable since the grace period, and this thread made it `Erasing`.
            self.run_user_drop(|| unsafe { self.slab.drop_value(note.slot) });
        }
        let holder = ext.value_slot();
        if holder != 0 {
            // SAFETY: the present value of an unreachable entry is unreachable too, and belongs
            // to whoever erases the entry.
            self.run_user_drop(|| unsafe { self.slab.drop_value(holder) });
            self.slab.release(holder);
        }
        if note.state.is(Flag::Dead) {
            // SAFETY: as for the value; only `Shed` slots have no key.
            self.run_user_drop(|| unsafe { self.slab.drop_key(note.slot) });
        }
        if ext.terms() != 0 {
            self.terms.release(ext.terms());
        }
    }

    /// Runs a user's `Drop`. A panic is counted and goes no further: the next value's turn comes.
    pub(super) fn run_user_drop(&self, drop: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(drop)) {
            self.ledger.panicked();
            // The payload's own drop may panic as well; what that leaves is leaked.
            let again = catch_unwind(AssertUnwindSafe(|| std::mem::drop(payload)));
            again.unwrap_or_else(std::mem::forget);
        }
    }

    /// Drops everything, when no handle of the cache is left. Values need no grace period then:
    /// only handles can read them.
    pub(crate) fn shut_down(&self) {
        self.clear(crate::stats::RemovalCause::Dropped);
        let (mut from, mut found) = (0, Vec::new());
        loop {
            found.clear();
            let further = self.limbo.collect(&mut from, BATCH, &mut found);
            for note in self.note(&found) {
                self.erase(note);
            }
            if !further {
                return;
            }
        }
    }
}

impl<K, V, S> Drop for Core<K, V, S> {
    fn drop(&mut self) {
        // Whatever the last handle left: what a sweeper was erasing meanwhile.
        if self.len() > 0 || self.limbo.waiting() > 0 {
            self.shut_down();
        }
    }
}
