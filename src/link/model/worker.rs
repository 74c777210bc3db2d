//! One thread of a scenario: the operations, put together as the core does it.

use super::books::Cause;
use super::books::{Known, Life};
use super::rig::{Met, Rig};
use super::{At, EARLY, LATE, MIDDLE, Op, SAME};
use crate::index::Published;
use crate::link::{self, Incarnation, Tie, before_cascade, fate};
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;
use crate::sync::{Step, broken};
use std::sync::Arc;

pub(super) struct Worker {
    rig: Arc<Rig>,
    thread: usize,
    pub(super) known: Known,
}

/// A slot on its way into a cache.
#[derive(Clone, Copy)]
struct Draft {
    at: At,
    tie: Tie,
    is: Option<Incarnation>,
}

/// A dead slot as a sweep met it.
#[derive(Clone, Copy)]
struct Note {
    slot: u32,
    state: State,
}

impl Worker {
    pub(super) fn new(rig: &Arc<Rig>, thread: usize, known: Known) -> Self {
        Worker { rig: Arc::clone(rig), thread, known }
    }

    pub(super) fn run(&mut self, op: Op) {
        self.rig.crossing();
        match op {
            Op::Get(at) => self.get(at, EARLY),
            Op::GetLate(at) => self.get(at, LATE),
            Op::Touch(at) => self.pinned(|w| w.touch(at, false)),
            Op::TouchUp(at) => self.pinned(|w| w.touch(at, true)),
            Op::Insert(at) => self.pinned(|w| w.insert(at)),
            Op::Remove(at) => self.pinned(|w| w.remove(at)),
            Op::List(level) => self.pinned(|w| w.list(level)),
            Op::Prune => self.pinned(|w| w.prune()),
            Op::Sweep => self.sweep(EARLY, false),
            Op::SweepLate => self.sweep(LATE, false),
            Op::SweepUnderOnePin => self.sweep(LATE, true),
            Op::Tell => {
                *self.rig.told.lock().unwrap() = self.known.clone();
                self.rig.has_told.store(1, Ordering::Release);
            }
            Op::Listen => {
                if self.rig.has_told.load(Ordering::Acquire) == 1 {
                    self.known.learn(&self.rig.told.lock().unwrap());
                }
            }
        }
    }

