//! Models of the wheel: two slots, four buckets, every interleaving up to a preemption bound.
//!
//! The slots are a fake, with real state words: [`World`] plays `core`'s part in every protocol.
//! Clocks are constants, one per operation, so a stale clock is simply a small number. An entry
//! touched at tick `t` is due after `t + D`.

mod lost;
mod negative;
mod races;
mod timing;

use super::{Budget, Home, Plan, Timers, Walk, Wheel};
use crate::segments::Geometry;
use crate::slab::{FIRST_ID, Flag, State};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::model;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Plain;

/// Timeout in ticks.
const D: u64 = 2;
const BUCKETS: usize = 4;
const SLOTS: u32 = 2;
/// The slots.
const A: u32 = FIRST_ID;
const B: u32 = A + 1;

fn at(slot: u32) -> usize {
    (slot - A) as usize
}

/// Later than every bucket that a scenario uses, by more than a turn of the wheel.
const FAR: u64 = 100;
/// No generation of a model gets this far.
const GENERATIONS: u32 = 8;
/// Visits that expire nothing: one per race and sweep.
const MAX_WASTED: u64 = 6;

/// What the executions of one scenario had in common, for the record.
#[derive(Clone, Copy, Default)]
struct Tally {
    executions: u64,
    max_stale: u64,
    max_wasted: u64,
}

thread_local! {
    // loom runs all executions of a model on one OS thread.
    static TALLY: Cell<Tally> = const { Cell::new(Tally { executions: 0, max_stale: 0, max_wasted: 0 }) };
}

/// Runs a scenario in all interleavings.
fn explore(name: &str, preemptions: usize, scenario: fn()) {
    TALLY.set(Tally::default());
    model::check(preemptions, scenario);
    let Tally { executions, max_stale, max_wasted } = TALLY.get();
    println!(
        "{name}: {executions} executions, at most {max_stale} stale bits at rest \
         and {max_wasted} visits without expiry"
    );
}

/// How many slots a sweep may visit.
struct Visits(u64);

impl Budget for Visits {
    fn proceed(&mut self, visited: u64) -> bool {
        visited < self.0
    }
}

/// A wheel, the slots that it files, and what an observer outside of the model knows.
struct World {
    wheel: Wheel,
    plan: Plan,
    states: [AtomicU64; SLOTS as usize],
    timeouts: [u64; SLOTS as usize],
    /// What `timeouts` says, if it can change.
    records: Option<[AtomicU64; SLOTS as usize]>,
    inserted: Plain,
    /// One bit per slot and generation.
    removed: Plain,
    /// The latest clock of a sweep that started, and of one that finished.
    latest: Plain,
    finished: Plain,
    visited: Plain,
    expired: Plain,
}

impl World {
    /// Slots last touched at `ticks` (`None`: free), in buckets of `width` ticks; everything below
    /// the bucket of `start` is swept.
    fn new(width: u64, start: u64, ticks: [Option<u64>; SLOTS as usize]) -> Self {
        World::planned(Plan::single(width, BUCKETS), start, ticks)
    }

    fn planned(plan: Plan, start: u64, ticks: [Option<u64>; SLOTS as usize]) -> Self {
        let first = |tick: Option<u64>| match tick {
            Some(tick) => State::new(tick, 1, Flag::Live),
            None => State::new(0, 1, Flag::Free),
        };
        let world = World {
            wheel: Wheel::new(Geometry::for_capacity(1), &plan),
            plan,
            states: ticks.map(|tick| AtomicU64::new(first(tick).0)),
            timeouts: [D; SLOTS as usize],
            records: None,
            inserted: Plain::new(0),
            removed: Plain::new(0),
            latest: Plain::new(0),
            finished: Plain::new(0),
            visited: Plain::new(0),
            expired: Plain::new(0),
        };
        for (slot, tick) in ticks.into_iter().enumerate() {
            let Some(tick) = tick else { continue };
            world.inserted.fetch_add(1, Ordering::Relaxed);
            let home = world.plan.home(D, tick + D);
            world.wheel.reserve(home, A + slot as u32);
        }
        world.sweep(start);
        world
    }

