//! Models of the limbo: removers, replacers and flushers on two slots that are reused at once.
//!
//! [`World`] plays `core`'s part: the state and extension words are real, contents are counters
//! outside of the model, and pins are counters in one word.

use super::Limbo;
use crate::segments::Geometry;
use crate::slab::{Ext, FIRST_ID, Flag, Inline, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model::{needed, scenarios};
use crate::sync::{Step, broken, model};
use std::cell::Cell;
use std::sync::atomic::AtomicU64 as Plain;
use std::sync::{Arc, Mutex};

const SLOTS: u32 = 2;
/// The slots.
const A: u32 = FIRST_ID;
const B: u32 = A + 1;

fn at(slot: u32) -> usize {
    (slot - A) as usize
}

/// Generations of a slot that the books tell apart.
const GENERATIONS: usize = 8;
/// More slots than there are.
const ALL: usize = 100;
/// Names the value of an entry whose first one was replaced. Holders play no part here.
const HOLDER: u32 = 9;

thread_local! {
    // loom runs all executions of a model on one OS thread.
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
}

fn explore(name: &str, preemptions: usize, scenario: fn()) {
    EXECUTIONS.set(0);
    model::check(preemptions, scenario);
    println!("{name}: {} executions", EXECUTIONS.get());
}

/// What one incarnation of a slot had dropped, and whether it was ever removed.
#[derive(Default)]
struct Book {
    values: Plain,
    keys: Plain,
    removed: Plain,
}

struct World {
    limbo: Limbo,
    states: [AtomicU64; SLOTS as usize],
    exts: [AtomicU64; SLOTS as usize],
    /// One byte per thread: odd while it is pinned.
    pins: AtomicU64,
    /// The batch that writers have begun, and whether there is one: the exchange of this word hands
    /// it on.
    has_begun: AtomicU64,
    begun: Mutex<Option<Batch>>,
    books: [[Book; GENERATIONS]; SLOTS as usize],
}

/// A thread's name in `pins`.
type Me = u32;

#[derive(Clone, Copy)]
struct Note {
    slot: u32,
    state: State,
}

/// What was noted, and the pins that existed when its grace period began.
struct Batch {
    notes: Vec<Note>,
    pins: u64,
}

impl World {
    /// Two live entries.
    fn new() -> Self {
        let live = || AtomicU64::new(State::new(0, 1, Flag::Live).0);
        let world = World {
            limbo: Limbo::new(Geometry::for_capacity(1)),
            states: [live(), live()],
            exts: [AtomicU64::new(0), AtomicU64::new(0)],
            pins: AtomicU64::new(0),
            has_begun: AtomicU64::new(0),
            begun: Mutex::new(None),
            books: Default::default(),
        };
        // Allocates the bitmap.
        world.limbo.add(A);
        world.limbo.clear(A, || false);
        world
    }

    /// Pins, or unpins.
    fn step_pin(&self, me: Me) {
        self.pins.fetch_add(1 << (8 * me), Ordering::AcqRel);
    }

    fn pinned<T>(&self, me: Me, part: impl FnOnce() -> T) -> T {
        self.step_pin(me);
        let result = part();
        self.step_pin(me);
        result
    }

    /// Begins a grace period: the pins that exist now.
    fn begin_grace(&self) -> u64 {
        self.pins.fetch_add(0, Ordering::AcqRel)
    }

    /// Whether all pins that existed at the begin of a grace period have ended.
    fn is_over(&self, before: u64) -> bool {
        if broken(Step::Grace) {
            return true;
        }
        let byte = |word: u64, thread: u32| (word >> (8 * thread)) & 0xff;
        let is_pinned = |thread: &u32| byte(before, *thread) % 2 == 1;
        if !(0..8).any(|thread| is_pinned(&thread)) {
            return true;
        }
        let after = self.pins.fetch_add(0, Ordering::AcqRel);
        (0..8).filter(is_pinned).all(|thread| byte(before, thread) != byte(after, thread))
    }

    fn load(&self, slot: u32) -> State {
        State(self.states[at(slot)].load(Ordering::Acquire))
    }

    /// As `Core::ext`.
    fn ext(&self, slot: u32) -> Ext {
        if !self.load(slot).is_extended() {
            return Ext(0);
        }
        Ext(self.exts[at(slot)].load(Ordering::Acquire))
    }

    fn exchange(&self, slot: u32, from: State, to: Flag) -> bool {
        let (cell, to) = (&self.states[at(slot)], from.with_flag(to).0);
        cell.compare_exchange(from.0, to, Ordering::SeqCst, Ordering::Acquire).is_ok()
    }

    fn book(&self, slot: u32, state: State) -> &Book {
        &self.books[at(slot)][state.generation() as usize]
    }

    /// As `Core::claim`.
    fn remove(&self, me: Me, slot: u32) {
        self.pinned(me, || {
            let state = self.load(slot);
            if state.is(Flag::Live) && self.exchange(slot, state, Flag::Dead) {
                self.book(slot, state).removed.fetch_add(1, Ordering::Relaxed);
                self.add(slot);
            }
        });
    }

    /// As `Core::install`, for the first replacement.
    fn replace(&self, me: Me, slot: u32) {
        self.pinned(me, || {
            let state = self.load(slot);
            let (word, extended) = (&self.states[at(slot)], state.extended().0);
            let order = Ordering::AcqRel;
            let extends = || word.compare_exchange(state.0, extended, order, Ordering::Acquire);
            if state.is(Flag::Live) && extends().is_ok() {
                let swap = |ext| Some(Ext(ext).with_value_slot(HOLDER).0);
                let ext = &self.exts[at(slot)];
                ext.fetch_update(Ordering::AcqRel, Ordering::Acquire, swap).unwrap();
                self.add(slot);
            }
        });
    }

    fn add(&self, slot: u32) {
        assert!(self.limbo.add(slot) < 2 * SLOTS, "the count went below zero");
    }

    /// A new entry in a free slot, if it is free.
    fn reuse(&self, slot: u32) {
        let state = self.load(slot);
        if state.is(Flag::Free) && self.exchange(slot, state, Flag::Reserved) {
            let live = State::new(0, state.generation() + 1, Flag::Live);
            self.states[at(slot)].store(live.0, Ordering::Release);
        }
    }

    /// A pinned reader that met the entry alive may read its value until it unpins.
    fn read(&self, me: Me, slot: u32) {
        self.pinned(me, || {
            let state = self.load(slot);
            if state.is(Flag::Live) && self.ext(slot).value_slot() == 0 {
                // A point at which others may run.
                self.load(slot);
                let dropped = self.book(slot, state).values.load(Ordering::Relaxed);
                assert_eq!(dropped, 0, "dropped while it was read");
            }
        });
    }

    /// As `Core::reclaim`.
    fn flush(&self, me: Me) {
        if let Some(batch) = self.begin_batch(me).filter(|batch| self.is_over(batch.pins)) {
            self.erase_batch(me, batch);
        }
    }

    /// As `Core::begin_batch`.
    fn begin_batch(&self, me: Me) -> Option<Batch> {
        let mut found = Vec::new();
        assert!(!self.limbo.collect(&mut 0, ALL, &mut found));
        let notes = self.note(me, &found);
        (!notes.is_empty()).then(|| Batch { notes, pins: self.begin_grace() })
    }

    fn erase_batch(&self, me: Me, batch: Batch) {
        for note in batch.notes {
            match note.state.flag() {
                Flag::Live => self.erase_replaced(me, note),
                _ => self.erase_removed(note),
            }
        }
    }

    /// As `Core::continue_batch`: begins a batch, or goes on with that of another writer.
    fn relieve(&self, me: Me) {
        let begun = self.has_begun.swap(0, Ordering::AcqRel) == 1;
        let taken = begun.then(|| self.begun.lock().unwrap().take().expect("it was handed on"));
        let Some(batch) = taken.or_else(|| self.begin_batch(me)) else { return };
        if begun && self.is_over(batch.pins) {
            return self.erase_batch(me, batch);
        }
        // No access of the model in between, so the word and the batch change together.
        *self.begun.lock().unwrap() = Some(batch);
        self.has_begun.swap(1, Ordering::AcqRel);
    }

    /// As `Core::note`.
    fn note(&self, me: Me, found: &[u32]) -> Vec<Note> {
        let noted = |&slot: &u32| {
            let state = self.load(slot);
            if self.is_waiting(slot, state) {
                return Some(Note { slot, state });
            }
            if !state.is(Flag::Erasing) {
                self.limbo.clear(slot, || self.still_waits(slot));
            }
            None
        };
        self.pinned(me, || found.iter().filter_map(noted).collect())
    }

    fn is_waiting(&self, slot: u32, state: State) -> bool {
        match state.flag() {
            Flag::Dead | Flag::Shed => true,
            Flag::Live => self.ext(slot).has_stale_inline(),
            _ => false,
        }
    }

    fn still_waits(&self, slot: u32) -> bool {
        self.is_waiting(slot, self.load(slot))
    }

    /// As `Core::erase_replaced`.
    fn erase_replaced(&self, me: Me, note: Note) {
        let ext = &self.exts[at(note.slot)];
        let marked = self.pinned(me, || {
            let state = self.load(note.slot);
            let mark =
                |ext| Ext(ext).has_stale_inline().then(|| Ext(ext).with_inline(Inline::Erasing).0);
            state.is(Flag::Live)
                && state.generation() == note.state.generation()
                && ext.fetch_update(Ordering::AcqRel, Ordering::Acquire, mark).is_ok()
        });
        if !marked {
            return;
        }
        self.book(note.slot, note.state).values.fetch_add(1, Ordering::Relaxed);
        let erased = |ext| Some(Ext(ext).with_inline(Inline::Erased).0);
        let _ = ext.fetch_update(Ordering::AcqRel, Ordering::Relaxed, erased);
        self.limbo.clear(note.slot, || self.still_waits(note.slot));
    }

    /// As `Core::erase_removed`.
    fn erase_removed(&self, note: Note) {
        if !self.exchange(note.slot, note.state, Flag::Erasing) {
            return;
        }
        let state = &self.states[at(note.slot)];
        let ext = self.ext(note.slot);
        let book = self.book(note.slot, note.state);
        if ext.inline() == Inline::Intact {
            book.values.fetch_add(1, Ordering::Relaxed);
        }
        if note.state.is(Flag::Dead) {
            book.keys.fetch_add(1, Ordering::Relaxed);
        }
        let cell = &self.exts[at(note.slot)];
        if ext.inline() == Inline::Erasing {
            let emptied = |ext| Some(Ext(ext).with_value_slot(0).with_terms(0).0);
            let _ = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, emptied);
            state.store(note.state.with_flag(Flag::Shed).0, Ordering::Release);
            if !broken(Step::PutBackAdds) {
                self.add(note.slot);
            }
            return;
        }
        cell.store(0, Ordering::Relaxed);
        self.limbo.clear_group(&[note.slot]);
        state.store(note.state.with_flag(Flag::Free).0, Ordering::Release);
    }

    /// At rest: what waits is found, the counts are right, and nothing is erased twice or never.
    fn check(&self) {
        let mut found = Vec::new();
        self.limbo.collect(&mut 0, ALL, &mut found);
        assert_eq!(self.limbo.waiting(), found.len() as u64, "counts and bits differ");
        for slot in A..A + SLOTS {
            let waits = self.still_waits(slot);
            assert!(!waits || found.contains(&slot), "hidden: slot {slot}, {:?}", self.load(slot));
        }
        self.flush(0);
        assert_eq!(self.limbo.waiting(), 0);
        for (slot, books) in self.books.iter().enumerate() {
            for (generation, book) in books.iter().enumerate() {
                let removed = book.removed.load(Ordering::Relaxed);
                let keys = book.keys.load(Ordering::Relaxed);
                let values = book.values.load(Ordering::Relaxed);
                let what = format!("slot {slot}, generation {generation}");
                assert_eq!(keys, removed, "keys erased: {what}");
                let live = self.load(A + slot as u32);
                let replaced = live.generation() as usize == generation
                    && self.ext(A + slot as u32).value_slot() != 0;
                assert_eq!(values, removed | u64::from(replaced), "values erased: {what}");
            }
        }
        EXECUTIONS.set(EXECUTIONS.get() + 1);
    }
}