    fn pinned<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        self.rig.pins.pin(self.thread);
        let result = part(self);
        self.rig.pins.unpin(self.thread);
        result
    }

    fn find(&mut self, at: At, now: u64) -> Option<Met> {
        let met = self.rig.find(at, now);
        match met {
            Some(met) => self.met(at, met.is()),
            None => self.known.missed(at),
        }
        met
    }

    fn met(&mut self, at: At, is: Incarnation) {
        self.known.met(at, Life { level: at.level, is }, &self.rig.books.lock().unwrap());
    }

    fn get(&mut self, at: At, now: u64) {
        self.pinned(|worker| worker.find(at, now));
    }

    /// As `Core::find_and_touch`.
    fn touch(&mut self, at: At, up: bool) {
        while let Some(met) = self.find(at, MIDDLE) {
            if self.rig.touch(at.level, met) && (!up || self.touch_parent(at.level, met.slot)) {
                return;
            }
        }
    }

    /// As `Core::touch_parent`.
    fn touch_parent(&self, level: usize, slot: u32) -> bool {
        let Some(above) = level.checked_sub(1) else { return true };
        let parent = self.rig.caches[level].slots.tie(slot).parent();
        while let Some(met) = self.rig.entry(above, parent, MIDDLE) {
            if self.rig.touch(above, met) {
                return self.touch_parent(above, met.slot);
            }
        }
        false
    }

    fn remove(&mut self, at: At) {
        while let Some(met) = self.find(at, EARLY) {
            if self.rig.claim(at.level, met.slot, met.state, Cause::Explicit) {
                return self.known.removed(Life { level: at.level, is: met.is() });
            }
        }
    }

    /// As `Core::settle_draft`, with a parent.
    fn insert(&mut self, at: At) {
        let mut draft = Draft { at, tie: Tie::NONE, is: None };
        if at.is_listed() && !self.locate(&mut draft) {
            return;
        }
        loop {
            if let Some(met) = self.find(at, EARLY) {
                let present = self.rig.caches[at.level].slots.tie(met.slot);
                if !at.is_listed() || present.parent() == draft.tie.parent() {
                    break;
                }
                if !self.replace(at, met, draft.tie.parent()) {
                    break;
                }
                continue;
            }
            let is_tied = at.level == 0 || draft.tie != Tie::NONE;
            if !is_tied && !self.locate(&mut draft) {
                break;
            }
            if self.publish(&mut draft) {
                return;
            }
        }
        if let Some(unused) = draft.is {
            self.discard(at.level, unused);
        }
    }

    /// Removes a child of another parent than `parent`. `false`: that one is dead.
    fn replace(&self, at: At, met: Met, parent: Incarnation) -> bool {
        let above = at.level - 1;
        let is_alive = || self.rig.entry(above, parent, EARLY).is_some();
        if !broken(Step::ReplaceLooksAtParent) && !is_alive() {
            return false;
        }
        if self.rig.claim(at.level, met.slot, met.state, Cause::Replaced) {
            let child = Life { level: at.level, is: met.is() };
            let parent = Life { level: above, is: parent };
            self.rig.books.lock().unwrap().replaced(child, parent);
        }
        true
    }

    /// Looks for the parent. `false`: there is none.
    fn locate(&mut self, draft: &mut Draft) -> bool {
        let above = At { level: draft.at.level - 1, key: SAME };
        let Some(met) = self.find(above, EARLY) else { return false };
        draft.tie = Tie::new(met.is(), draft.at.is_listed());
        true
    }

    /// As `Draft::publish`. `false`: look again.
    fn publish(&mut self, draft: &mut Draft) -> bool {
        let is = draft.is.unwrap_or_else(|| self.reserve(draft));
        let (at, cache) = (draft.at, &self.rig.caches[draft.at.level]);
        self.rig.crossing();
        match cache.publish(at.key, is.slot) {
            Published::Inserted => {
                self.rig.books.lock().unwrap().inserted(Life { level: at.level, is });
                self.met(at, is);
                self.rig.crossing();
                if draft.tie != Tie::NONE {
                    let parent = draft.tie.parent();
                    let is_alive = || self.rig.entry(at.level - 1, parent, EARLY).is_some();
                    link::settle(&self.rig.kin(at.level), is, is_alive);
                }
                return true;
            }
            Published::Exists | Published::Moved => {}
        }
        if cache.slots.load(is.slot).is(Flag::Dead) {
            // Seen by others: it moves on to another slot.
            self.discard(at.level, is);
            draft.is = None;
            self.reserve(draft);
        }
        // What came between at the top may be reserved still, and is not waited for.
        if at.level == 0 {
            self.discard(at.level, draft.is.take().expect("it is reserved"));
            return true;
        }
        false
    }

    /// As `Draft::reserve`.
    fn reserve(&self, draft: &mut Draft) -> Incarnation {
        let (at, tie, cache) = (draft.at, draft.tie, &self.rig.caches[draft.at.level]);
        let slot = cache.slots.take().expect("a scenario has slots enough");
        let node = at.is_listed().then(|| cache.broods.take_node(0).expect("nodes enough"));
        let is = cache.slots.reserve(slot, tie);
        let parent = (at.level > 0).then(|| Life { level: at.level - 1, is: tie.parent() });
        self.rig.books.lock().unwrap().reserved(Life { level: at.level, is }, at, parent);
        self.rig.crossing();
        if let Some(node) = node {
            cache.broods.push(node, tie.parent(), is, &Pin);
        }
        cache.slots.set_key(slot, at.key);
        draft.is = Some(is);
        is
    }

    /// As `Core::discard`.
    fn discard(&self, level: usize, unused: Incarnation) {
        let Incarnation { slot, generation } = unused;
        self.rig.caches[level].slots.store(slot, State::new(0, generation, Flag::Dead));
    }

    /// As `Core::children_of`, for the only parent of a level.
    fn list(&mut self, level: usize) {
        let Some(parent) = self.find(At { level: level - 1, key: SAME }, EARLY) else { return };
        let rig = Arc::clone(&self.rig);
        let cache = &rig.caches[level];
        let mut seen = Vec::new();
        let mut visit = |slot: u32| {
            let state = cache.slots.load(slot);
            if !state.is(Flag::Live) || cache.slots.tie(slot).parent() != parent.is() {
                return;
            }
            let child = Met { slot, state }.is();
            if rig.entry(level, child, EARLY).is_some() {
                self.met(At { level, key: cache.slots.key(slot) }, child);
                seen.push(Life { level, is: child });
            }
        };
        cache.visit_same_key(&mut visit);
        for child in cache.broods.children(parent.slot, &Pin) {
            if cache.slots.tie(child.slot).is_listed() {
                visit(child.slot);
            }
        }
        let books = self.rig.books.lock().unwrap();
        for child in self.known.children(Life { level: level - 1, is: parent.is() }, &books) {
            assert!(seen.contains(&child) || books.of(child).is_removed(), "not listed: {child:?}");
        }
    }

    /// Walks the list of the first parent for dead children.
    fn prune(&mut self) {
        let (cache, kin) = (&self.rig.caches[1], self.rig.kin(1));
        cache.broods.walk(super::FIRST, &Pin, |child| {
            self.rig.crossing();
            fate(&kin, child, None)
        });
    }

    fn sweep(&mut self, now: u64, one_pin: bool) {
        for level in 0..self.rig.caches.len() {
            self.reclaim(level, now, one_pin);
        }
    }

    /// As `Core::reclaim_batch`, after expiry. Returns whether something waited.
    fn reclaim(&mut self, level: usize, now: u64, one_pin: bool) -> bool {
        let rig = Arc::clone(&self.rig);
        let cache = &rig.caches[level];
        let (notes, nodes) = self.pinned(|worker| {
            rig.expire(level, now);
            let notes = worker.note(level);
            if !one_pin && !notes.is_empty() {
                rig.pins.unpin(worker.thread);
                // What was noted may be recycled here, and its slot be reused.
                rig.pins.pin(worker.thread);
            }
            rig.crossing();
            worker.cascade(level, &notes);
            // Only lists of children have nodes.
            let nodes = if level > 0 { cache.broods.records().take_retired() } else { Vec::new() };
            (notes, nodes)
        });
        if notes.is_empty() && nodes.is_empty() {
            return false;
        }
        if !rig.pins.grace(self.thread) {
            cache.broods.records().put_back_retired(nodes);
            return true;
        }
        cache.broods.records().release_retired(nodes);
        notes.into_iter().for_each(|note| self.erase(level, note));
        true
    }

    fn note(&self, level: usize) -> Vec<Note> {
        let slots = &self.rig.caches[level].slots;
        let notes = slots.ids().map(|slot| Note { slot, state: slots.load(slot) });
        notes.filter(|note| note.state.is(Flag::Dead)).collect()
    }

    /// As `Core::cascade_all`.
    fn cascade(&self, level: usize, notes: &[Note]) {
        if level + 1 == self.rig.caches.len() || broken(Step::CascadeBeforeRecycling) {
            return;
        }
        before_cascade();
        for note in notes {
            let is = Met { slot: note.slot, state: note.state }.is();
            self.rig.orphan_children(Life { level, is });
        }
    }

    /// As `Core::erase_removed`.
    fn erase(&mut self, level: usize, note: Note) {
        let rig = Arc::clone(&self.rig);
        let Note { slot, state } = note;
        let cache = &rig.caches[level];
        if !cache.slots.exchange(slot, state, state.with_flag(Flag::Erasing)) {
            return;
        }
        rig.books.lock().unwrap().erased(Life { level, is: Met { slot, state }.is() });
        let tie = cache.slots.empty(slot);
        if tie.is_listed() {
            self.pinned(|_| {
                let judge = |child| fate(&rig.kin(level), child, None);
                cache.broods.note_erased(tie.parent(), &Pin, judge);
            });
        }
        cache.slots.store(slot, state.with_flag(Flag::Free));
    }

    /// Sweeps until nothing waits, when all other threads are done.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..4 {
            let levels = 0..self.rig.caches.len();
            if levels.filter(|&level| self.reclaim(level, EARLY, false)).count() == 0 {
                return;
            }
        }
        panic!("something waits for ever");
    }
}