    /// Allocates the bitmaps, which the first insert would do.
    fn built(self) -> Self {
        self.wheel.bits(Home { level: 0, bucket: 0 }, A);
        self
    }

    /// As `Core::timing`: `None` if the state word is out of date.
    fn timeout(&self, slot: u32, state: State) -> Option<u64> {
        match &self.records {
            None => Some(self.timeouts[at(slot)]),
            Some(records) => timing::Record::load(&records[at(slot)]).timeout(state.rev()),
        }
    }

    fn home(&self, slot: u32, state: State) -> Option<Home> {
        let timeout = self.timeout(slot, state)?;
        Some(self.plan.home(timeout, state.tick() + timeout))
    }

    fn is_past(&self, home: Home, now: u64) -> bool {
        self.wheel.level_of(home).is_past(home.bucket, now)
    }

    fn load(&self, slot: u32) -> State {
        State(self.states[at(slot)].load(Ordering::Acquire))
    }

    fn exchange(&self, slot: u32, from: State, to: State, order: Ordering) -> bool {
        let cell = &self.states[at(slot)];
        cell.compare_exchange(from.0, to.0, order, Ordering::Acquire).is_ok()
    }

    /// As `Core::find` and `Core::touch`, by a reader whose clock says `now`.
    fn touch(&self, slot: u32, generation: u32, now: u64) {
        loop {
            let state = self.load(slot);
            if !state.is(Flag::Live) || state.generation() != generation {
                return;
            }
            let Some(timeout) = self.timeout(slot, state) else { continue };
            if state.tick() + timeout < now {
                if self.claim(slot, state) {
                    return;
                }
            } else if state.tick() >= now || self.change(slot, state, state.with_tick(now), timeout)
            {
                return;
            }
        }
    }

    /// As `Core::change`.
    fn change(&self, slot: u32, state: State, to: State, timeout: u64) -> bool {
        if !self.exchange(slot, state, to, Ordering::AcqRel) {
            return false;
        }
        let home = |tick: u64| Some(self.plan.home(timeout, tick + timeout));
        let after = if to.rev() == state.rev() { home(to.tick()) } else { self.home(slot, to) };
        self.wheel.refile(self, slot, home(state.tick()), after);
        true
    }

    /// As `Draft::prepare`, then `Core::inserted`: the caller owns the slot, which is free.
    fn insert(&self, slot: u32, now: u64) {
        let cell = &self.states[at(slot)];
        let generation = State(cell.load(Ordering::Relaxed)).generation() + 1;
        let reserved = State::new(now, generation, Flag::Reserved);
        cell.store(reserved.0, Ordering::Release);
        let home = self.home(slot, reserved).expect("no revision yet");
        self.wheel.reserve(home, slot);
        self.inserted.fetch_add(1, Ordering::Relaxed);
        self.publish(slot, reserved);
        self.wheel.went_live(self, home, slot, generation);
    }

    /// As `Index::publish`, in which others may help.
    fn publish(&self, slot: u32, reserved: State) {
        self.exchange(slot, reserved, reserved.with_flag(Flag::Live), Ordering::SeqCst);
    }

    /// As `Core::claim`: whoever makes the slot dead clears its bit.
    fn claim(&self, slot: u32, state: State) -> bool {
        if !self.exchange(slot, state, state.with_flag(Flag::Dead), Ordering::SeqCst) {
            return false;
        }
        let incarnation = 1 << (slot * GENERATIONS + state.generation());
        let before = self.removed.fetch_or(incarnation, Ordering::Relaxed);
        assert_eq!(before & incarnation, 0, "removed twice: slot {slot}, {state:?}");
        let home = self.home(slot, state).expect("it was the present word");
        self.wheel.unset(self, home, slot);
        true
    }