type Play = Box<dyn FnOnce(&World) + Send>;

fn play(part: impl FnOnce(&World) + Send + 'static) -> Play {
    Box::new(part)
}

/// Runs all parts at once, then looks at what they left.
fn race<const N: usize>(world: World, parts: [Play; N]) {
    let world = Arc::new(world);
    let threads = parts.map(|part| {
        let world = Arc::clone(&world);
        loom::thread::spawn(move || part(&world))
    });
    for thread in threads {
        thread.join().expect("the part panicked");
    }
    world.check();
}

fn dead() -> World {
    let world = World::new();
    world.remove(0, A);
    world
}

fn replaced() -> World {
    let world = World::new();
    world.replace(0, A);
    world
}

fn a_removal_and_two_flushers() {
    let parts = [play(|w| w.remove(0, A)), play(|w| w.flush(1)), play(|w| w.flush(2))];
    race(World::new(), parts);
}

fn a_removal_beside_a_slot_that_waits() {
    let parts = [play(|w| w.remove(0, B)), play(|w| w.flush(1)), play(|w| w.flush(2))];
    race(dead(), parts);
}

/// The slot dies again while a flusher still holds its first death.
fn a_second_death() {
    let again = |w: &World| {
        w.flush(0);
        w.reuse(A);
        w.remove(0, A);
    };
    race(dead(), [play(again), play(|w| w.flush(1)), play(|w| w.flush(2))]);
}

