//! Batches: slots and records that wait for one grace period together.
//!
//! Order: note what waits in the limbo, claim its children, begin a grace period, and once that is
//! over, erase. The limbo keeps the bits of all that is noted, so a batch is no more than a hint: a
//! thread that is suspended with one hides nothing from the next.

use super::Core;
use super::erase::Erased;
use super::sweep::Allowance;
use crate::link::{Incarnation, before_cascade};
use crate::reclaim::{Grace, Patience, pin};
use crate::slab::{Flag, Inline, State};
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Step, broken, thread_local, yield_now};
use std::cell::Cell;
use std::ptr::null_mut;

/// Slots that a sweep erases after one grace period.
const SWEEP_BATCH: usize = 4096;
/// Slots that a writer notes at once.
const WRITER_BATCH: usize = 1024;
/// Slots of one part of the limbo that may wait before a writer looks after them.
const CROWD: u32 = 1024;
/// A writer looks again after so many more removals.
const CROWD_STEP: u32 = 128;
/// With a listener, so many times sooner: somebody waits for what it tells.
const EVENTS_PER_CROWD: u32 = 16;
/// Slots that one call of a writer erases at most: more than come between two of them.
const WRITER_DROPS: u64 = 256;
/// Children that one call of a writer claims at most.
const WRITER_CHILDREN: u64 = 4096;
/// A value's `Drop` may flush, and so on: deeper than this nothing is erased.
const MAX_DEPTH: u32 = 8;

thread_local! {
    /// Runs of reclamation on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// What an erasing run did.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reclaimed {
    /// Values dropped.
    pub(crate) count: u64,
    /// Something still waits: readers are pinned, or the allowance ended.
    pub(crate) more: bool,
}

/// A slot as it was collected: nothing is erased unless it still is like that.
#[derive(Clone, Copy)]
pub(super) struct Note {
    pub(super) slot: u32,
    pub(super) state: State,
    /// Grace periods of the cache so far.
    pub(super) round: u64,
}

impl Note {
    pub(super) fn incarnation(self) -> Incarnation {
        Incarnation { slot: self.slot, generation: self.state.generation() }
    }
}

/// What was noted, and the grace period that began then.
struct Batch {
    notes: Vec<Note>,
    /// How many of the notes are dealt with.
    done: usize,
    /// Retired records of timing, and retired nodes of lists of children.
    terms: Vec<u32>,
    nodes: Vec<u32>,
    grace: Grace,
}

/// The batch that writers have begun. They do not wait for its grace period: a later one comes back.
pub(super) struct Begun {
    batch: AtomicPtr<Batch>,
    /// Whether a writer is at it: others leave it to that one, unless much waits.
    is_busy: AtomicBool,
    /// The group of slots at which the next batch begins.
    next_group: AtomicU64,
}

impl Begun {
    pub(super) fn new() -> Self {
        Begun {
            batch: AtomicPtr::new(null_mut()),
            is_busy: AtomicBool::new(false),
            next_group: AtomicU64::new(0),
        }
    }

    fn take(&self) -> Option<Box<Batch>> {
        // AcqRel: Acquire sees the batch that `put` stored.
        let batch = self.batch.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: `put` made it from a box, and the exchange gave it to this thread alone.
        (!batch.is_null()).then(|| unsafe { Box::from_raw(batch) })
    }