    /// Removes whatever lives in a slot, and uses it again at once: the wheel needs no grace.
    fn reincarnate(&self, slot: u32, now: u64) {
        loop {
            let state = self.load(slot);
            if !state.is(Flag::Live) || self.claim(slot, state) {
                break;
            }
        }
        let dead = self.load(slot);
        assert!(dead.is(Flag::Dead));
        let free = State::new(0, dead.generation(), Flag::Free);
        self.states[at(slot)].store(free.0, Ordering::Release);
        self.insert(slot, now);
    }

    fn sweep(&self, now: u64) {
        assert!(!self.sweep_some(now, u64::MAX).more);
        self.finished.fetch_max(now, Ordering::Relaxed);
    }

    /// A sweep that may end early.
    fn sweep_some(&self, now: u64, visits: u64) -> Walk {
        self.latest.fetch_max(now, Ordering::Relaxed);
        let walk = self.wheel.sweep(self, now, &mut Visits(visits));
        self.visited.fetch_add(walk.visited, Ordering::Relaxed);
        self.expired.fetch_add(walk.expired, Ordering::Relaxed);
        walk
    }

    /// At rest: everything is filed, nothing lives in a bucket that was passed, and a last sweep
    /// finds every entry that is left.
    fn check(&self) {
        let finished = self.finished.load(Ordering::Relaxed);
        let mut live = 0;
        for slot in A..A + SLOTS {
            let state = self.load(slot);
            if state.is(Flag::Live) {
                live += 1;
                let home = self.home(slot, state).expect("a word at rest is up to date");
                assert!(!self.is_past(home, finished), "passed: slot {slot}, {state:?}");
                assert!(self.wheel.is_filed(home, slot), "not filed: slot {slot}, {state:?}");
            }
        }
        let stale = self.wheel.count_bits() - live;
        self.check_last_sweep();
        let wasted = self.visited.load(Ordering::Relaxed) - self.expired.load(Ordering::Relaxed);
        assert!(wasted <= MAX_WASTED, "{wasted} visits that expired nothing");
        let tally = TALLY.get();
        TALLY.set(Tally {
            executions: tally.executions + 1,
            max_stale: tally.max_stale.max(stale),
            max_wasted: tally.max_wasted.max(wasted),
        });
    }

    /// A sweep that comes long after everything else claims all that is left.
    fn check_last_sweep(&self) {
        self.sweep(FAR);
        for slot in A..A + SLOTS {
            let state = self.load(slot);
            assert!(!state.is(Flag::Live), "never expired: slot {slot}, {state:?}");
        }
        let removed = u64::from(self.removed.load(Ordering::Relaxed).count_ones());
        assert_eq!(removed, self.inserted.load(Ordering::Relaxed));
        assert_eq!(self.wheel.count_bits(), 0, "bits that no sweep finds");
    }
}

impl Timers for World {
    fn timer(&self, slot: u32) -> (State, Option<Home>) {
        let state = State(self.states[at(slot)].load(Ordering::SeqCst));
        let has_home = state.is(Flag::Live) || state.is(Flag::Reserved);
        match self.home(slot, state) {
            _ if !has_home => (state, None),
            None => self.timer(slot),
            home => (state, home),
        }
    }

    fn expire(&self, slot: u32, state: State) -> bool {
        let latest = self.latest.load(Ordering::Relaxed);
        let won = self.claim(slot, state);
        let is_due = || self.timeout(slot, state).is_some_and(|t| state.tick() + t < latest);
        assert!(!won || is_due(), "early: slot {slot}, {state:?}");
        won
    }
}

/// One thread of a scenario.
type Play = Box<dyn FnOnce(&World) + Send>;

/// Boxes a thread's part.
fn play(part: impl FnOnce(&World) + Send + 'static) -> Play {
    Box::new(part)
}

/// Runs all parts at once and waits for them.
fn race<const N: usize>(world: World, parts: [Play; N]) -> Arc<World> {
    let world = Arc::new(world);
    let threads = parts.map(|part| {
        let world = Arc::clone(&world);
        loom::thread::spawn(move || part(&world))
    });
    for thread in threads {
        thread.join().expect("the part panicked");
    }
    world
}
