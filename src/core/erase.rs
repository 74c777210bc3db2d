//! Erasing: dropping removed values and recycling their slots, after a grace period.
//!
//! Each step is an exchange, so any number of threads may erase at once, and one that is suspended
//! in a user's `Drop` holds back that one value, and at most 63 slots beside it that are empty.

use super::Core;
use super::batch::Note;
use super::sweep::Allowance;
use crate::lag::LagTally;
use crate::listener::Listener;
use crate::reclaim::{Patience, pin};
use crate::segments::GROUP;
use crate::slab::{Ext, Flag, Inline, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Slots that are noted at once where no grace period is needed.
const BATCH: usize = 4096;
/// Grace periods after which a note is out of date. In each one a slot is recycled at most once,
/// so a generation of 20 bits does not come back before.
const STALE_AFTER: u64 = 1 << 19;

/// What became of a note.
pub(super) enum Erased {
    /// This thread erased the slot.
    Here,
    /// Another thread did or does, or its entry died since and waits anew.
    Elsewhere,
    /// Another thread is dropping a part of it: the rest waits.
    Later,
}

impl<K, V, S> Core<K, V, S> {
    /// Erases what the notes speak of, as long as `proceed` says so. Slots of one group are given
    /// back together. `false`: it ended early.
    pub(super) fn erase_all(
        &self,
        notes: &[Note],
        mut proceed: impl FnMut(Erased) -> bool,
    ) -> bool {
        let mut emptied = Vec::new();
        if notes.is_empty() {
            return true;
        }
        let (now, mut lags) = (self.now(), LagTally::default());
        let finished = notes.chunk_by(|a, b| a.slot / GROUP == b.slot / GROUP).all(|group| {
            let finished = group.iter().all(|note| {
                let became = self.erase(*note, &mut emptied);
                if matches!(became, Erased::Here) && !note.state.is(Flag::Live) {
                    // A dead word, and a shed one, has the tick of its end.
                    lags.note(now.saturating_sub(self.schedule.start_of(note.state.tick())));
                }
                proceed(became)
            });
            self.limbo.clear_group(&emptied);
            self.slab.release_all(&emptied);
            emptied.clear();
            finished
        });
        self.ledger.dropped(&lags);
        finished
    }

    pub(super) fn is_waiting(&self, slot: u32, state: State) -> bool {
        match state.flag() {
            Flag::Dead | Flag::Shed => true,
            Flag::Live => self.ext(slot, state).has_stale_inline(),
            Flag::Free | Flag::Reserved | Flag::Value | Flag::Erasing => false,
        }
    }

    pub(super) fn still_waits(&self, slot: u32) -> bool {
        self.is_waiting(slot, State(self.slab.state(slot).load(Ordering::Acquire)))
    }

    /// Erases what a note speaks of, a grace period later. A slot that is empty then is added to
    /// `emptied`: the caller takes it out of the limbo and gives it back.
    fn erase(&self, note: Note, emptied: &mut Vec<u32>) -> Erased {
        match note.state.flag() {
            Flag::Live => self.erase_replaced(note),
            _ => self.erase_removed(note, emptied),
        }
    }

    /// Whether the state word of a note cannot have come back since. Asked under the pin that is
    /// held until the word is exchanged: meanwhile the slot can be recycled once at most.
    fn is_fresh(&self, note: Note) -> bool {
        self.rounds.load(Ordering::Acquire) - note.round < STALE_AFTER
    }

    /// Drops the first value of an entry that lives on with another one.
    fn erase_replaced(&self, note: Note) -> Erased {
        let (place, ext) = (self.slab.slot(note.slot), self.slab.extend(note.slot));
        {
            // Pinned: an entry seen live now cannot be recycled before we mark it.
            let _pin = pin();
            let state = State(place.state.load(Ordering::Acquire));
            let same = state.generation() == note.state.generation() && self.is_fresh(note);
            if !state.is(Flag::Live) || !same {
                // Removed since: it is erased as a whole later.
                return Erased::Elsewhere;
            }
            let mark =
                |ext| Ext(ext).has_stale_inline().then(|| Ext(ext).with_inline(Inline::Erasing).0);
            // AcqRel: the winner alone drops the value; who recycles the slot sees the mark.
            if ext.fetch_update(Ordering::AcqRel, Ordering::Acquire, mark).is_err() {
                return Erased::Elsewhere;
            }
        }
        // SAFETY: replaced before the grace period began, so nobody can reach it, and the mark
        // keeps the slot, with its key, from being recycled; this thread won the mark.
        unsafe { self.end_value(note.slot, note.slot, Some(RemovalCause::Replaced)) };
        let erased = |ext| Some(Ext(ext).with_inline(Inline::Erased).0);
        // Release: the value is gone before the slot may be recycled.
        let _ = ext.fetch_update(Ordering::AcqRel, Ordering::Relaxed, erased);
        self.limbo.clear(note.slot, || self.still_waits(note.slot));
        Erased::Here
    }

    /// Drops what a removed slot holds.
    fn erase_removed(&self, note: Note, emptied: &mut Vec<u32>) -> Erased {
        let place = self.slab.slot(note.slot);
        {
            let _pin = pin();
            let erasing = note.state.with_flag(Flag::Erasing).0;
            // AcqRel: the winner alone erases; it sees all that was done to the slot.
            let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
            let exchange = || place.state.compare_exchange(note.state.0, erasing, order, lost);
            if !self.is_fresh(note) || exchange().is_err() {
                return Erased::Elsewhere;
            }
        }
        let ext = self.ext_of_content(note.slot, note.state);
        self.drop_values(note, ext);
        if ext.terms() != 0 {
            self.drop_names(note.incarnation(), ext);
            self.terms.release(ext.terms());
        }
        if ext.inline() == Inline::Erasing {
            // Another thread is still dropping the replaced value, and may be telling of it, by the
            // key. All else is gone: what is left is for a later run. Take it out of `ext` first.
            let emptied = |ext| Some(Ext(ext).with_value_slot(0).with_terms(0).0);
            let word = self.slab.extend(note.slot);
            let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, emptied);
            place.state.store(note.state.0, Ordering::Release);
            // That thread may have cleared the bit while the slot looked like somebody's.
            self.limbo.add(note.slot);
            return Erased::Later;
        }
        self.drop_key(note, ext);
        if note.state.is_extended() {
            // Relaxed: the slot is ours; the free list publishes it.
            self.slab.extend(note.slot).store(0, Ordering::Relaxed);
        }
        self.untie(note.slot);
        emptied.push(note.slot);
        Erased::Here
    }

    /// Ends the values of an erasing slot.
    fn drop_values(&self, note: Note, ext: Ext) {
        let (slot, holder) = (note.slot, ext.value_slot());
        // The slot with the key by which the entry went last.
        let named = |_: &Listener<K, V>| self.owned_names(note.incarnation(), ext).next();
        let key = self.listener.as_ref().and_then(named).unwrap_or(slot);
        let cause = match note.state.is(Flag::Dead) {
            true => RemovalCause::of_code(note.state.cause()),
            false => Some(RemovalCause::Replaced),
        };
        if ext.inline() == Inline::Intact {
            let cause = if holder == 0 { cause } else { Some(RemovalCause::Replaced) };
            // SAFETY: unreachable since the grace period, and this thread made it `Erasing`. A
            // removed entry has its key, and the place of a replaced value a copy of it.
            unsafe { self.end_value(key, slot, cause) };
        }
        if holder != 0 {
            // SAFETY: the present value of an unreachable entry is unreachable too, and belongs
            // to whoever erases the entry.
            unsafe { self.end_value(key, holder, cause) };
            self.drop_key_copy(holder);
            self.slab.release(holder);
        }
    }

    /// Tells the listener of a value that is no more, and drops it. Without a cause it never was in
    /// the cache.
    ///
    /// # Safety
    /// - The slot `holder` holds a value that nobody can reach, and that is this thread's to drop.
    /// - The slot `key` holds its key, if there is a listener, and nobody drops that meanwhile.
    #[inline(always)]
    unsafe fn end_value(&self, key: u32, holder: u32, cause: Option<RemovalCause>) {
        if let (Some(listener), Some(cause)) = (&self.listener, cause) {
            // SAFETY: by the contract both are there, and nobody changes them.
            let (key, value) =
                unsafe { (self.slab.slot(key).key(), self.slab.slot(holder).value()) };
            self.run_user_code(|| listener.tell(key, value, cause));
        }
        // SAFETY: by the contract.
        self.run_user_code(|| unsafe { self.slab.drop_value(holder) });
    }

    /// Drops the key of an erasing slot.
    fn drop_key(&self, note: Note, ext: Ext) {
        if note.state.is(Flag::Dead) {
            // SAFETY: as for the value; a removed entry has its key.
            self.run_user_code(|| unsafe { self.slab.drop_key(note.slot) });
        } else if ext.inline() == Inline::Erased {
            // An insert moved on to another slot, and left its key's bytes here.
            // SAFETY: unreachable since the grace period; the key is dropped elsewhere.
            unsafe { self.slab.wipe_key(note.slot) };
        } else {
            self.drop_key_copy(note.slot);
        }
    }

    /// Drops the key that a replacing value has for the listener.
    fn drop_key_copy(&self, holder: u32) {
        if self.listener.is_some() {
            // SAFETY: `replace` wrote it, and the slot is this thread's.
            self.run_user_code(|| unsafe { self.slab.drop_key(holder) });
        }
    }

    /// Drops a key that turned out not to be needed.
    pub(super) fn drop_key_in_hand(&self, key: Option<K>) {
        if key.is_some() {
            self.run_user_code(|| drop(key));
        }
    }

    /// Runs a user's `Drop` or listener. A panic is counted and goes no further: the next value's
    /// turn comes.
    pub(super) fn run_user_code(&self, code: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
            self.ledger.panicked();
            self.telemetry.panicked();
            // The payload's own drop may panic as well; what that leaves is leaked.
            let again = catch_unwind(AssertUnwindSafe(|| std::mem::drop(payload)));
            again.unwrap_or_else(std::mem::forget);
        }
    }

    /// Drops every value, when no handle of the cache is left. Values need no grace period then:
    /// only handles can read them. But threads that insert children may still be comparing keys.
    pub(crate) fn shut_down(&self) {
        self.clear(RemovalCause::Dropped);
        if !self.descendants.exist() {
            return self.erase_waiting();
        }
        self.for_all_waiting(|notes| self.strip_all(notes));
        // Claims all children, and drops their values and our keys unless readers are pinned. Then
        // the caches that are linked do it later.
        let mut allowance = Allowance::unlimited();
        self.reclaim(Patience::Turns, &mut allowance);
        for cache in self.descendants.all() {
            cache.reclaim_within(&mut allowance);
        }
    }

    /// Erases all that waits, when nobody can be reading it.
    fn erase_waiting(&self) {
        self.for_all_waiting(|notes| {
            self.erase_all(notes, |_| true);
        });
    }

    /// Drops the values of removed slots. Their keys stay, and so do their places in the limbo.
    fn strip_all(&self, notes: &[Note]) {
        let (removed, others): (Vec<_>, Vec<_>) =
            notes.iter().partition(|note| note.state.is(Flag::Dead));
        removed.into_iter().for_each(|note| self.strip(note));
        self.erase_all(&others, |_| true);
    }

    fn strip(&self, note: Note) {
        let place = self.slab.slot(note.slot);
        let erasing = note.state.with_flag(Flag::Erasing).0;
        // As in `erase_removed`.
        let (order, lost) = (Ordering::AcqRel, Ordering::Relaxed);
        if place.state.compare_exchange(note.state.0, erasing, order, lost).is_err() {
            return;
        }
        self.drop_values(note, self.ext_of_content(note.slot, note.state));
        let emptied = |ext| {
            let ext = Ext(ext).with_value_slot(0);
            let intact = ext.inline() == Inline::Intact;
            Some(if intact { ext.with_inline(Inline::Erased) } else { ext }.0)
        };
        let word = self.slab.extend(note.slot);
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, emptied);
        // Release: the values are gone before anybody else erases the rest.
        place.state.store(note.state.extended().0, Ordering::Release);
    }

    /// Notes all that waits in the limbo, without a grace period.
    fn for_all_waiting(&self, mut each: impl FnMut(&[Note])) {
        let (mut from, mut found) = (0, Vec::new());
        loop {
            found.clear();
            let further = self.limbo.collect(&mut from, BATCH, &mut found);
            each(&self.note(&found));
            if !further {
                return;
            }
        }
    }
}

impl<K, V, S> Drop for Core<K, V, S> {
    fn drop(&mut self) {
        // Whatever the last handle left: what a sweeper was erasing meanwhile, and the keys of
        // parents. Nobody refers to this cache any more, not even a linked one.
        if self.len() > 0 || self.limbo.waiting() > 0 {
            self.clear(RemovalCause::Dropped);
            self.erase_waiting();
        }
    }
}