/// The bit is cleared for the replaced value, and set for the death.
fn a_replaced_value_and_a_death() {
    race(replaced(), [play(|w| w.remove(0, A)), play(|w| w.flush(1))]);
}

/// The second flusher meets the dead slot while the first drops its replaced value: it puts the
/// slot back, and the first must not clear the bit unseen.
fn a_death_while_a_replaced_value_is_dropped() {
    let removal = |w: &World| {
        w.remove(0, A);
        w.flush(0);
    };
    race(replaced(), [play(removal), play(|w| w.flush(1))]);
}

fn a_replaced_value_a_death_and_two_flushers() {
    let parts = [play(|w| w.remove(0, A)), play(|w| w.flush(1)), play(|w| w.flush(2))];
    race(replaced(), parts);
}

/// The bit is set before the entry that it is set for has died.
fn a_replacement_a_removal_and_a_flusher() {
    let parts = [play(|w| w.replace(0, A)), play(|w| w.remove(1, A)), play(|w| w.flush(2))];
    race(World::new(), parts);
}

/// A flusher that drops a replaced value is overtaken by the death, the reuse and the next
/// replacement.
fn a_replaced_value_in_a_reused_slot() {
    let again = |w: &World| {
        w.remove(0, A);
        w.flush(0);
        w.reuse(A);
        w.replace(0, A);
    };
    race(replaced(), [play(again), play(|w| w.flush(1))]);
}

