//! Runs a scenario: the threads' operations, what they saw, and the checks.

use super::slots::{Life, Slots};
use super::{Op, hash};
use crate::index::growth::begin_move;
use crate::index::table::{Table, slot_of};
use crate::index::{Found, Index, Published, Shard};
use crate::reclaim::Pin;
use crate::slab::{FIRST_ID, Flag, State};
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

/// Free slots of each thread beside those of the keys that are there at the start.
const SPARE: u32 = 3;

/// A scenario.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    /// The size of the table at the start.
    pub(super) bits: u32,
    /// Keys that are there at the start.
    pub(super) keys: &'static [u32],
    /// Done before the threads start.
    pub(super) before: &'static [Op],
    /// Whether free slots go through the real free list.
    pub(super) shared: bool,
    /// What each thread does.
    pub(super) threads: &'static [&'static [Op]],
}

/// One bucket, nothing in it.
pub(super) const EMPTY: Scene =
    Scene { bits: 0, keys: &[], before: &[], shared: false, threads: &[] };
/// One bucket that holds `keys`.
pub(super) const fn holding(keys: &'static [u32]) -> Scene {
    Scene { keys, ..EMPTY }
}
/// One bucket that holds `keys`, and a linked next table, to which nothing has moved yet.
pub(super) const fn growing(keys: &'static [u32]) -> Scene {
    Scene { before: &[Op::Grow], ..holding(keys) }
}

/// The same, with a next table of the same size.
pub(super) const fn rebuilding(keys: &'static [u32]) -> Scene {
    Scene { before: &[Op::Rebuild], ..holding(keys) }
}

impl Scene {
    pub(super) const fn with(self, threads: &'static [&'static [Op]]) -> Self {
        Scene { threads, ..self }
    }

    /// One execution. `first` is the thread that the model lets run first.
    pub(super) fn run(self, first: usize) {
        let rig = Rig::new(&self);
        let worker = |thread: usize| Worker::new(&rig, &self, thread);
        let mut own = worker(first);
        self.keys.iter().for_each(|&key| own.run(Op::Insert(key)));
        self.before.iter().for_each(|&op| own.run(op));
        let start = std::mem::take(&mut own.log);
        let others = (1..self.threads.len()).map(|n| (first + n) % self.threads.len());
        let spawn = |thread| {
            let (mut worker, ops) = (worker(thread), self.threads[thread]);
            loom::thread::spawn(move || {
                ops.iter().for_each(|&op| worker.run(op));
                worker.log
            })
        };
        let others: Vec<_> = others.map(spawn).collect();
        self.threads[first].iter().for_each(|&op| own.run(op));
        let mut logs: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        logs.push(own.log);
        rig.check(&start, &logs);
        // SAFETY: all other threads are done.
        unsafe { rig.free() };
    }
}

/// What an operation saw of a key.
#[derive(Clone, Copy, Debug)]
enum Saw {
    Inserted(Life),
    Removed(Life),
    /// A hit, or an insert that was refused.
    Met(Life),
    Missed,
}

type Log = Vec<(u32, Saw)>;

/// What all threads share.
struct Rig {
    // By hand: a failed execution must not touch loom's atomics once more.
    index: ManuallyDrop<Index>,
    /// The table at the start.
    first: *mut Table,
    slots: Slots,
    /// What is known of the lives so far, in the order of the execution.
    known: Mutex<Known>,
}

// SAFETY: the pointer is used at rest only.
unsafe impl Send for Rig {}
// SAFETY: as above.
unsafe impl Sync for Rig {}

#[derive(Default)]
struct Known {
    live: Vec<(u32, Life)>,
    dead: Vec<Life>,
}

impl Rig {
    fn new(scene: &Scene) -> Arc<Self> {
        let first = Box::into_raw(Box::new(Table::new(scene.bits)));
        let shard = Shard { root: AtomicPtr::new(first) };
        let slots = (SPARE + scene.keys.len() as u32) * scene.threads.len() as u32;
        Arc::new(Rig {
            index: ManuallyDrop::new(Index { shards: [CachePadded::new(shard)] }),
            first,
            slots: Slots::new(slots, scene.threads.len(), scene.shared),
            known: Mutex::default(),
        })
    }

    /// Somebody saw a life live. No other one under its key may be.
    fn saw_live(&self, key: u32, life: Life) {
        let mut known = self.known.lock().unwrap();
        if known.dead.contains(&life) || known.live.contains(&(key, life)) {
            return;
        }
        assert!(!known.live.iter().any(|&(k, _)| k == key), "two live slots under one key");
        known.live.push((key, life));
    }

