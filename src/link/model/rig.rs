//! What the threads of a scenario share: caches one above the other, and the judging of entries as
//! the core does it.

use super::books::{Books, Cause, Known, Life};
use super::cache::Cache;
use super::slots::Pins;
use super::worker::Worker;
use super::{At, MIDDLE, Op, TIMEOUT};
use crate::link::{Incarnation, Kin, Tie, fate};
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, broken};
use std::sync::{Arc, Mutex};

/// Slots of the cache at the top, and of each one below it.
const PARENTS: u32 = 2;
const CHILDREN: u32 = 4;

/// A scenario.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    /// Caches, one above the other.
    pub(super) levels: usize,
    /// Done before the threads start.
    pub(super) before: &'static [Op],
    /// What each thread does.
    pub(super) threads: &'static [&'static [Op]],
}

/// Parents and children.
pub(super) const fn family(before: &'static [Op]) -> Scene {
    Scene { levels: 2, before, threads: &[] }
}

/// Children of children, too.
pub(super) const fn three_levels(before: &'static [Op]) -> Scene {
    Scene { levels: 3, before, threads: &[] }
}

impl Scene {
    pub(super) const fn with(self, threads: &'static [&'static [Op]]) -> Self {
        Scene { threads, ..self }
    }

    /// One execution. `first` is the thread that the model lets run first.
    pub(super) fn run(self, first: usize) {
        let rig = Rig::new(&self);
        let mut own = Worker::new(&rig, first, Known::default());
        self.before.iter().for_each(|&op| own.run(op));
        let others = (1..self.threads.len()).map(|n| (first + n) % self.threads.len());
        let spawn = |thread: usize| {
            // Everybody knows what was there before.
            let (mut worker, ops) =
                (Worker::new(&rig, thread, own.known.clone()), self.threads[thread]);
            loom::thread::spawn(move || ops.iter().for_each(|&op| worker.run(op)))
        };
        let others: Vec<_> = others.map(spawn).collect();
        self.threads[first].iter().for_each(|&op| own.run(op));
        others.into_iter().for_each(|other| other.join().unwrap());
        rig.check_lists();
        own.settle_down();
        rig.check();
        rig.check_lists();
        // SAFETY: all other threads are done.
        unsafe { rig.caches.iter().for_each(|cache| cache.free()) };
    }
}

pub(super) struct Rig {
    /// The first one has no parents; the parents of each other one are in the one before.
    pub(super) caches: Vec<Cache>,
    pub(super) pins: Pins,
    pub(super) books: Mutex<Books>,
    /// What a thread told the others, and whether it did.
    pub(super) told: Mutex<Known>,
    pub(super) has_told: AtomicU64,
    /// See [`Rig::crossing`].
    crossing: AtomicU64,
}

/// What became of an entry that was found.
enum Verdict {
    Live,
    Dead,
    Changed,
}

/// A live entry that was met under the present pin.
#[derive(Clone, Copy)]
pub(super) struct Met {
    pub(super) slot: u32,
    pub(super) state: State,
}

impl Met {
    pub(super) fn is(self) -> Incarnation {
        Incarnation { slot: self.slot, generation: self.state.generation() }
    }
}

impl Rig {
    fn new(scene: &Scene) -> Arc<Self> {
        let cache = |level| match level {
            0 => Cache::top(PARENTS),
            _ => Cache::linked(CHILDREN),
        };
        Arc::new(Rig {
            caches: (0..scene.levels).map(cache).collect(),
            pins: Pins::new(scene.threads.len()),
            books: Mutex::default(),
            told: Mutex::default(),
            has_told: AtomicU64::new(0),
            crossing: AtomicU64::new(0),
        })
    }

    /// A point at which others may run in any order. loom does not see all conflicts between reads
    /// and writes (see [`explore`](super::explore)); it does see those of this word, which orders
    /// nothing.
    pub(super) fn crossing(&self) {
        self.crossing.fetch_add(1, Ordering::Relaxed);
    }

    /// As `Core::find_by`.
    pub(super) fn find(&self, at: At, now: u64) -> Option<Met> {
        loop {
            let (slot, state) = self.caches[at.level].find(at.key)?;
            match self.examine(at.level, slot, state, now) {
                Verdict::Live => return Some(Met { slot, state }),
                Verdict::Dead => return None,
                Verdict::Changed => {}
            }
        }
    }

    /// As `Core::entry`.
    pub(super) fn entry(&self, level: usize, entry: Incarnation, now: u64) -> Option<Met> {
        loop {
            let state = self.caches[level].slots.load(entry.slot);
            if !entry.is_live_in(state) {
                return None;
            }
            let met = Met { slot: entry.slot, state };
            if broken(Step::CheckWholeLine) {
                return Some(met);
            }
            match self.examine(level, entry.slot, state, now) {
                Verdict::Live => return Some(met),
                Verdict::Dead => return None,
                Verdict::Changed => {}
            }
        }
    }

    /// As `Core::examine`.
    fn examine(&self, level: usize, slot: u32, state: State, now: u64) -> Verdict {
        let cause = if is_due(level, state, now) {
            if broken(Step::ClaimDueParent) {
                return Verdict::Dead;
            }
            Cause::Time
        } else if self.has_parents(level, slot, now) {
            return Verdict::Live;
        } else {
            Cause::Cascade
        };
        if self.claim(level, slot, state, cause) { Verdict::Dead } else { Verdict::Changed }
    }