/// A batch is erased by another writer than the one that began it; its slot dies again meanwhile.
fn a_batch_that_another_writer_goes_on_with() {
    let again = |w: &World| {
        w.relieve(0);
        w.flush(0);
        w.reuse(A);
        w.remove(0, A);
    };
    race(dead(), [play(again), play(|w| w.relieve(1)), play(|w| w.relieve(2))]);
}

/// The writer that began it is held up with it, or ends; a flusher drops what it has noted.
fn a_batch_that_is_held_up_hides_nothing() {
    let world = dead();
    world.relieve(0);
    race(world, [play(|w| w.relieve(0)), play(|w| w.flush(1)), play(|w| w.remove(2, B))]);
}

fn a_reader_and_a_batch() {
    let writer = |w: &World| {
        w.remove(0, A);
        w.relieve(0);
        w.relieve(0);
    };
    race(World::new(), [play(|w| w.read(1, A)), play(writer)]);
}

fn a_reader_a_removal_and_a_flusher() {
    let removal = |w: &World| {
        w.remove(0, A);
        w.flush(0);
    };
    race(World::new(), [play(|w| w.read(1, A)), play(removal)]);
}

scenarios! {
    crate::reclaim::model::explore;
    2 a_removal_and_two_flushers;
    2 a_removal_beside_a_slot_that_waits;
    2 a_second_death;
    3 a_replaced_value_and_a_death;
    3 a_death_while_a_replaced_value_is_dropped;
    2 a_replaced_value_a_death_and_two_flushers;
    2 a_replacement_a_removal_and_a_flusher;
    3 a_replaced_value_in_a_reused_slot;
    2 a_batch_that_another_writer_goes_on_with;
    2 a_batch_that_is_held_up_hides_nothing;
    3 a_reader_and_a_batch;
    3 a_reader_a_removal_and_a_flusher;
}

needed! {
    a_clear_needs_a_second_look: LimboEnsure in a_replaced_value_and_a_death;
    a_slot_that_is_put_back_needs_to_be_added:
        PutBackAdds in a_death_while_a_replaced_value_is_dropped;
    readers_need_a_grace_period: Grace in a_reader_a_removal_and_a_flusher;
    readers_need_the_grace_period_of_a_batch: Grace in a_reader_and_a_batch;
}