    fn killed(&self, key: u32, life: Life) {
        self.saw_live(key, life);
        let mut known = self.known.lock().unwrap();
        known.live.retain(|&(_, other)| other != life);
        known.dead.push(life);
    }

    fn find(&self, key: u32) -> Option<(u32, State)> {
        let is_key = |slot, _| self.slots.key(slot) == key;
        let Found { id: slot, state, .. } =
            self.index.find(&self.slots, hash(key), &Pin, is_key)?;
        assert_eq!(self.slots.key(slot), key, "a slot was reused under a pin");
        self.saw_live(key, Life { slot, generation: state.generation() });
        Some((slot, state))
    }

    /// Checks what the threads saw, and the index at rest.
    fn check(&self, start: &Log, logs: &[Log]) {
        let mut words = self.index.words();
        words.sort_unstable();
        let mut live = Vec::new();
        for slot in self.slots.ids() {
            let state = self.slots.load(slot);
            assert!(!state.is(Flag::Reserved), "a slot stayed reserved");
            if state.is(Flag::Live) {
                let (key, life) =
                    (self.slots.key(slot), Life { slot, generation: state.generation() });
                assert_eq!(self.find(key).map(|met| met.0), Some(slot), "a live slot is not found");
                live.push((hash(key), slot));
                self.saw_live(key, life);
            }
        }
        live.sort_unstable();
        assert_eq!(words, live, "the words are not those of the live slots");
        self.check_pending();
        let mut keys: Vec<u32> = logs.iter().flatten().map(|&(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let of_key = |log: &Log| -> Vec<Saw> {
                log.iter().filter(|event| event.0 == key).map(|event| event.1).collect()
            };
            let logs: Vec<Vec<Saw>> = logs.iter().map(of_key).collect();
            let end =
                self.find(key).map(|(slot, state)| Life { slot, generation: state.generation() });
            let begin = start.iter().find_map(|&(k, saw)| match saw {
                Saw::Inserted(life) if k == key => Some(life),
                _ => None,
            });
            let mut at = vec![0; logs.len()];
            assert!(
                is_legal(&logs, &mut at, begin, end),
                "no order explains {logs:?}, then {end:?}"
            );
        }
    }

    /// Pending slots at rest are live, and named by a word of their bucket.
    fn check_pending(&self) {
        let mut table = self.root();
        // SAFETY: tables are freed after the check.
        while let Some(current) = unsafe { table.as_ref() } {
            for place in 0..current.len() {
                let header = current.bucket(place).header();
                let Some(pending) = header.pending().filter(|_| !header.is_moved()) else {
                    continue;
                };
                assert!(self.slots.load(pending).is(Flag::Live), "a removed slot is pending");
                let names = |word: &AtomicU64| slot_of(word.load(Ordering::Acquire)) == pending;
                let named = current.find_word(place, header, names);
                assert!(named.is_some(), "pending elsewhere");
            }
            table = current.next.load(Ordering::Acquire);
        }
    }

    fn root(&self) -> *mut Table {
        self.index.shards[0].root.load(Ordering::Acquire)
    }

    /// Frees the tables: those that the index has, and the retired ones.
    ///
    /// # Safety
    /// - Nobody uses the index any more.
    unsafe fn free(&self) {
        let (mut table, root) = (self.first, self.root());
        while table != root {
            // SAFETY: tables before the root were retired, which frees nothing in a model.
            let retired = unsafe { Box::from_raw(table) };
            table = retired.next.load(Ordering::Acquire);
        }
        // SAFETY: by the contract this happens once.
        let index = unsafe { std::ptr::read(&raw const self.index) };
        drop(ManuallyDrop::into_inner(index));
    }
}

/// Whether some order of one key's events, in which each thread's own are in order, leads from
/// `now` to `end`.
fn is_legal(logs: &[Vec<Saw>], at: &mut [usize], now: Option<Life>, end: Option<Life>) -> bool {
    if logs.iter().zip(&*at).all(|(log, &at)| at == log.len()) {
        return now == end;
    }
    for thread in 0..logs.len() {
        let Some(&saw) = logs[thread].get(at[thread]) else { continue };
        let then = match (saw, now) {
            (Saw::Inserted(life), None) => Some(life),
            (Saw::Removed(life), Some(present)) if life == present => None,
            (Saw::Met(life), Some(present)) if life == present => now,
            (Saw::Missed, None) => None,
            _ => continue,
        };
        at[thread] += 1;
        let legal = is_legal(logs, at, then, end);
        at[thread] -= 1;
        if legal {
            return true;
        }
    }
    false
}

/// One thread.
struct Worker {
    rig: Arc<Rig>,
    thread: usize,
    /// Free slots, the next one last. So a slot that was freed is reused first.
    free: Vec<u32>,
    log: Log,
}

impl Worker {
    fn new(rig: &Arc<Rig>, scene: &Scene, thread: usize) -> Self {
        let own = SPARE + scene.keys.len() as u32;
        let first = FIRST_ID + own * thread as u32;
        let free = if scene.shared { Vec::new() } else { (first..first + own).collect() };
        Worker { rig: Arc::clone(rig), thread, free, log: Log::new() }
    }