    /// As `Core::has_parents`.
    fn has_parents(&self, level: usize, slot: u32, now: u64) -> bool {
        if level == 0 || broken(Step::CheckParents) {
            return true;
        }
        self.crossing();
        let tie = self.caches[level].slots.tie(slot);
        self.entry(level - 1, tie.parent(), now).is_some()
    }

    /// As `Core::claim`.
    pub(super) fn claim(&self, level: usize, slot: u32, state: State, cause: Cause) -> bool {
        let cache = &self.caches[level];
        self.crossing();
        if !cache.slots.exchange(slot, state, state.with_flag(Flag::Dead)) {
            return false;
        }
        let life = Life { level, is: Met { slot, state }.is() };
        let key = {
            let mut books = self.books.lock().unwrap();
            books.removed(life, cause);
            books.of(life).at.key
        };
        cache.unlink(key, slot);
        true
    }

    /// As `Core::touch`.
    pub(super) fn touch(&self, level: usize, met: Met) -> bool {
        let touched = met.state.with_tick(MIDDLE);
        met.state.tick() >= MIDDLE
            || self.caches[level].slots.exchange(met.slot, met.state, touched)
    }

    /// Claims what is due.
    pub(super) fn expire(&self, level: usize, now: u64) {
        for slot in self.caches[level].slots.ids() {
            let state = self.caches[level].slots.load(slot);
            if state.is(Flag::Live) && is_due(level, state, now) {
                self.claim(level, slot, state, Cause::Time);
            }
        }
    }

    /// As `Core::orphan_children`, for the cache below.
    pub(super) fn orphan_children(&self, parent: Life) {
        let level = parent.level + 1;
        let (cache, kin) = (&self.caches[level], Children { rig: self, level });
        cache.visit_same_key(|child| {
            crate::link::orphan(&kin, parent.is, child);
        });
        if cache.broods.is_used() {
            cache.broods.walk(parent.is, &Pin, |child| {
                self.crossing();
                crate::link::orphan(&kin, parent.is, child.slot);
                fate(&kin, child, Some(parent.is))
            });
        }
    }

    pub(super) fn kin(&self, level: usize) -> Children<'_> {
        Children { rig: self, level }
    }

    /// Checks what is left at rest.
    fn check(&self) {
        let books = self.books.lock().unwrap();
        for record in books.records() {
            let Life { level, is } = record.life;
            let what = format!("{record:?}");
            let is_live = is.is_live_in(self.caches[level].slots.load(is.slot));
            assert_eq!(is_live, record.inserted && !record.is_removed(), "live or not: {what}");
            assert!(record.inserted || !record.is_removed(), "never inserted: {what}");
            assert_ne!(is_live, record.erased, "erased or not: {what}");
            let Some(parent) = record.parent.filter(|_| is_live) else { continue };
            assert!(!books.of(parent).is_removed(), "a live orphan: {what}");
            let cache = &self.caches[level];
            let mut listed = cache.broods.children(parent.is.slot, &Pin);
            let is_listed = cache.slots.tie(is.slot).is_listed();
            assert_eq!(listed.any(|child| child == is), is_listed, "in the list or not: {what}");
        }
        drop(books);
        (0..self.caches.len()).for_each(|level| self.check_cache(level));
    }

    fn check_cache(&self, level: usize) {
        let cache = &self.caches[level];
        let is_live = |&slot: &u32| cache.slots.load(slot).is(Flag::Live);
        for slot in cache.slots.ids() {
            let state = cache.slots.load(slot);
            assert!(state.is(Flag::Live) || state.is(Flag::Free), "slot {slot}: {state:?}");
        }
        let live: Vec<u32> = cache.slots.ids().filter(is_live).collect();
        assert_eq!(cache.named_slots(), live, "the names are not those of the live slots");
        for slot in live {
            let at = At { level, key: cache.slots.key(slot) };
            assert_eq!(self.find(at, 0).map(|met| met.slot), Some(slot), "live but not found");
        }
    }

    fn check_lists(&self) {
        for (above, cache) in self.caches.iter().zip(&self.caches[1..]) {
            let mut nodes = 0;
            for parent in above.slots.ids() {
                let listed = cache.broods.children(parent, &Pin).count();
                let counted = cache.broods.len(parent) as usize;
                assert_eq!(listed, counted, "nodes and their count differ");
                nodes += listed;
            }
            assert_eq!(nodes, cache.broods.nodes(), "nodes got lost");
        }
    }
}

/// Only entries at the top have a deadline.
fn is_due(level: usize, state: State, now: u64) -> bool {
    level == 0 && state.tick() + TIMEOUT <= now
}

/// A cache whose entries are children.
pub(super) struct Children<'a> {
    rig: &'a Rig,
    level: usize,
}

impl Kin for Children<'_> {
    fn state(&self, slot: u32) -> State {
        self.rig.caches[self.level].slots.load(slot)
    }

    fn tie(&self, slot: u32) -> Tie {
        self.rig.caches[self.level].slots.tie(slot)
    }

    fn claim_orphan(&self, slot: u32, state: State) -> bool {
        self.rig.claim(self.level, slot, state, Cause::Cascade)
    }
}