    /// Stores a batch; returns the one that another writer has stored meanwhile.
    fn put(&self, batch: Box<Batch>) -> Option<Box<Batch>> {
        // Release: hands the batch to `take`. Acquire: sees the other one.
        let other = self.batch.swap(Box::into_raw(batch), Ordering::AcqRel);
        // SAFETY: as in `take`.
        (!other.is_null()).then(|| unsafe { Box::from_raw(other) })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Runs `part`, unless reclamation runs too often on this thread's stack already.
fn nested<T>(part: impl FnOnce() -> T) -> Option<T> {
    let depth = DEPTH.try_with(|depth| depth.replace(depth.get() + 1)).unwrap_or(0);
    // No unwinding: users' panics are caught where their code runs.
    let result = (depth < MAX_DEPTH).then(part);
    let _ = DEPTH.try_with(|depth| depth.set(depth.get() - 1));
    result
}

impl<K, V, S> Core<K, V, S> {
    /// Drops what waits in the limbo, within `allowance`. The caller is not pinned.
    pub(crate) fn reclaim(&self, patience: Patience, allowance: &mut Allowance) -> Reclaimed {
        let mut done = Reclaimed::default();
        let run = || {
            // It hides records from us, no slots.
            self.begun.take().into_iter().for_each(|batch| self.give_up(*batch));
            let mut from = 0;
            while self.reclaim_batch(&mut from, patience, allowance, &mut done) {}
        };
        done.more |= nested(run).is_none();
        done
    }

    /// Erases one batch of slots, from group `from` on. `true`: there are more.
    fn reclaim_batch(
        &self,
        from: &mut u64,
        patience: Patience,
        allowance: &mut Allowance,
        done: &mut Reclaimed,
    ) -> bool {
        let (batch, further) = self.begin_batch(from, SWEEP_BATCH, allowance, done);
        let Some(mut batch) = batch else { return further };
        if !batch.grace.wait(patience, || allowance.has_time()) {
            self.give_up(batch);
            done.more = true;
            return false;
        }
        self.erase_batch(&mut batch, allowance, done) && further
    }

    /// Does a bounded share of reclamation where much waits, so that memory stays bounded without
    /// a sweeper. Runs in writers only, after their own work, and unpinned. `crowd`: about how many
    /// slots wait in the part of the limbo that the writer added to.
    #[inline]
    pub(super) fn relieve(&self, crowd: u32) {
        let scale = if self.listener.is_some() { EVENTS_PER_CROWD } else { 1 };
        if crowd >= CROWD / scale && crowd.is_multiple_of(CROWD_STEP / scale) {
            self.reclaim_some();
        }
    }

    /// Begins a batch, or erases a part of the one that was begun.
    #[cold]
    #[inline(never)]
    fn reclaim_some(&self) {
        // Readers that were suspended under their pins have let it pile up: give them turns to end.
        let much = self.limbo.waiting() > u64::from(CROWD * 4).max(self.len());
        // Acquire, Release: for the next writer, which goes on with this one's batch.
        let is_ours = !self.begun.is_busy.swap(true, Ordering::Acquire);
        if !is_ours && !much {
            return;
        }
        let patience = if much { Patience::Turns } else { Patience::Little };
        let mut allowance = Allowance::of_writer(WRITER_DROPS, WRITER_CHILDREN);
        nested(|| self.continue_batch(patience, &mut allowance));
        if is_ours {
            self.begun.is_busy.store(false, Ordering::Release);
        }
    }

    fn continue_batch(&self, patience: Patience, allowance: &mut Allowance) {
        let mut done = Reclaimed::default();
        let batch = self.begun.take().or_else(|| {
            // Relaxed, here and below: a hint. All groups get their turn.
            let mut from = self.begun.next_group.load(Ordering::Relaxed);
            let (batch, further) = self.begin_batch(&mut from, WRITER_BATCH, allowance, &mut done);
            self.begun.next_group.store(if further { from } else { 0 }, Ordering::Relaxed);
            batch.map(Box::new)
        });
        let Some(mut batch) = batch else { return };
        let is_over = batch.grace.wait(patience, || true);
        if is_over && self.erase_batch(&mut batch, allowance, &mut done) {
            return;
        }
        if let Some(other) = self.begun.put(batch) {
            self.give_up(*other);
        }
    }

    /// How crowded the limbo is, looked at by one insert in about [`CROWD_STEP`]: readers that find
    /// entries expired send them there, but leave the work to writers.
    pub(super) fn crowd_after_insert(&self, slot: u32) -> u32 {
        let crowded = slot.is_multiple_of(CROWD_STEP)
            && self.limbo.waiting() > u64::from(CROWD).max(self.len() / 4);
        if crowded { CROWD } else { 0 }
    }

    /// Notes what waits, from group `from` on, claims its children, and begins a grace period.
    /// Also returns whether there are more groups.
    fn begin_batch(
        &self,
        from: &mut u64,
        limit: usize,
        allowance: &mut Allowance,
        done: &mut Reclaimed,
    ) -> (Option<Batch>, bool) {
        let mut found = Vec::new();
        let terms = self.terms.records().take_retired();
        let further = self.limbo.collect(from, limit, &mut found);
        let mut notes = self.note(&found);
        self.cascade_all(&mut notes, allowance, done);
        // After the cascade, which cuts nodes out.
        let nodes = match &self.uplink {
            Some(up) => up.broods().records().take_retired(),
            None => Vec::new(),
        };
        let is_empty = notes.is_empty() && terms.is_empty() && nodes.is_empty();
        let batch = || Batch { notes, done: 0, terms, nodes, grace: Grace::begin() };
        ((!is_empty).then(batch), further)
    }

    /// Puts back the records of a batch whose grace period is not over. Nothing else is lost: the
    /// bits of its slots still stand.
    fn give_up(&self, batch: Batch) {
        self.terms.records().put_back_retired(batch.terms);
        if let Some(up) = &self.uplink {
            up.broods().records().put_back_retired(batch.nodes);
        }
    }

    /// Erases what a batch speaks of, after its grace period. `false`: a part of it is left.
    fn erase_batch(
        &self,
        batch: &mut Batch,
        allowance: &mut Allowance,
        done: &mut Reclaimed,
    ) -> bool {
        // Release: a note is judged by this count (`is_fresh`).
        self.rounds.fetch_add(1, Ordering::AcqRel);
        self.terms.records().release_retired(std::mem::take(&mut batch.terms));
        if let Some(up) = &self.uplink {
            up.broods().records().release_retired(std::mem::take(&mut batch.nodes));
        }
        if allowance.may_drop() {
            self.erase_all(&batch.notes[batch.done..], |became| {
                batch.done += 1;
                match became {
                    Erased::Here => {
                        done.count += 1;
                        allowance.dropped();
                    }
                    Erased::Elsewhere => {}
                    Erased::Later => done.more = true,
                }
                allowance.may_drop()
            });
        }
        let is_finished = batch.done == batch.notes.len();
        done.more |= !is_finished;
        is_finished
    }

    /// Claims the children of the entries that are noted. Those that have some left are taken off
    /// the notes: a parent is recycled only after its cascade.
    fn cascade_all(&self, notes: &mut Vec<Note>, allowance: &mut Allowance, done: &mut Reclaimed) {
        if !self.descendants.exist() || broken(Step::CascadeBeforeRecycling) {
            return;
        }
        let children = {
            let pin = pin();
            self.descendants.children(&pin)
        };
        before_cascade();
        notes.retain(|note| {
            let finished = !note.state.is(Flag::Dead)
                || self.cascade(note.incarnation(), &children, allowance);
            done.more |= !finished;
            finished
        });
    }

    /// Reads what the slots hold. A bit without cause is cleared.
    pub(super) fn note(&self, found: &[u32]) -> Vec<Note> {
        // Acquire: slots recycled in rounds before are seen as they are now.
        let round = self.rounds.load(Ordering::Acquire);
        let _pin = pin();
        let noted = |&slot: &u32| {
            // Acquire: sees what the word speaks of.
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            if self.is_waiting(slot, state) {
                return Some(Note { slot, state, round });
            }
            if !state.is(Flag::Erasing) {
                self.limbo.clear(slot, || self.still_waits(slot));
            }
            None
        };
        found.iter().filter_map(noted).collect()
    }

    /// Waits until the values that other threads are dropping now are dropped. Not in a `Drop` or a
    /// listener that reclamation itself has called: they could wait for each other. Returns whether
    /// there were any.
    pub(super) fn wait_for_droppers(&self) -> bool {
        if DEPTH.try_with(Cell::get).unwrap_or(0) > 0 {
            return false;
        }
        let (mut found, mut waited) = (Vec::new(), false);
        self.limbo.collect(&mut 0, usize::MAX, &mut found);
        for slot in found {
            let Some(dropper) = self.dropper(slot) else { continue };
            waited = true;
            while self.dropper(slot) == Some(dropper) {
                yield_now();
            }
        }
        waited
    }

    /// Whether a thread is dropping what a slot holds: which life of the slot, and whether all of it.
    fn dropper(&self, slot: u32) -> Option<(u32, bool)> {
        let _pin = pin();
        // Acquire: the values are dropped if the word says so.
        let state = State(self.slab.state(slot).load(Ordering::Acquire));
        let drops_first = || self.ext(slot, state).inline() == Inline::Erasing;
        match state.flag() {
            Flag::Erasing => Some((state.generation(), true)),
            Flag::Live | Flag::Dead if drops_first() => Some((state.generation(), false)),
            _ => None,
        }
    }
}