    fn run(&mut self, op: Op) {
        let slots = &self.rig.slots;
        slots.pin(self.thread);
        let mut retired = Vec::new();
        match op {
            Op::Insert(key) => self.insert(key, &mut retired),
            Op::Remove(key) => self.remove(key, &mut retired),
            Op::Get(key) => {
                let life =
                    |(slot, state): (u32, State)| Life { slot, generation: state.generation() };
                let met = self.rig.find(key).map(life);
                self.log.push((key, met.map_or(Saw::Missed, Saw::Met)));
            }
            // As if a shard were too full.
            Op::Grow => self.rig.index.grow(&self.rig.slots, hash(super::A), u64::MAX, &Pin),
            Op::Rebuild => self.rebuild(),
            Op::Stop => self.rig.slots.ids().for_each(|slot| self.rig.slots.stop(slot)),
        }
        self.rig.slots.unpin(self.thread);
        for slot in retired {
            if self.rig.slots.grace(self.thread) {
                self.give_back(slot);
            }
        }
    }

    /// As if a shard had gathered too many overflow lines.
    fn rebuild(&self) {
        let Rig { index, slots, .. } = &*self.rig;
        // SAFETY: tables are freed after the scenario.
        let table = unsafe { &*self.rig.root() };
        if table.next.load(Ordering::Acquire).is_null() {
            begin_move(table, Table::new(table.len().ilog2()));
        } else {
            index.assist(slots, hash(super::A), 4, &Pin);
        }
    }

    fn insert(&mut self, key: u32, retired: &mut Vec<u32>) {
        let mut draft: Option<Life> = None;
        let saw = loop {
            if let Some((slot, state)) = self.rig.find(key) {
                break Some(Saw::Met(Life { slot, generation: state.generation() }));
            }
            let life = match draft {
                Some(life) => life,
                None => self.reserve(key),
            };
            draft = Some(life);
            let Rig { index, slots, .. } = &*self.rig;
            let is_key = |slot| slots.key(slot) == key;
            match index.publish(slots, hash(key), life.slot, &Pin, is_key) {
                Published::Inserted => {
                    draft = None;
                    if slots.load(life.slot).was_stopped() {
                        // As the core does it: it never was there.
                        index.unlink(slots, hash(key) & !0b1111, life.slot, &Pin);
                        retired.push(life.slot);
                        break None;
                    }
                    self.rig.saw_live(key, life);
                    break Some(Saw::Inserted(life));
                }
                Published::Exists | Published::Moved => {}
            }
            if slots.load(life.slot).is(Flag::Dead) {
                retired.push(life.slot);
                draft = Some(self.reserve(key));
            }
        };
        if let Some(unused) = draft {
            self.give_back(unused.slot);
        }
        self.log.extend(saw.map(|saw| (key, saw)));
    }

    fn remove(&mut self, key: u32, retired: &mut Vec<u32>) {
        let saw = loop {
            let Some((slot, state)) = self.rig.find(key) else { break Saw::Missed };
            if self.rig.slots.kill(slot, state) {
                let life = Life { slot, generation: state.generation() };
                self.rig.killed(key, life);
                // Slots remember a hash without its lowest bits.
                self.rig.index.unlink(&self.rig.slots, hash(key) & !0b1111, slot, &Pin);
                retired.push(slot);
                break Saw::Removed(life);
            }
        };
        self.log.push((key, saw));
    }

    fn reserve(&mut self, key: u32) -> Life {
        let slots = &self.rig.slots;
        let slot = match &slots.shared {
            Some(shared) => slots.pop(shared),
            None => self.free.pop().expect("a scenario has slots enough"),
        };
        slots.reserve(slot, key)
    }

    fn give_back(&mut self, slot: u32) {
        self.rig.slots.free(slot);
        if self.rig.slots.shared.is_none() {
            self.free.push(slot);
        }
    }
}
